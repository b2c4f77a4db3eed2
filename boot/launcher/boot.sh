# shellcheck shell=bash
# Verb boot: options, defaults, one run of the machine.

help_boot() {
    cat <<'TEXT'
Usage: ./undercroft boot [OPTION]...

Boots a guest on encrypted disks: QEMU runs Undercroft, Undercroft runs the guest. Without options the guest is Debian's kernel with a
small initrd, and has demonstration disks, one of each kind; its console is this terminal. Ctrl-C stops the machine.

  --config FILE     configuration (JSON); default: with --nvme each of those as an NVMe disk, otherwise a disk of each kind, all of
                    them encrypted under the key 'demo'
  --firmware linux|seabios   linux loads the kernel that --guest or --kernel name; seabios starts Debian's SeaBIOS, which boots from the
                    guest's own disks in the configuration's order, with the serial port as its console (linux)
  --guest full|cloud   Debian's full kernel, or the one for clouds, which starts sooner and has no floppy driver (full)
  --kernel FILE     the guest's kernel, a bzImage, instead of those
  --initrd FILE     the guest's initrd; with --kernel there is none unless it is given
  --append STR      added to the guest's command line
  --cpus N          virtual processors, 1 to 64 (2)
  --memory MIB      memory of the machine (1024)
  --nvme FILE       attaches an image as a physical NVMe disk at 0000:00:03.0 and up; may be repeated
                    (default: the demonstration's, in build/demo)
  --key NAME=FILE   a key of 64 bytes that the configuration names; may be repeated (default: demo=build/demo/demo.key)
  --accel auto|tcg|kvm   auto takes KVM only where nested virtualization works (auto)
  --timeout S       stop after S seconds (no limit)
  --console FILE    the guest's console goes to a file instead, without input
  --log FILE        Undercroft's own log (build/log/boot-TIME-PID.log)
  --control PATH    a socket at which undercroft inspect looks into the image, or none (one that it finds by itself)
  --qemu-arg ARG    one more argument for QEMU; may be repeated
  --demo            file systems, writes, power off, boot again, read back, on a disk of each kind; then decrypt the physical
                    images with software that is not ours; on images of its own
  --no-build        boot what is there, without looking whether it is up to date
  --dry-run         print the QEMU command, write the default configuration that it names, do nothing else

Environment: UNDERCROFT_IMAGE names another image to boot.

Exit status:
   0 the guest powered off              10 the guest took a triple fault
   1 usage                              11 the VTL2 image panicked
   2 building or installing failed      12 the monitor panicked, or the machine reset under it
   3 QEMU is missing                    13 the configuration was refused
   4 the time limit passed              14 the monitor stopped VTL2 reaching for what is not its own
   5 QEMU failed or was killed          15 the guest asked for a reset
   6 the demonstration went wrong      130 interrupted
TEXT
}

verb_boot() {
    option --config value
    option --firmware value linux
    option --guest value full
    option --kernel value
    option --initrd value
    option --append value
    option --cpus value 2
    option --memory value 1024
    option --nvme list
    option --key list
    option --accel value auto
    option --timeout value 0
    option --console value
    option --log value
    option --control value
    option --qemu-arg list
    option --demo flag
    option --no-build flag
    option --dry-run flag
    parse_options boot "$@"
    check_boot_options
    make_run_folder
    prepare_boot
    configure_machine
    if [[ -n ${options[--demo]} ]]; then
        run_demo
    else
        run_boot
    fi
}

check_boot_options() {
    local name key
    require_number --cpus 1 64
    require_number --memory 64 1048576
    require_number --timeout 0 999999999
    contains "${options[--guest]}" full cloud || refuse "--guest is '${options[--guest]}'; it has to be full or cloud"
    [[ ${options[--guest]} == cloud ]] || use_full_guest
    contains "${options[--accel]}" auto tcg kvm || refuse "--accel is '${options[--accel]}'; it has to be auto, tcg or kvm"
    check_firmware_options
    for name in --config --kernel --initrd; do
        [[ -z ${options[$name]} ]] || require_file "$name" "${options[$name]}"
    done
    list_of --nvme nvmes
    list_of --key keys
    list_of --qemu-arg qemu_arguments
    ((${#nvmes[@]} <= nvme_count_max)) || refuse "--nvme was given ${#nvmes[@]} times; there is room for $nvme_count_max"
    for name in "${nvmes[@]}"; do
        require_file --nvme "$name"
    done
    if [[ -n ${options[--demo]} ]]; then
        check_demo_options
    fi
    for key in "${keys[@]}"; do
        [[ $key == ?*=* ]] || refuse "--key is '$key'; it has to be NAME=FILE"
        require_file --key "${key#*=}"
        [[ $key != demo=* ]] || demo_key=${key#*=}
    done
    if [[ $demo_key != "$build/demo/demo.key" && -z ${options[--demo]}${options[--config]} ]] && ((${#nvmes[@]} == 0)); then
        refuse "the demonstration's disks have a key of their own; --key demo goes with --nvme, --config or --demo"
    fi
}
# The file of the key `demo`.
demo_key=$build/demo/demo.key

check_firmware_options() {
    local name
    contains "${options[--firmware]}" linux seabios || refuse "--firmware is '${options[--firmware]}'; it has to be linux or seabios"
    [[ ${options[--firmware]} == linux ]] && return
    for name in --kernel --initrd --append; do
        [[ -z ${options[$name]} ]] || refuse "$name is for --firmware linux; SeaBIOS boots what is on the guest's disks, kernel included"
    done
    [[ ${options[--guest]} == full ]] || refuse "--guest is for --firmware linux; SeaBIOS boots what is on the guest's disks"
    [[ -z ${options[--demo]} ]] || refuse '--demo brings its own kernel; leave out --firmware seabios'
}

# prepare_boot: what has to exist before QEMU starts. A dry run makes nothing and installs nothing.
prepare_boot() {
    [[ -n ${options[--dry-run]} ]] && return
    if [[ -z ${options[--no-build]} ]]; then
        install_packages "${packages_boot[@]}"
        [[ -n ${UNDERCROFT_IMAGE:-} ]] || build_presets image
        [[ ${options[--firmware]} != linux ]] || make_guest
    fi
    [[ ${options[--firmware]} == linux || -f $seabios ]] || die "$status_build_failed" "there is no $seabios: install the package seabios"
    command -v "$qemu" >/dev/null || die "$status_qemu_missing" "there is no $qemu in PATH"
    [[ -f $image ]] || die "$status_build_failed" "there is no image ${image#"$root"/}"
    make_demo_key
    if [[ -n ${options[--demo]} ]]; then
        make_demo_disks "$run_folder" "$demo_key"
    elif ((${#nvmes[@]} == 0)); then
        with_demo_lock make_demo_disks "$build/demo" "$build/demo/demo.key"
    fi
}

# with_demo_lock COMMAND...: runs made at the same time must not make the same files.
with_demo_lock() {
    mkdir -p "$build/demo"
    exec 6>"$build/demo/.lock"
    flock 6
    "$@"
    exec 6>&-
}

make_demo_key() { with_demo_lock make_key_once "$build/demo/demo.key"; }

# make_key_once FILE: unless it is there. An XTS key has two halves, which must differ.
make_key_once() {
    [[ ! -f $1 ]] || return 0
    (umask 077 && make_key "$1.new")
    mv "$1.new" "$1"
}

make_key() {
    head -c 64 /dev/urandom >"$1"
    while cmp -s -n 32 "$1" "$1" 0 32; do
        head -c 64 /dev/urandom >"$1"
    done
}

configure_machine() {
    local run_files=$run_folder
    if [[ -n ${options[--dry-run]} ]]; then
        run_files=$build/demo
        mkdir -p "$run_files"
    fi
    if [[ -n ${options[--demo]} ]]; then
        use_demo_disks "$run_folder"
    elif ((${#nvmes[@]} == 0)); then
        use_demo_disks "$build/demo"
    fi
    # The configuration's default key, unless that name was given.
    [[ " ${keys[*]}" == *' demo='* ]] || keys+=("demo=$demo_key")
    machine=(
        [accel]=${options[--accel]} [cpus]=$((10#${options[--cpus]})) [memory]=$((10#${options[--memory]}))
        [console]=${options[--console]} [log]=${options[--log]} [trace]=$run_files/qemu.log
        [config]=${options[--config]}
    )
    if [[ -z ${machine[config]} ]]; then
        machine[config]=$run_files/config.json
        default_configuration >"${machine[config]}"
    fi
    configure_guest
    if [[ -z ${machine[log]} ]]; then
        machine[log]=$build/log/boot-$(date +%Y%m%d-%H%M%S)-$$.log
        mkdir -p "$build/log"
        forget_old_logs
    fi
    machine[control]=${options[--control]#unix:}
    if [[ -z ${machine[control]} && -z ${options[--dry-run]} ]]; then
        machine[control]=$(control_path)
    elif [[ ${machine[control]} == none ]]; then
        machine[control]=
    fi
    if [[ -z ${options[--dry-run]} ]]; then
        machine[accel]=$(choose_accelerator "${machine[accel]}")
    elif [[ ${machine[accel]} == auto ]]; then
        machine[accel]=tcg
    fi
}

# configure_guest: what the guest starts with. Firmware finds everything else on the disks.
configure_guest() {
    if [[ ${options[--firmware]} == seabios ]]; then
        machine[firmware]=$seabios
        return
    fi
    machine[kernel]=${options[--kernel]:-$guest_kernel}
    machine[initrd]=${options[--initrd]}
    machine[cmdline]="console=ttyS0,115200 quiet panic=-1"
    [[ -n ${options[--kernel]} || -n ${options[--initrd]} ]] || machine[initrd]=$guest_initrd
    [[ -n ${options[--config]} ]] || machine[cmdline]+=$(describe_disks)
    [[ -z ${options[--append]} ]] || machine[cmdline]+=" ${options[--append]}"
}

forget_old_logs() {
    local old
    mapfile -t old < <(find "$build/log" -name 'boot-*.log' -mmin +60 | sort -r | tail -n +20)
    ((${#old[@]} == 0)) || rm -f "${old[@]}"
}

run_boot() {
    local status=0
    qemu_command
    if [[ -n ${options[--dry-run]} ]]; then
        print_command
        return
    fi
    mkdir -p "$(dirname "${machine[log]}")"
    run_machine "$((10#${options[--timeout]}))" || status=$?
    if ((status != 0)); then
        report_failure "$status"
    fi
    return "$status"
}

# report_failure STATUS: why, and the end of the log, where a panic or a refused configuration says more.
report_failure() {
    say
    say "undercroft: $(explain_status "$1") (status $1); the log is ${machine[log]#"$root"/}"
    if [[ -s ${machine[log]} ]]; then
        say 'Its last lines:'
        tail -n 15 "${machine[log]}" | sed 's/^/    /' >&2
    fi
}
