#!/usr/bin/env bash
# A running image is looked into over its control port: its controllers, queues and disks are there, a delay that is set live is felt, and what
# the guest waits for is seen with its age. The guest has no such port.
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"
cat >"$work/script" <<'SCRIPT'
grep -qi '2e8' /proc/ioports && echo "inspect: the guest has the port"
echo "inspect: reading"
while :; do
    dd if=/dev/nvme0n1 of=/dev/null bs=4096 count=64 iflag=direct 2>/dev/null || echo "inspect: a read failed"
done
SCRIPT
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" || fail 'no initrd'
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [{"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d",
  "luns": [{"location": 1, "disk": "delay:0:crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]}]}
JSON
start_boot --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0' --config "$work/config.json" \
    --nvme "$work/disk" --key "demo=$work/key" --timeout 240
console_says '^inspect: reading'

status=0
timeout 120 python3 - "$work/control" "$root/tests/support" <<'PYTHON' || status=$?
import socket, sys, time
sys.path.insert(0, sys.argv[2])
sys.dont_write_bytecode = True
from ask_image import ControlLine

# A client that asks and goes away leaves its answer to the next one.
gone = socket.socket(socket.AF_UNIX)
gone.connect(sys.argv[1])
gone.sendall(b"#77 \n")
gone.close()
line = ControlLine(sys.argv[1])
ask = line.ask
tree = ask("")["value"]
assert tree["program"] == "image" and tree["uptime_ns"] > 0 and tree["memory"]["total_bytes"] > 1 << 20, tree
assert tree["physical"]["0000:00:03.0"]["state"] == "running", tree
assert tree["disks"]["0"]["delay"]["crypt"]["nvme"]["size_bytes"] == 64 << 20, tree
reads = sum(queue.get("read", {}).get("count", 0) for queue in tree["nvme_controllers"]["0"]["queues"].values())
assert reads > 0, tree
assert "did you mean" in ask("nvme_controlers")["error"]
assert "takes a time" in ask("disks/0/delay/read_delay=x")["error"]
answer = ask("disks/0/delay/read_delay=10s")
assert answer["value"] == "10s" and "disks/0/delay/read_delay" in answer["settings"], answer
deadline = time.monotonic() + 60
while True:
    queues = ask("nvme_controllers/0/queues")["value"]
    waiting = [r for queue in queues.values() for r in queue.get("in_flight", {}).values()]
    if any(r["operation"] == "read" and r["age_ns"] > 1_000_000_000 and r["length_bytes"] == 4096 for r in waiting):
        break
    assert time.monotonic() < deadline, queues
    time.sleep(0.1)
ask("disks/0/delay/read_delay=0")
# Nonsense is answered as what it is.
line.client.sendall(b"\x00\xff\n" + b"x" * 40 + b"\n")
assert ask("program")["value"] == "image"
print("inspect: well")
PYTHON
end_boot
[ "$status" -eq 0 ] || fail "the look inside ended with status $status"
[ -e "$work/control" ] && [ -S "$work/control" ] && fail 'the control socket is left'
has_not console '^inspect: (a read failed|the guest has the port)'
