#!/usr/bin/env bash
# A Linux guest in QEMU on the vhost-user-scsi server: two disks behind Debian's virtio_scsi and sd_mod, data verified under load on several queues;
# a resize that the guest sees without being told to look; what sg3_utils reads of disks, and what errors become.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)

additions=()
add_modules "$folder" virtio_pci virtio_scsi sd_mod sg
add_programs "${scsi_check_programs[@]}"

echo "$load_added_modules" >"$folder/script"
cat >>"$folder/script" <<'GUEST'
stop() { echo "RESULT $*"; dmesg | grep -iE 'sd |scsi|virtio' | tail -n 8; poweroff -f; }
tries=0
until [ -b /dev/sda ] && [ -b /dev/sdb ]; do tries=$((tries + 1)); [ $tries -lt 200 ] || stop 'no disk'; sleep 0.1; done
# Disks are probed side by side: the first LUN may have got either name.
for disk in sda sdb; do
    case $(readlink /sys/block/$disk) in *:0/block/*) first=$disk ;; *) second=$disk ;; esac
done
echo "DISKS $(cat /sys/block/$first/size) $(cat /sys/block/$second/size) $(cat /sys/block/$first/queue/write_cache) $(cat /sys/block/$first/device/vendor)"
sg_inq /dev/$first | grep -E 'Vendor|Product id' | sed 's/^/INQ/'
sg_vpd -p bl /dev/$first | grep -iE 'unmap' | head -n 2 | sed 's/^/VPD/'
sg_readcap -l /dev/$first | grep -E 'Last LBA|lbpme' | sed 's/^/CAP/'
mount -t tmpfs tmpfs /tmp
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
work() {
    disk=$first; [ $1 -lt 2 ] || disk=$second
    for round in 1 2 3 4; do
        dd if=/tmp/data of=/dev/$disk bs=64k seek=$(($1 % 2 * 64)) conv=notrunc oflag=direct 2>/dev/null || { echo "write $1" >>/tmp/bad; return; }
        dd if=/dev/$disk of=/tmp/back.$1 bs=64k skip=$(($1 % 2 * 64)) count=64 iflag=direct 2>/dev/null || { echo "read $1" >>/tmp/bad; return; }
        cmp /tmp/data /tmp/back.$1 || { echo "differs $1" >>/tmp/bad; return; }
    done
}
work 0 & work 1 & work 2 & work 3 & wait
[ ! -e /tmp/bad ] || stop "bad: $(cat /tmp/bad)"
sg_reset -d /dev/$first && echo 'RESET done'
dd if=/dev/$first of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null || stop 'nothing to read after a reset'
echo RESIZE
size=$(cat /sys/block/$first/size)
tries=0
while [ "$(cat /sys/block/$first/size)" = "$size" ]; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || stop 'no resize seen'
    sleep 0.1
done
echo "SIZE $(cat /sys/block/$first/size)"
dmesg | grep -q 'I/O error' && stop 'an I/O error'
sync
stop good
GUEST
"$root/undercroft" initrd --output "$folder/initrd" --script "$folder/script" "${additions[@]}" >"$folder/initrd.log" 2>&1 || { cat "$folder/initrd.log"; fail 'no initrd'; }

guest_said() { grep -qE "$1" "$console" || { cat "$console"; fail "the guest does not say '$1'"; }; }

# run_guest packed=on|off
run_guest() {
    rm -f "$folder/disk"
    truncate -s 32M "$folder/disk"
    start_server --vhost-user-scsi "$socket" --queues 2 "file:$folder/disk" --export second=mem:16M
    start_guest 150 '' "vhost-user-scsi-pci,num_queues=2,$1" undercroft.disk=/dev/sda
    wait_for 'RESIZE\|RESULT'
    truncate -s 48M "$folder/disk"
    wait_for RESULT
    grep -q 'RESULT good' "$console" || { cat "$console" "$folder/qemu.log"; fail "the guest found something wrong ($1)"; }
    guest_said '^DISKS 65536 32768 write back UNDRCRFT'
    guest_said '^INQ.*Virtual Disk'
    guest_said '^VPD.*[Uu]nmap'
    guest_said '^CAP.*lbpme=1'
    guest_said '^RESET done'
    guest_said '^SIZE 98304'
    wait "$qemu" || true
    stop_server
}

run_guest packed=off
run_guest packed=on

# What every command answers, and every kind of error: the same questions as the image's guest is asked (tests/boot/18-scsi-commands.sh).
scsi_check_script 65536 4 undercroft-0 >"$folder/checks"
"$root/undercroft" initrd --output "$folder/initrd" --script "$folder/checks" "${additions[@]}" >"$folder/initrd.log" 2>&1 ||
    { cat "$folder/initrd.log"; fail 'no initrd'; }
truncate -s 4T "$folder/large"
start_server --vhost-user-scsi "$socket" --queues 2 prwrap:mem:32M --export "faulty=fault:$scsi_error_rules:mem:1M" \
    --export 'slow=delay:0;write=400ms:mem:1M' --export "large=file:$folder/large"
start_guest 200 "" vhost-user-scsi-pci,num_queues=2 undercroft.disk=/dev/sda
wait_for '^scsi: [0-9]* checks'
grep -q '^scsi: bad' "$console" && { grep '^scsi:' "$console"; fail 'the guest got wrong answers'; }
guest_said '^scsi: [0-9]+ checks, 0 bad'
wait "$qemu" || true
stop_server
