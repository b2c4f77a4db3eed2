#!/usr/bin/env python3
"""NBD exports side by side: ours, nbdkit and qemu-nbd, plain and encrypted. Rounds are interleaved, so that a
disturbance hits every side; printed are medians and ratios to the peers. Server on one CPU, client on another.

nbd_side_by_side.py UNDERCROFT_HOST. Environment: SECONDS_EACH (1), ROUNDS (3), CLIENTS (1,4,16)."""
import json, os, shutil, signal, statistics, subprocess, sys, tempfile, time

program = sys.argv[1]
seconds = float(os.environ.get('SECONDS_EACH', '1'))
rounds = int(os.environ.get('ROUNDS', '3'))
clients = [int(count) for count in os.environ.get('CLIENTS', '1,4,16').split(',')]
size = 512 << 20
folder = tempfile.mkdtemp(dir='/dev/shm', prefix='undercroft-bench.')
socket = folder + '/socket'

plain = {
    'undercroft': [program, 'serve', '--threads', '1', '--nbd', f'unix:{socket}', f'mem:{size}'],
    'nbdkit': ['nbdkit', '-f', '-U', socket, 'memory', str(size)],
    'qemu-nbd': ['qemu-nbd', '-t', '-k', socket, '-e', '32', '--aio=io_uring', '-f', 'raw', f'{folder}/raw'],
}
luks = f'driver=luks,key-secret=s,file.filename={folder}/luks'
encrypted = {
    'undercroft': [program, 'serve', '--threads', '1', '--nbd', f'unix:{socket}',
                   f'crypt:xts-aes-256:{folder}/key:mem:{size}'],
    'nbdkit': ['nbdkit', '-f', '-U', socket, 'file', f'{folder}/luks', '--filter=luks', f'passphrase=+{folder}/word'],
    'qemu-nbd': ['qemu-nbd', '-t', '-k', socket, '-e', '32', '--object', f'secret,id=s,file={folder}/word',
                 '--image-opts', luks],
}
# (name, fio's rw, depth, block size, clients)
workloads = [('read 4K depth 1', 'randread', 1, '4k', 1), ('read 4K depth 32', 'randread', 32, '4k', 1),
             ('write 4K depth 32', 'randwrite', 32, '4k', 1), ('read 128K depth 8', 'read', 8, '128k', 1),
             ('write 128K depth 8', 'write', 8, '128k', 1)]
