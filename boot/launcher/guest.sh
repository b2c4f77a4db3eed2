# shellcheck shell=bash disable=SC2034
# The demonstration guest: a kernel of Debian's, unpacked from its package and never installed here, and an initrd of busybox and
# e2fsprogs around boot/demo/init. Both are made once: of the cloud kernel, which starts sooner, in build/guest, of the full one in
# build/guest/full. Verb initrd adds a script to such an initrd.

guest=${build:?}/guest
guest_kernel=$guest/vmlinuz
guest_initrd=$guest/initrd
# Loaded in this order with what they depend on; those that the kernel has built in are left out.
guest_modules=(nvme ext4 virtio_pci virtio_blk virtio_scsi ata_piix sd_mod sr_mod isofs)
guest_programs=(/sbin/mke2fs /sbin/e2fsck)

# The cloud kernel lacks drivers for what only old machines have, such as floppies.
guest_package=linux-image-cloud-amd64

make_guest() {
    install_packages "${packages_boot[@]}"
    mkdir -p "$guest"
    exec 7>"$guest/.lock"
    flock 7
    [[ -f $guest_kernel ]] || download_kernel
    make_initrd
    exec 7>&-
}

# use_full_guest: from now on the guest is the one with the full kernel.
use_full_guest() {
    guest=$build/guest/full
    guest_kernel=$guest/vmlinuz
    guest_initrd=$guest/initrd
    guest_package=linux-image-amd64
    guest_modules=(nvme ext4 virtio_pci virtio_blk virtio_scsi ata_piix sd_mod sr_mod sg isofs vfat nls_cp437 nls_ascii floppy)
}

download_kernel() {
    local package deb folder=$guest/download
    step "downloading a Debian kernel for the guest (once): $guest_package"
    package=$(apt-cache depends "$guest_package" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [[ -n $package ]] || die "$status_build_failed" "apt knows no $guest_package; run apt-get update"
    rm -rf "$folder" "$guest/root"
    mkdir -p "$folder" "$guest/root"
    (cd "$folder" && apt-get -q -o APT::Sandbox::User=root download "$package") >"$guest/download.log" 2>&1 ||
        die "$status_build_failed" "$package could not be downloaded; see ${guest#"$root"/}/download.log"
    deb=$(find "$folder" -name '*.deb')
    dpkg-deb -x "$deb" "$guest/root"
    /sbin/depmod -b "$guest/root" "$(guest_release)"
    cp "$guest/root/boot/vmlinuz-$(guest_release)" "$guest_kernel.new"
    mv "$guest_kernel.new" "$guest_kernel"
}

guest_release() { basename "$guest/root/lib/modules/"*; }

# make_initrd: unless it was made from the same parts before.
make_initrd() {
    local hash tree=$guest/initrd.tree
    hash=$({ declare -f make_initrd fill_initrd copy_program copy_modules; echo "${guest_modules[*]} $(guest_release)"
        cat "$root/boot/demo/init" /bin/busybox "${guest_programs[@]}"; } | sha256sum)
    [[ -f $guest_initrd && $(cat "$guest/initrd.hash" 2>/dev/null) == "$hash" ]] && return
    step "making the guest's initrd"
    rm -rf "$tree"
    mkdir -p "$tree"
    fill_initrd "$tree"
    pack_initrd "$tree" "$guest_initrd.new"
    mv "$guest_initrd.new" "$guest_initrd"
    echo "$hash" >"$guest/initrd.hash"
    rm -rf "$tree"
}

fill_initrd() {
    local tree=$1 program
    mkdir -p "$tree"/{bin,sbin,dev,proc,sys,undercroft}
    cp "$root/boot/demo/init" "$tree/init"
    cp /bin/busybox "$tree/bin/busybox"
    for program in "${guest_programs[@]}"; do
        copy_program "$tree" "$program"
    done
    ln -s mke2fs "$tree/sbin/mkfs.ext4"
    ln -s e2fsck "$tree/sbin/fsck.ext4"
    [[ -f /etc/mke2fs.conf ]] && mkdir -p "$tree/etc" && cp /etc/mke2fs.conf "$tree/etc/"
    copy_modules "$tree"
}

# copy_program TREE FILE: the program and the shared libraries that it names.
copy_program() {
    local library
    cp "$2" "$1/sbin/"
    while read -r library; do
        mkdir -p "$1$(dirname "$library")"
        cp -L "$library" "$1$library"
    done < <(ldd "$2" | grep -o '/[^ ]*')
}

copy_modules() {
    local tree=$1 module path
    : >"$tree/undercroft/modules"
    for module in "${guest_modules[@]}"; do
        while read -r path; do
            cp -n "$path" "$tree/undercroft/"
            grep -qxF "$(basename "$path")" "$tree/undercroft/modules" || basename "$path" >>"$tree/undercroft/modules"
        done < <(/sbin/modprobe -d "$guest/root" -S "$(guest_release)" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p')
    done
}

pack_initrd() {
    (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --quiet --null -o -H newc -R 0:0) >"$2"
}

help_initrd() {
    cat <<'TEXT'
Usage: ./undercroft initrd --output FILE --script FILE [--add FILE=PATH]... [--full]

Makes an initrd for `boot --initrd`: the demonstration guest's, which runs the given script instead of a shell and powers off when
that ends. The script has busybox, mkfs.ext4 and e2fsck, and the disks under /dev.
  --output FILE      where the initrd goes
  --script FILE      a script for busybox's sh
  --add FILE=PATH    puts a file of this machine at PATH in the guest; may be repeated
  --full             for the full Debian kernel, which has drivers for IDE, CD-ROM and floppy: build/guest/full/vmlinuz
TEXT
}

verb_initrd() {
    option --output value
    option --script value
    option --add list
    option --full flag
    parse_options initrd "$@"
    [[ -n ${options[--output]} && -n ${options[--script]} ]] || refuse 'initrd needs --output and --script; see ./undercroft initrd --help'
    require_file --script "${options[--script]}"
    local additions addition
    list_of --add additions
    [[ -z ${options[--full]} ]] || use_full_guest
    make_guest
    make_run_folder
    mkdir -p "$run_folder/tree/undercroft"
    cp "${options[--script]}" "$run_folder/tree/undercroft/run"
    for addition in "${additions[@]}"; do
        [[ $addition == *=/* ]] || refuse "--add is '$addition'; it has to be FILE=/PATH"
        require_file --add "${addition%%=*}"
        mkdir -p "$run_folder/tree$(dirname "${addition#*=}")"
        cp "${addition%%=*}" "$run_folder/tree${addition#*=}"
    done
    # Linux unpacks archives one after the other: the second adds to the first.
    pack_initrd "$run_folder/tree" "$run_folder/addition"
    cat "$guest_initrd" "$run_folder/addition" >"${options[--output]}"
}
