#!/usr/bin/env bash
# The full Debian kernel's ata_piix on an IDE controller: encrypted disks on both channels by bus master, with checksums over direct and cached
# I/O, ext4 and TRIM; hdparm's identity, sector TRIM, security and power modes. On 1 and 2 processors.
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"

cat >"$work/write" <<'SCRIPT'
say() { echo "ide: $*"; }
# Linux names disks in the order in which it finds them.
for block in /sys/block/sd*; do
    case $(cat "$block/device/model") in
    First*) first=${block##*/} ;;
    Second*) second=${block##*/} ;;
    Third*) third=${block##*/} ;;
    esac
done
dmesg | grep -E 'ata[12]\.0[01]: (ATA|configured)|ata[12]: PATA' | sed 's/^/ide: /'
[ -n "$first" ] && [ -n "$second" ] && [ -n "$third" ] || { say "disks are missing"; dmesg | grep -i ata; exit 1; }
mkfs.ext4 -q -F "/dev/$first" && mount -t ext4 "/dev/$first" /mnt || { say "no file system"; exit 1; }
seq 1 400000 >/mnt/payload
sync
umount /mnt
mount -t ext4 -o ro "/dev/$first" /mnt || { say "cannot mount again"; exit 1; }
say "ext4 $(sha256sum </mnt/payload | cut -d' ' -f1)"
umount /mnt
# Two drives of one channel, and one of the other, at the same time; sizes that are no multiple of anything.
seq 1 300000 >/tmp/data
for disk in "$first" "$second" "$third"; do
    (dd if=/tmp/data of="/dev/$disk" bs=37k seek=20 conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches
     dd if="/dev/$disk" bs=37k skip=20 count=60 2>/dev/null | head -c "$(wc -c </tmp/data)" | sha256sum >"/tmp/sum.$disk") &
done
wait
for disk in "$first" "$second" "$third"; do
    say "raw $(cut -d' ' -f1 "/tmp/sum.$disk") of $(cat "/sys/block/$disk/size")"
done
dd if=/tmp/data of="/dev/$third" bs=4k count=256 oflag=direct conv=fsync 2>/dev/null && say "direct writes"
blkdiscard -f "/dev/$second" && dd if="/dev/$second" bs=1M count=1 2>/dev/null | cmp -s -n 1048576 - /dev/zero && say "trimmed"
# ACS-2: identity (7.12), TRIM (7.10), SECURITY SET PASSWORD is of a feature set that is not there, power modes (7.1, 7.52).
hdparm -I "/dev/$first" >/tmp/identity 2>&1
grep -q 'Model Number: *First' /tmp/identity && grep -q 'LBA48' /tmp/identity && grep -q '[*]udma2' /tmp/identity && say 'identity'
grep -q '[*].*Mandatory FLUSH_CACHE' /tmp/identity && grep -q '[*].*Data Set Management TRIM supported' /tmp/identity && say 'features'
hdparm --user-master u --security-set-pass secret "/dev/$first" >/tmp/security 2>&1
hdparm -I "/dev/$first" 2>&1 | grep -A3 '^Security' | grep -q '^[[:space:]]*enabled' || say 'security refused'
dd if=/tmp/data of="/dev/$second" bs=512 count=64 oflag=direct conv=fsync 2>/dev/null
hdparm --please-destroy-my-drive --trim-sector-ranges 8:16 "/dev/$second" >/dev/null 2>&1
dd if="/dev/$second" bs=512 count=64 iflag=direct of=/tmp/trimmed 2>/dev/null
dd if=/tmp/trimmed bs=512 skip=8 count=16 2>/dev/null | cmp -s -n 8192 - /dev/zero && cmp -s -n 4096 /tmp/trimmed /tmp/data && say 'sectors trimmed'
hdparm -y "/dev/$third" >/dev/null 2>&1
say "after -y $(hdparm -C "/dev/$third" 2>/dev/null | sed -n 's/.*drive state is: *//p')"
dd if="/dev/$third" of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null
say "after a read $(hdparm -C "/dev/$third" 2>/dev/null | sed -n 's/.*drive state is: *//p')"
say "errors $(dmesg | grep -cE 'ata[12].*(exception|failed|error|timeout)')"
dmesg | grep -E 'ata[12].*(exception|failed|error|timeout)' | head
SCRIPT
additions=()
add_programs hdparm
"$root/undercroft" initrd --full --output "$work/initrd" --script "$work/write" "${additions[@]}" || fail 'no initrd'
cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [{"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5e", "luns": [
  {"channel": 0, "location": 0, "model_number": "First", "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"},
  {"channel": 0, "location": 1, "model_number": "Second", "disk": "mem:3M"},
  {"channel": 1, "location": 0, "model_number": "Third", "disk": "crypt:xts-aes-256:demo:nvme:0000:00:04.0/1"}]}]}
JSON
truncate -s 32M "$work/other"
ext4=$(seq 1 400000 | sha256sum | cut -d' ' -f1)
raw=$(seq 1 300000 | sha256sum | cut -d' ' -f1)
for cpus in 1 2; do
    boot 0 --cpus "$cpus" --kernel "$root/build/guest/full/vmlinuz" --initrd "$work/initrd" --append "console=ttyS0 quiet undercroft.disk=/dev/sdc" --config "$work/config.json" \
        --nvme "$work/disk" --nvme "$work/other" --key "demo=$work/key" --timeout 240
    has console "^ide: ext4 $ext4"
    [ "$(grep -c "^ide: raw $raw" "$work/console")" = 3 ] || fail 'a disk read back something else'
    has console 'ide: direct writes'
    has console 'ide: trimmed'
    for line in identity features 'security refused' 'sectors trimmed' 'after -y standby' 'after a read active/idle'; do
        has console "ide: $line"
    done
    has console 'ide: errors 0'
    if grep -aqF 399999 "$work/disk"; then fail 'plaintext on the physical disk'; fi
done
