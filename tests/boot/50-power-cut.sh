#!/usr/bin/env bash
# Ten times, QEMU is killed in the middle of writes, at another moment each time, and on another of the controllers that have writable disks;
# whatever the guest had been told was flushed is in the physical image.
. "$(dirname "$0")/support.sh"
runs=${UNDERCROFT_POWER_CUTS:-10}
block_bytes=16384
protocols=(NVME SCSI IDE VIRTIO_BLK)
declare -A guest_name=([NVME]=nvme0n1 [SCSI]=sda [IDE]=sda [VIRTIO_BLK]=vda)
declare -A place=([NVME]='"location": 1' [SCSI]='"location": 0' [IDE]='"channel": 0, "location": 0' [VIRTIO_BLK]='"location": 0')

cat >"$work/script" <<'SCRIPT'
# Writes numbered blocks for ever, each flushed before the next; says so on the console after each flush.
disk=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^undercroft.disk=//p')
number=0
while :; do
    yes "undercroft block $number" | head -c 16384 >/tmp/block
    dd if=/tmp/block of=$disk bs=16384 seek=$number conv=notrunc,fsync 2>/dev/null || { echo "write failed"; exit 1; }
    echo "flushed $number."
    number=$((number + 1))
done
SCRIPT
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" || fail 'no initrd'
head -c 64 /dev/urandom >"$work/key"

# power_cut RUN: boots, waits for the first flush and some more time, kills QEMU, and compares.
power_cut() {
    local disk=$work/disk.$1 console=$work/console.$1 log=$work/log.$1 launcher pid tries=0 last
    local protocol=${protocols[($1 - 1) % ${#protocols[@]}]}
    truncate -s 64M "$disk"
    : >"$console"
    cat >"$work/config.$1" <<JSON
{"version": 1, "storage_controllers": [{"protocol": "$protocol", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
  {${place[$protocol]}, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]}]}
JSON
    # exec: the launcher's own process id, whose child is QEMU.
    ( exec "$root/undercroft" boot --no-build --accel tcg --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" \
        --append "console=ttyS0 quiet undercroft.disk=/dev/${guest_name[$protocol]}" --config "$work/config.$1" --nvme "$disk" --key "demo=$work/key" --console "$console" --log "$log" --timeout 120 ) >"$work/launcher.$1" 2>&1 </dev/null &
    launcher=$!
    until grep -q '^flushed 3\.' "$console"; do
        sleep 0.2
        tries=$((tries + 1))
        if [ "$tries" -ge 450 ] || ! kill -0 "$launcher" 2>/dev/null; then
            cat "$work/launcher.$1"
            tail -n 20 "$console" "$log"
            echo "run $1: the guest flushed nothing"
            return 1
        fi
    done
    sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
    pid=$(pgrep -P "$launcher" -f qemu-system) || { echo "run $1: QEMU is gone already"; return 1; }
    kill -9 "$pid"
    wait "$launcher"
    last=$(grep -o '^flushed [0-9]*\.' "$console" | tail -n 1 | tr -dc 0-9)
    "$root/tests/support/decrypt_image.py" "$disk" "$work/key" "$work/plain.$1" >"$work/decrypt.$1" 2>&1 || { cat "$work/decrypt.$1"; return 1; }
    for ((number = 0; number <= last; ++number)); do
        yes "undercroft block $number" | head -c "$block_bytes" |
            cmp -s - <(dd if="$work/plain.$1" bs="$block_bytes" skip="$number" count=1 status=none) || {
            echo "run $1: block $number of $last was flushed and is lost"
            return 1
        }
    done
    echo "run $1, $protocol: $((last + 1)) flushed blocks are there"
    rm -f "$disk" "$work/plain.$1"
}

for ((run = 1; run <= runs; ++run)); do
    power_cut "$run" || fail "run $run"
done
