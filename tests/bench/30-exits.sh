#!/usr/bin/env bash
# VM exits per 4 KiB read in the guest, at depth 1 and 32, counted by the monitor; and beside it, for the same guest without Undercroft, the accesses to QEMU's own
# emulated NVMe that would be exits. UNDERCROFT_BUILD: a build directory; the guest's program is built there.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/undercroft-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
reads=${UNDERCROFT_BENCH_READS:-2000}

g++ -O2 -static -std=c++20 "$root/tests/bench/guest/io_load.cpp" -o "$work/io_load"
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

echo 'booting the guest on Undercroft (encrypted disk)'
"$root/undercroft" boot --no-build --cpus 1 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' \
    --nvme "$work/disk" --console "$work/console" --log "$work/log" --timeout 300 </dev/null >/dev/null
sums "$work/log" >"$work/ours"

echo 'booting the same guest on QEMU alone, with its own NVMe'
timeout 300 qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 1 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$root/build/guest/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet' -serial "file:$work/peer.console" \
    -device isa-debugcon,iobase=0xe9,chardev=marks -chardev "file,id=marks,path=$work/marks" \
    -drive "if=none,id=d,format=raw,file=$work/disk" -device nvme,serial=peer,drive=d \
    -trace memory_region_ops_write -trace memory_region_ops_read -D "$work/trace" </dev/null
# Accesses to the NVMe between the last character of one mark and the first of the next.
awk '/name .isa-debugcon/ { if (!inside && count) print count; inside = 1; count = 0; next }
     /name .nvme/ { count++; inside = 0; next } { if (inside && /memory_region_ops/) inside = 0 }' "$work/trace" >"$work/peer.all" || true

mapfile -t modes < <(printf '%s\n' 'depth 1' 'depth 32, submitted one by one' 'depth 32, submitted together')
printf '\n%-34s %10s %12s %8s %10s %8s\n' '4 KiB reads, 1 processor' 'exits/IO' 'NVMe traps' 'halts' 'interrupts' 'MSRs'
index=0
while read -r exits memory halt interrupt msr; do
    printf '%-34s' "${modes[$index]}"
    for value in "$exits" "$memory" "$halt" "$interrupt" "$msr"; do
        awk -v v="$value" -v n="$reads" 'BEGIN { printf " %10.3f", v / n }'
    done
    echo
    index=$((index + 1))
done <"$work/ours"
grep -h '^io_load' "$work/console" "$work/peer.console" || true
