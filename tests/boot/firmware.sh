# Checks of --firmware seabios share this: images with Debian's GRUB, and boots from them. Nothing of the guest comes from outside its disks. Sourced,
# not run.
# shellcheck shell=bash
# shellcheck source=tests/boot/support.sh
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"
grub=/usr/lib/grub/i386-pc

# make_boot_image: $work/image, made by grub-mkrescue, which firmware boots from a CD drive as from a disk. GRUB loads a kernel and an initrd from it;
# its only program prints a line and switches off.
make_boot_image() {
    local tree=$work/tree modules
    mkdir -p "$work/initrd/bin" "$tree/boot/grub"
    cp /bin/busybox "$work/initrd/bin/"
    cat >"$work/initrd/init" <<'SCRIPT'
#!/bin/busybox sh
/bin/busybox mkdir /proc
/bin/busybox mount -t proc proc /proc
/bin/busybox echo "firmware: user space on $(/bin/busybox nproc) processors"
/bin/busybox poweroff -f
SCRIPT
    chmod +x "$work/initrd/init"
    (cd "$work/initrd" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$tree/boot/initrd"
    cp "$root/build/guest/vmlinuz" "$tree/boot/"
    cat >"$tree/boot/grub/grub.cfg" <<'CONFIG'
echo "firmware: GRUB runs"
linux /boot/vmlinuz console=ttyS0 quiet panic=-1
initrd /boot/initrd
boot
CONFIG
    # What GRUB's own start-up script asks for, and what the one above does.
    modules="linux normal iso9660 biosdisk echo boot configfile search $(basename -s .mod -a "$grub"/part_*.mod | tr '\n' ' ')"
    grub-mkrescue -d "$grub" --fonts= --locales= --themes= --install-modules="$modules" -o "$work/image" "$tree" >"$work/mkrescue" 2>&1 ||
        { cat "$work/mkrescue"; fail 'grub-mkrescue made no image'; }
}

# encrypt FROM TO: as a physical disk holds it.
encrypt() { "$root/boot/demo/encrypt_image.py" "$1" "$work/key" "$2" || fail "$1 was not encrypted"; }

# firmware_boot STATUS CONTROLLERS [OPTION...]: SeaBIOS with the disk $work/disk behind the controllers (JSON).
firmware_boot() {
    local status=$1
    printf '{"version": 1, "storage_controllers": [%s]}' "$2" >"$work/config.json"
    shift 2
    boot "$status" --firmware seabios --memory 256 --config "$work/config.json" --nvme "$work/disk" --key "demo=$work/key" --timeout 240 "$@"
    has log '^guest: SeaBIOS \(version'
    has_not log 'is not emulated'
}

# console_text: without what moves the cursor, which firmware's console does in the middle of lines.
console_text() { sed 's/\x1b\[[0-9;]*[A-Za-z]//g' "$work/console" | tr -d '\r'; }
# shows PATTERN: a line of the console matches.
shows() { console_text | grep -Eq -- "$1" || fail "the console does not show: $1"; }

# booted_linux PROCESSORS: the kernel on the disk reached user space.
booted_linux() {
    shows 'firmware: GRUB runs'
    shows "^firmware: user space on $1 processors"
}
