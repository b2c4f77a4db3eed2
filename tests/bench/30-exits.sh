#!/usr/bin/env bash
# VM exits per 4 KiB read in the guest, at depth 1 and 32, counted by the monitor; and beside it, for the same guest without Undercroft, the accesses to QEMU's own
# emulated NVMe that would be exits.
#
# Counts depend on time: on how many reads are on their way when one completes. An emulated processor is slower than a real one by a factor of hundreds, so the
# disk is given a latency to match; with QEMU's own speed a depth of 32 would never be more than one or two in the device.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/undercroft-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
reads=${UNDERCROFT_BENCH_READS:-1000}

clang++-19 -O2 -static -std=c++20 "$root/tests/bench/guest/io_load.cpp" -o "$work/io_load"
cat >"$work/script" <<SCRIPT
for mode in '1 single' '32 single' '32 batched'; do
    set -- \$mode
    /io_load /dev/nvme0n1 \$1 $reads \$2
done
SCRIPT
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" --add "$work/io_load=/io_load"
truncate -s 64M "$work/disk"

# sums LOG: for each pair of marks, the differences of the counters, summed over the processors: "vtl0_exits memory halt interrupt".
sums() {
    awk '/statistics vp=/ {
        for (i = 1; i <= NF; ++i) if (split($i, pair, "=") == 2) value[pair[1]] = pair[2]
        if (value["vp"] == 0) ++marks
        total[marks, "vtl0_exits"] += value["vtl0_exits"]; total[marks, "memory"] += value["memory"]
        total[marks, "halt"] += value["halt"]; total[marks, "interrupt"] += value["interrupt"]; total[marks, "msr"] += value["msr"]
    } END {
        for (m = 1; m < marks; m += 2)
            print total[m + 1, "vtl0_exits"] - total[m, "vtl0_exits"], total[m + 1, "memory"] - total[m, "memory"],
                total[m + 1, "halt"] - total[m, "halt"], total[m + 1, "interrupt"] - total[m, "interrupt"], total[m + 1, "msr"] - total[m, "msr"]
    }' "$1"
}

latency_ns=${UNDERCROFT_BENCH_LATENCY_NS:-16000000}
device="driver=null-co,node-name=slow,size=67108864,read-zeroes=on,latency-ns=$latency_ns"
head -c 64 /dev/urandom >"$work/key"
cat >"$work/config.json" <<'JSON'
{ "version": 1, "storage_controllers": [ { "protocol": "NVME", "instance_id": "7a8203e1-4c4d-4b0a-9d0c-6f3d7d1c5a01", "luns": [
    { "location": 1, "disk": "crypt:xts-aes-256:bench:nvme:0000:00:05.0/1" } ] } ] }
JSON
echo 'booting the guest on Undercroft (encrypted disk)'
arguments=()
for argument in -blockdev "$device" -device nvme,serial=slow,drive=slow,addr=5; do
    arguments+=(--qemu-arg "$argument")
done
"$root/undercroft" boot --no-build --cpus 1 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' \
    --config "$work/config.json" --key bench="$work/key" --nvme "$work/disk" --console "$work/console" --log "$work/log" --timeout 300 \
    "${arguments[@]}" </dev/null >/dev/null
sums "$work/log" >"$work/ours"

echo 'booting the same guest on QEMU alone, with its own NVMe'
# The trace is filtered on its way: what the guest's other devices do would fill a disk on a slow machine.
mkfifo "$work/trace"
awk '/name .isa-debugcon/ { if (!inside) { if (++marks % 2 == 0) print count; count = 0 } inside = 1; next }
     { inside = 0 } /name .nvme/ { ++count }' "$work/trace" >"$work/peer" &
counter=$!
timeout 300 qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 1 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$root/build/guest/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet' -serial "file:$work/peer.console" \
    -device isa-debugcon,iobase=0xe9,chardev=marks -chardev "file,id=marks,path=$work/marks" \
    -blockdev "$device" -device nvme,serial=peer,drive=slow \
    -trace memory_region_ops_write -trace memory_region_ops_read -D "$work/trace" </dev/null
wait "$counter"

mapfile -t modes < <(printf '%s\n' 'depth 1' 'depth 32, submitted one by one' 'depth 32, submitted together')
for side in ours peer; do
    (($(wc -l <"$work/$side") == ${#modes[@]})) || {
        echo "30-exits: the guest did not run to its end; its console:" >&2
        tail -n 20 "$work/${side/ours/}"*console >&2
        exit 1
    }
done
printf '\nA 4 KiB read on one processor, disk encrypted by Undercroft; per read:\n'
printf '%-34s %11s %11s %7s | %9s %7s %11s %6s\n' '' 'NVMe traps' "QEMU's NVMe" 'ratio' 'all exits' 'halts' 'interrupts' 'MSRs'
paste -d ' ' "$work/ours" "$work/peer" | {
    index=0
    while read -r exits memory halt interrupt msr peer; do
        awk -v mode="${modes[$index]}" -v n="$reads" -v e="$exits" -v m="$memory" -v h="$halt" -v i="$interrupt" -v s="$msr" -v p="$peer" 'BEGIN {
            printf "%-34s %11.3f %11.3f %7.2f | %9.3f %7.3f %11.3f %6.3f\n", mode, m / n, p / n, m / p, e / n, h / n, i / n, s / n }'
        index=$((index + 1))
    done
}
