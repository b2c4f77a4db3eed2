#!/usr/bin/env bash
# Linux's floppy driver on the 82077AA: two drives of different formats, FAT on an encrypted one, data by DMA both ways. What the guest wrote is
# ciphertext on the physical image, and FAT once software that is not ours has decrypted it.
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"
truncate -s 1440K "$work/disk"
truncate -s 720K "$work/other"
head -c 720K /dev/urandom >"$work/other"

cat >"$work/write" <<'SCRIPT'
say() { echo "floppy: $*"; }
dmesg | grep -iE 'floppy drive|FDC 0' | sed 's/^\[[^]]*\] /floppy: /'
mkfs.vfat /dev/fd0 || { say "no file system"; dmesg | tail; exit 1; }
mount -t vfat /dev/fd0 /mnt || { say "cannot mount"; dmesg | tail; exit 1; }
seq 1 100000 | sed 's/^/UNDERCROFT /' | head -c 900000 >/mnt/payload
sync
umount /mnt
mount -t vfat -o ro /dev/fd0 /mnt
say "fat $(sha256sum </mnt/payload | cut -d' ' -f1)"
umount /mnt
say "other $(sha256sum </dev/fd1 | cut -d' ' -f1)"
# "timeout handler died" is what the driver says of a request that comes while it is arming its timer for another: nothing timed out.
say "errors $(dmesg | grep -v 'timeout handler died' | grep -cE 'floppy.*(error|timeout|reset)|I/O error, dev fd')"
dmesg | grep -E 'floppy|dev fd' | head
SCRIPT
"$root/undercroft" initrd --full --output "$work/initrd" --script "$work/write" --add /sbin/mkfs.fat=/sbin/mkfs.vfat || fail 'no initrd'
cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [{"protocol": "FLOPPY", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5f", "luns": [
  {"location": 0, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}, {"location": 1, "disk": "nvme:0000:00:04.0/1"}]}]}
JSON
boot 0 --kernel "$root/build/guest/full/vmlinuz" --initrd "$work/initrd" --append "console=ttyS0 quiet undercroft.disk=/dev/fd0" \
    --config "$work/config.json" --nvme "$work/disk" --nvme "$work/other" --key "demo=$work/key" --timeout 240
has console 'floppy: FDC 0 is a post-1991 82077'
has console "floppy: fat $(seq 1 100000 | sed 's/^/UNDERCROFT /' | head -c 900000 | sha256sum | cut -d' ' -f1)"
has console "floppy: other $(sha256sum <"$work/other" | cut -d' ' -f1)"
has console 'floppy: errors 0'
if grep -aqF 'UNDERCROFT 1' "$work/disk"; then fail 'plaintext on the physical disk'; fi
"$root/tests/support/decrypt_image.py" "$work/disk" "$work/key" "$work/plain" >"$work/decrypt" 2>&1 || { cat "$work/decrypt"; fail 'decrypting'; }
grep -aqF 'UNDERCROFT 1' "$work/plain" || fail 'the decrypted image lacks what the guest wrote'
