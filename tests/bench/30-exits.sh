#!/usr/bin/env bash
# VM exits per 4 KiB read in the guest, at depth 1 and 32, for each kind of disk that Undercroft shows, counted by the monitor; and beside it, for the same guest
# without Undercroft, the accesses to QEMU's own emulated device that would be exits. UNDERCROFT_BENCH_PROTOCOLS (nvme virtio-scsi virtio-blk ide) and
# UNDERCROFT_BENCH_READS (400) change the length.
#
# Counts depend on time: on how many reads are on their way when one completes. An emulated processor is slower than a real one by a factor of hundreds, so the
# disk is given a latency to match; with QEMU's own speed a depth of 32 would never be more than one or two in the device.
# shellcheck disable=SC2016,SC2054,SC2317  # QEMU and awk read the commas and the quotes; two functions are called by name
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/undercroft-bench.XXXXXX")
started=()
finish() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
reads=${UNDERCROFT_BENCH_READS:-400}
latency_ns=${UNDERCROFT_BENCH_LATENCY_NS:-16000000}
seconds_max=300
device="driver=null-co,node-name=slow,size=67108864,read-zeroes=on,latency-ns=$latency_ns"
modes=('1 single' '32 single' '32 batched')
titles=('depth 1' 'depth 32, submitted one by one' 'depth 32, submitted together')

clang++-19 -O2 -static -std=c++20 "$root/tests/bench/guest/io_load.cpp" -o "$work/io_load"
head -c 64 /dev/urandom >"$work/key"
truncate -s 64M "$work/disk"
# make_initrd DISK OPTION...: a guest that reads DISK in each mode, and powers off.
make_initrd() {
    printf "/io_load $1 %s\n" "${modes[@]/ / $reads }" >"$work/script"
    "$root/undercroft" initrd --output "$work/initrd" --script "$work/script" --add "$work/io_load=/io_load" "${@:2}" >/dev/null
    append="console=ttyS0 quiet undercroft.disk=$1"
}

# sums LOG: for each pair of marks, the differences of the counters, summed over the processors: exits, those by a device's registers, halts, interrupts, MSRs.
sums() {
    awk '/statistics vp=/ {
        for (i = 1; i <= NF; ++i) if (split($i, pair, "=") == 2) value[pair[1]] = pair[2]
        if (value["vp"] == 0) ++marks
        total[marks, "all"] += value["vtl0_exits"]; total[marks, "device"] += value["memory"] + value["io_port"]
        total[marks, "halt"] += value["halt"]; total[marks, "interrupt"] += value["interrupt"]; total[marks, "msr"] += value["msr"]
    } END {
        for (m = 1; m < marks; m += 2)
            print total[m + 1, "all"] - total[m, "all"], total[m + 1, "device"] - total[m, "device"], total[m + 1, "halt"] - total[m, "halt"],
                total[m + 1, "interrupt"] - total[m, "interrupt"], total[m + 1, "msr"] - total[m, "msr"]
    }' "$1"
}

# ours PROTOCOL: counts into $work/ours.
ours() {
    local protocol=$1 argument arguments=()
    case $protocol in
    nvme) place='"location": 1' ;;
    ide) place='"channel": 0, "location": 0' ;;
    *) place='"location": 0' ;;
    esac
    name=${protocol^^}
    [[ $protocol == virtio-scsi ]] && name=SCSI
    cat >"$work/config.json" <<JSON
{ "version": 1, "storage_controllers": [ { "protocol": "${name//-/_}", "instance_id": "7a8203e1-4c4d-4b0a-9d0c-6f3d7d1c5a01", "luns": [
    { $place, "disk": "crypt:xts-aes-256:bench:nvme:0000:00:05.0/1" } ] } ] }
JSON
    for argument in -blockdev "$device" -device nvme,serial=slow,drive=slow,addr=5; do
        arguments+=(--qemu-arg "$argument")
    done
    "$root/undercroft" boot --no-build --cpus 1 --kernel "$kernel" --initrd "$work/initrd" --append "$append" \
        --config "$work/config.json" --key bench="$work/key" --nvme "$work/disk" --console "$work/console" --log "$work/log" --timeout "$seconds_max" \
        "${arguments[@]}" </dev/null >/dev/null || return 1
    sums "$work/log" >"$work/ours"
}

