#!/usr/bin/env bash
# The NBD server under load: fio with verification, several clients at once, clients that are killed in the middle, and clients that talk
# garbage. It serves on through all of it, and stops cleanly with a client connected.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

start_server --threads 2 --nbd "unix:$socket" mem:64M --export "large=mem:64M;sector_size=4096"

verify() {
    timeout -s KILL 60 fio --name=verify --ioengine=nbd "--uri=$1" --rw=randwrite --bs="$2" --iodepth=16 --size=16M --offset="$3" \
        --verify=crc32c --verify_fatal=1 --verify_backlog=256 --verify_state_save=0 --randrepeat=0 >"$folder/fio.$3" 2>&1 ||
        { cat "$folder/fio.$3"; fail "fio at $3"; }
}
clients=()
verify "$uri" 4k 0 & clients+=($!)
verify "$uri" 512-128k 16M & clients+=($!)
verify "nbd+unix:///large?socket=$socket" 4k 32M & clients+=($!)
for pid in "${clients[@]}"; do
    wait "$pid" || fail 'a client of several'
done

# Killed in the middle of writes and reads, and after half a request.
for round in 1 2 3; do
    timeout -s KILL "0.$((round * 2))" fio --name=killed --ioengine=nbd "--uri=$uri" --rw=randrw --bs=64k --iodepth=32 --size=64M \
        --time_based --runtime=30 >/dev/null 2>&1 || true
done
/usr/bin/python3 - "$socket" <<'PYTHON' || fail 'garbage'
import os, random, socket, struct, sys
random.seed(1)
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(sys.argv[1])
    return s
go = struct.pack('>QII', 0x49484156454F5054, 7, 8) + struct.pack('>IHH', 0, 1, 3)
for attempt in range(60):
    s = connect()
    s.recv(18)
    try:
        if attempt % 3 == 0:
            s.sendall(os.urandom(random.randrange(1, 5000)))
        elif attempt % 3 == 1:
            s.sendall(struct.pack('>I', 3) + go + struct.pack('>IHHQQI', 0x25609513, 0, 1, 1, 0, 1 << 20) + b'x' * 70000)
        else:
            s.sendall(struct.pack('>I', 3) + go + os.urandom(2800))
        if attempt % 2:
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
    except (ConnectionError, TimeoutError) as e:
        assert not isinstance(e, TimeoutError), 'the server neither answers nor closes'
    s.close()
# One that asks for much and reads nothing, while others are served.
lazy = connect()
lazy.recv(18)
lazy.sendall(struct.pack('>I', 3) + go)
for cookie in range(100):
    lazy.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 0, cookie, 0, 1 << 20))
import nbd
h = nbd.NBD()
h.connect_unix(sys.argv[1])
h.pwrite(b'alive' + bytes(507), 0)
assert h.pread(512, 0)[:5] == b'alive'
os._exit(0)  # and gone, without a word
PYTHON
expect 'export-size' nbdinfo "$uri"

# A stop with clients in the middle of their work.
timeout -s KILL 20 fio --name=stopped --ioengine=nbd "--uri=$uri" --rw=randwrite --bs=4k --iodepth=8 --size=64M --time_based \
    --runtime=15 >/dev/null 2>&1 &
client=$!
sleep 1
stop_server
kill -KILL "$client" 2>/dev/null || true
wait "$client" 2>/dev/null || true
