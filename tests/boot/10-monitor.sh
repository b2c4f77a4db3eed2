#!/usr/bin/env bash
# A stand-in for the VTL2 image exercises the monitor's interface: hypercalls good and bad, processors, a toy guest in 64-bit and real mode, interrupts
# both ways, an NVMe function's registers and MSI-X. On 1, 2 and 4 processors.
# shellcheck source=tests/boot/support.sh
. "$(dirname "$0")/support.sh"
export UNDERCROFT_IMAGE=$build/monitor_exercise.elf
: >"$work/kernel"
head -c 64 /dev/urandom >"$work/key"
for cpus in 1 2 4; do
    boot 0 --kernel "$work/kernel" --nvme "$work/disk" --key "demo=$work/key" --cpus "$cpus" --timeout 60
    has log '^0 failed'
    has_not log '(^|: )FAIL'
    has log 'monitor: vtl0 first instruction after'
done
# The guest gets all but 16 MiB.
boot 0 --kernel "$work/kernel" --nvme "$work/disk" --key "demo=$work/key" --cpus 2 --memory 1024 --timeout 60
guest_kib=$(sed -nE 's/.*monitor: memory .* guest=([0-9]+) KiB.*/\1/p' "$work/log")
[ "$guest_kib" -ge $((1008 * 1024)) ] || fail "the guest has $guest_kib KiB of 1 GiB"