# peer PROTOCOL: counts into $work/peer. The trace is filtered on its way, for what the guest's other devices do would fill a disk on a slow machine. Both ends of
# the pipe end by themselves within a time, whatever becomes of the other.
peer() {
    local protocol=$1 machine=q35 regions counter arguments=()
    case $protocol in
    nvme) arguments=(-device nvme,serial=peer,drive=slow) regions='nvme' ;;
    virtio-blk) arguments=(-device virtio-blk-pci,drive=slow) regions='virtio-pci-(notify|isr)' ;;
    virtio-scsi) arguments=(-device virtio-scsi-pci,id=host -device scsi-hd,drive=slow,bus=host.0) regions='virtio-pci-(notify|isr)' ;;
    ide) machine=pc arguments=(-device ide-hd,drive=slow) regions='(ide|piix-bmdma|bmdma)' ;;
    esac
    rm -f "$work/trace"
    mkfifo "$work/trace"
    timeout "$((seconds_max + 20))" awk -v regions="name .$regions" '
        /name .isa-debugcon/ { if (!inside) { if (++marks % 2 == 0) print count; count = 0 } inside = 1; next }
        { inside = 0 } $0 ~ regions { ++count }' "$work/trace" >"$work/peer" &
    counter=$!
    started+=("$counter")
    timeout -k 5 "$seconds_max" qemu-system-x86_64 -machine "$machine,accel=tcg" -cpu max -smp 1 -m 1024 -nodefaults -no-user-config -display none -no-reboot \
        -kernel "$kernel" -initrd "$work/initrd" -append "$append" -serial "file:$work/peer.console" \
        -device isa-debugcon,iobase=0xe9,chardev=marks -chardev "file,id=marks,path=$work/marks" -blockdev "$device" "${arguments[@]}" \
        -trace memory_region_ops_write -trace memory_region_ops_read -D "$work/trace" </dev/null || true
    # QEMU may have ended before it opened the pipe: somebody has to, or its reader waits for ever.
    (exec 9<>"$work/trace") || true
    wait "$counter" || return 1
}

# once_more SIDE PROTOCOL: a guest under emulation now and then stops for a reason of the emulator's; it gets a second chance.
once_more() {
    local side=$1 try
    for try in 1 2; do
        "$side" "$2" && (($(wc -l <"$work/$side") == ${#modes[@]})) && return
        echo "  the guest did not run to its end (try $try); its console ends with:" >&2
        tail -n 5 "$work/${side/ours/}"*console >&2 || true
    done
    return 1
}

print_table() {
    local exits traps halt interrupt msr others index=0
    printf '%-34s %11s %13s %7s | %9s %7s %11s %6s\n' "$1" 'device' "QEMU's own" 'ratio' 'all exits' 'halts' 'interrupts' 'MSRs'
    paste -d ' ' "$work/ours" "$work/peer" | while read -r exits traps halt interrupt msr others; do
        awk -v mode="${titles[$index]}" -v n="$reads" -v e="$exits" -v t="$traps" -v h="$halt" -v i="$interrupt" -v s="$msr" -v p="$others" 'BEGIN {
            printf "  %-32s %11.3f %13.3f %7.2f | %9.3f %7.3f %11.3f %6.3f\n", mode, t / n, p / n, (p > 0 ? t / p : 0), e / n, h / n, i / n, s / n }'
        index=$((index + 1))
    done
}

status=0
echo 'Exits a 4 KiB read on one processor, disk encrypted by Undercroft: by registers of the disk'"'"'s controller (accesses for QEMU'"'"'s own), and all.'
for protocol in ${UNDERCROFT_BENCH_PROTOCOLS:-nvme virtio-scsi virtio-blk ide}; do
    case $protocol in
    ide | virtio-scsi) disk=/dev/sda kernel=$root/build/guest/full/vmlinuz options=(--full) ;;
    virtio-blk) disk=/dev/vda kernel=$root/build/guest/vmlinuz options=() ;;
    *) disk=/dev/nvme0n1 kernel=$root/build/guest/vmlinuz options=() ;;
    esac
    rm -f "$work/initrd"  # where one cannot be made, that of the disk before would do
    make_initrd "$disk" "${options[@]}"
    if once_more ours "$protocol" && once_more peer "$protocol"; then
        print_table "$protocol"
    else
        status=1
    fi
done
exit "$status"
