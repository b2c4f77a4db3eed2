#!/usr/bin/env bash
# SeaBIOS boots from an encrypted floppy disk: GRUB's boot sector, its core in the reserved sectors of a FAT, and a file that GRUB prints. GRUB then
# switches the machine off, for which it has to find the ACPI tables and understand the DSDT.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
reserved_sectors=200
cat >"$work/grub.cfg" <<'CONFIG'
cat (fd0)/payload
halt
CONFIG
grub-mkimage -d "$grub" -O i386-pc -p '(fd0)/' -c "$work/grub.cfg" -o "$work/core" biosdisk fat cat halt || fail 'no core image'
[ "$(stat -c %s "$work/core")" -le $(((reserved_sectors - 1) * 512)) ] || fail 'the core image is larger than its place'
mformat -C -i "$work/image" -f 1440 -R $reserved_sectors -v MARK :: || fail 'no FAT'
# In the second half of the disk, and more than a track long.
head -c 700k /dev/zero >"$work/filler"
seq -f 'firmware: line %04g of the payload, which GRUB reads' 1 200 >"$work/payload"
mcopy -i "$work/image" "$work/filler" "$work/payload" :: || fail 'no file'
# The boot sector around the FAT's parameters, which end at 0x5A.
dd if="$grub/boot.img" of="$work/image" bs=1 count=3 conv=notrunc 2>/dev/null
dd if="$grub/boot.img" of="$work/image" bs=1 skip=90 seek=90 count=420 conv=notrunc 2>/dev/null
dd if="$work/core" of="$work/image" bs=512 seek=1 conv=notrunc 2>/dev/null
encrypt "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "FLOPPY", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b74", "luns": [
  {"location": 0, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]}' --cpus 1
shows 'Booting from Floppy'
# Firmware's console joins two lines now and then, and on a busy machine loses a character: a line or two may be missing, none may be another.
grep -oE '^.* ' "$work/payload" >"$work/expected"
console_text | grep -oE 'firmware: line [0-9]+ of the payload, which GRUB ' | sort -u >"$work/read"
read=$(grep -cxFf "$work/expected" "$work/read")
[ "$read" -ge 190 ] || fail "GRUB showed $read of 200 lines"
