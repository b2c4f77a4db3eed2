#!/usr/bin/env bash
# sr_mod and isofs on an ATAPI drive of the IDE controller, beside a disk on the same channel: an image made with genisoimage, read by bus master;
# an empty drive on the other channel.
. "$(dirname "$0")/support.sh"
mkdir "$work/tree"
seq 1 500000 >"$work/tree/payload"
genisoimage -quiet -r -V UNDERCROFT -o "$work/disk" "$work/tree" || fail 'no image'

cat >"$work/read" <<'SCRIPT'
say() { echo "cdrom: $*"; }
dmesg | grep -E 'ata[12]\.0[01]: (ATAPI|configured)' | sed 's/^\[[^]]*\] /cdrom: /'
for drive in sr0 sr1; do
    mount -t iso9660 -o ro "/dev/$drive" /mnt 2>/dev/null && { say "sum $(sha256sum </mnt/payload | cut -d' ' -f1)"; umount /mnt; }
done
say "errors $(dmesg | grep -cE 'ata[12].*(exception|failed|timeout)')"
dmesg | grep -E 'ata[12].*(exception|failed|timeout)' | head
SCRIPT
"$root/undercroft" initrd --full --output "$work/initrd" --script "$work/read" || fail 'no initrd'
cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [{"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b60", "luns": [
  {"channel": 0, "location": 0, "disk": "mem:1M"}, {"channel": 0, "location": 1, "is_dvd": true, "disk": "nvme:0000:00:03.0/1"},
  {"channel": 1, "location": 0, "is_dvd": true}]}]}
JSON
boot 0 --kernel "$root/build/guest/full/vmlinuz" --initrd "$work/initrd" --append "console=ttyS0 quiet undercroft.disk=/dev/sr1" \
    --config "$work/config.json" --nvme "$work/disk" --timeout 240
has console 'ata1.01: ATAPI: Undercroft DVD-ROM'
has console "cdrom: sum $(sha256sum <"$work/tree/payload" | cut -d' ' -f1)"
has console 'cdrom: errors 0'