many = [(f'read 4K, {count} clients', 'randread', 32 // min(count, 16), '4k', count) for count in clients if count > 1]


def cpu_seconds(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mib(pid):
    for line in open(f'/proc/{pid}/smaps_rollup'):
        if line.startswith('Pss_Anon:'):
            return int(line.split()[1]) / 1024
    return 0


def memory_of(command, uri):
    """Memory of its own that a server with an idle client takes, in MiB."""
    server = start(command)
    try:
        subprocess.run(['nbdinfo', '--size', uri], check=True, stdout=subprocess.DEVNULL)
        return memory_mib(server.pid)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def compare_memory():
    """An export more, of an empty disk: in one process ours, a process each for the peers."""
    exports, uri = 32, f'nbd+unix:///?socket={socket}'
    more = [f'--export={number}=mem:{size}' for number in range(exports)]
    one = memory_of(plain['undercroft'], uri)
    many_exports = memory_of(plain['undercroft'][:-1] + more + plain['undercroft'][-1:], uri)
    print(f'\nmemory of its own: undercroft {one * 1024:.0f} KiB, and {(many_exports - one) * 1024 / exports:.0f} KiB '
          'an export more; ' + ', '.join(
              f'{name} {memory_of(command, uri) * 1024:.0f} KiB each' for name, command in plain.items()
              if name != 'undercroft'))


def prepare():
    subprocess.run(['dd', 'if=/dev/urandom', f'of={folder}/raw', 'bs=1M', f'count={size >> 20}', 'status=none'], check=True)
    open(folder + '/word', 'w').write('a word')
    open(folder + '/key', 'wb').write(os.urandom(64))
    create = ['qemu-img', 'create', '-q', '-f', 'luks', '--object', f'secret,id=s,file={folder}/word', '-o',
              'key-secret=s,cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,iter-time=100', folder + '/luks', str(size)]
    for _ in range(8):  # measuring the key derivation fails now and then
        if subprocess.run(create, stderr=subprocess.DEVNULL).returncode == 0:
            break
    subprocess.run(['qemu-img', 'convert', '-n', '-f', 'raw', '--object', f'secret,id=s,file={folder}/word',
                    '--target-image-opts', folder + '/raw', luks], check=True)


def start(command):
    if os.path.exists(socket):
        os.unlink(socket)
    server = subprocess.Popen(['taskset', '-c', '0'] + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if os.path.exists(socket):
            time.sleep(0.3)
            return server
        if server.poll() is not None:
            sys.exit('a server ended at once: ' + ' '.join(command))
        time.sleep(0.05)
    sys.exit('a server does not come up: ' + ' '.join(command))


def measure(server, workload):
    _, rw, depth, block, count = workload
    before = cpu_seconds(server.pid)
    result = subprocess.run(
        ['timeout', '-s', 'KILL', str(int(seconds) + 30), 'taskset', '-c', '1', 'fio', '--name=x', '--ioengine=nbd',
         f'--uri=nbd+unix:///?socket={socket}', f'--rw={rw}', f'--iodepth={depth}', f'--bs={block}', '--time_based',
         f'--runtime={seconds}', f'--size={size}', '--norandommap', '--output-format=json', f'--numjobs={count}',
         '--group_reporting'], capture_output=True, text=True).stdout
    used = cpu_seconds(server.pid) - before
    job = json.loads(result[result.index('{'):])['jobs'][0]
    side = job['read' if 'read' in rw else 'write']
    return side['iops'], side['bw_bytes'] / 1e9, used / max(1, side['total_ios']) * 1e6


def compare(title, sides):
    taken, memory = {}, {}
    for _ in range(rounds):
        for name, command in sides.items():
            server = start(command)
            try:
                # Every side has its data: what was never written would be answered without any.
                subprocess.run(['nbdcopy', folder + '/raw', f'nbd+unix:///?socket={socket}'], check=True)
                full = memory_mib(server.pid)
                for workload in workloads + (many if title == 'plain' else []):
                    taken.setdefault((workload[0], name), []).append(measure(server, workload))
                memory.setdefault(name, []).append(memory_mib(server.pid) - full)
            finally:
                server.send_signal(signal.SIGKILL)
                server.wait()
    print(f'\n{title}{"":24}' + ''.join(f'{name:>30}' for name in sides))
    for workload in workloads + (many if title == 'plain' else []):
        medians = {name: [statistics.median(column) for column in zip(*taken[(workload[0], name)])] for name in sides}
        row = f'{workload[0]:26}'
        for name in sides:
            iops, gigabytes, cpu = medians[name]
            row += f'{iops:10.0f} /s {gigabytes:6.2f} GB/s {cpu:5.1f} us'
        ours = medians['undercroft']
        row += '   server CPU: ' + ', '.join(f'{ours[2] / max(medians[name][2], 1e-9):.2f} of {name}' for name in sides if name != 'undercroft')
        row += '; speed: ' + ', '.join(f'{ours[0] / medians[name][0]:.2f}' for name in sides if name != 'undercroft')
        print(row)
    print('memory that clients cost, beyond the data: ' + ', '.join(
        f'{name} {statistics.median(memory[name]):.1f} MiB' for name in sides))


try:
    prepare()
    compare('plain', plain)
    compare('encrypted', encrypted)
    compare_memory()
finally:
    shutil.rmtree(folder)
