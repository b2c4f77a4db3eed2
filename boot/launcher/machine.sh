# shellcheck shell=bash
# The QEMU machine: its command line and its run. Nothing here knows what the guest does.

image=${UNDERCROFT_IMAGE:-${build:?}/image/undercroft.elf}
qemu="qemu-system-x86_64"
# The guest's firmware for --firmware seabios, from Debian's package of that name, which QEMU needs anyhow.
seabios=/usr/share/seabios/bios-256k.bin
# The first NVMe function's slot on bus 0; the others follow. q35 itself has slots 0 and 31.
nvme_slot_first=3
nvme_count_max=24

# nvme_address INDEX: of the physical function, as a configuration names it.
nvme_address() { printf '0000:00:%02x.0' $((nvme_slot_first + $1)); }

# escape_commas TEXT: as QEMU's option syntax wants it.
escape_commas() { printf '%s' "${1//,/,,}"; }

# choose_accelerator auto|tcg|kvm
choose_accelerator() {
    case $1 in
    auto) if nested_kvm_works; then echo kvm; else echo tcg; fi ;;
    *) echo "$1" ;;
    esac
}

# KVM is of use only where it gives SVM to its guest. /dev/kvm alone proves nothing, so a machine is run: its firmware is four bytes at
# the reset vector that write 0x10 to the exit device, which makes QEMU's status 33.
nested_kvm_works() {
    local rom=$run_folder/probe.rom status=0
    grep -qw svm /proc/cpuinfo || return 1
    [[ -r /dev/kvm && -w /dev/kvm && $(cat /sys/module/kvm_amd/parameters/nested 2>/dev/null) == [1Yy] ]] || return 1
    { head -c 65520 /dev/zero && printf '\xb0\x10\xe6\xf4' && head -c 12 /dev/zero; } >"$rom"
    timeout 5 "$qemu" -machine q35,accel=kvm -cpu host -m 64 -nodefaults -no-user-config -display none -bios "$rom" \
        -device isa-debug-exit,iobase=0xf4,iosize=0x04 >/dev/null 2>&1 || status=$?
    ((status == 33))
}

# qemu_command: sets the array `command` from the array `machine` (accel cpus memory config firmware, or kernel initrd cmdline, console log control) and the
# arrays `nvmes` (files), `keys` (NAME=FILE) and `qemu_arguments`.
declare -A machine=()
nvmes=() keys=() qemu_arguments=() command=()

qemu_command() {
    local cpu=max index key console=stdio,signal=on
    [[ ${machine[accel]} == kvm ]] && cpu=host
    [[ -n ${machine[console]} ]] && console=file,path=$(escape_commas "${machine[console]}")
    # shellcheck disable=SC2054  # the commas are QEMU's
    command=(
        "$qemu" -machine "q35,accel=${machine[accel]}" -cpu "$cpu" -smp "${machine[cpus]}" -m "${machine[memory]}"
        -nodefaults -no-user-config -display none -no-reboot
        -kernel "$image"
        -device isa-debug-exit,iobase=0xf4,iosize=0x04
        -chardev "${console%%,*},id=console,${console#*,}" -serial chardev:console
        -chardev "file,id=log,path=$(escape_commas "${machine[log]}")" -serial chardev:log
        -fw_cfg "name=opt/undercroft/config.json,file=$(escape_commas "${machine[config]}")"
    )
    if [[ -n ${machine[firmware]:-} ]]; then
        command+=(-fw_cfg "name=opt/undercroft/firmware,file=${machine[firmware]}")
    else
        command+=(-fw_cfg "name=opt/undercroft/kernel,file=$(escape_commas "${machine[kernel]}")"
            -fw_cfg "name=opt/undercroft/cmdline,string=$(escape_commas "${machine[cmdline]}")")
    fi
    if [[ -n ${machine[control]:-} ]]; then
        # A port of VTL2's own (drivers/uart/console_port.hpp), which the guest cannot reach.
        command+=(-chardev "socket,id=control,server=on,wait=off,path=$(escape_commas "${machine[control]}")"
            -device isa-serial,iobase=0x2e8,irq=5,chardev=control)
    fi
    [[ -n ${machine[initrd]:-} ]] && command+=(-fw_cfg "name=opt/undercroft/initrd,file=$(escape_commas "${machine[initrd]}")")
    for key in "${keys[@]}"; do
        command+=(-fw_cfg "name=opt/undercroft/key/${key%%=*},file=$(escape_commas "${key#*=}")")
    done
    for index in "${!nvmes[@]}"; do
        command+=(
            -drive "if=none,id=nvme$index,format=raw,cache=writeback,discard=unmap,file=$(escape_commas "${nvmes[index]}")"
            -device "nvme,serial=physical-$index,drive=nvme$index,addr=$(printf '0x%x' $((nvme_slot_first + index)))"
        )
    done
    command+=(-trace qemu_system_shutdown_request -d cpu_reset -D "${machine[trace]}" "${qemu_arguments[@]}")
}

# control_path: a socket for `undercroft inspect`, where that looks for them (hostsim/inspect/control_place.hpp); nothing where there can be none.
control_path() {
    local parent=${XDG_RUNTIME_DIR:-} folder
    if [[ $parent == /* ]]; then
        folder=$parent/undercroft
    elif ((EUID == 0)); then
        folder=/run/undercroft
    else
        folder=/tmp/undercroft-$EUID
    fi
    (umask 077 && mkdir "$folder" 2>/dev/null) || true
    [[ -d $folder && ! -L $folder && -O $folder && $(stat -c %a "$folder") == 700 ]] && printf '%s/boot-%s.sock' "$folder" $$
    return 0
}

# print_command: `command` as a shell takes it.
print_command() {
    local word line=''
    for word in "${command[@]}"; do
        [[ $word =~ ^[A-Za-z0-9_./:=,@+-]+$ ]] || word=${word@Q}
        line+="$word "
    done
    printf '%s\n' "${line% }"
}

# explain_reset QEMU_STATUS: a reset leaves no other trace of its cause than QEMU's word; it belongs into the log.
explain_reset() {
    if (($1 == 0)) && ! powered_off "${machine[trace]}"; then
        echo "QEMU: $(grep -E 'Triple fault|shutdown_request' "${machine[trace]}" || echo 'a reset that was no triple fault')" >>"${machine[log]}"
    fi
}

# run_machine TIMEOUT_SECONDS (0: none): runs `command`; returns the launcher's status. QEMU dies with the launcher.
run_machine() {
    local limit=$1 qemu_pid timer_pid='' ended qemu_status=0
    setpriv --pdeathsig KILL "${command[@]}" <&0 &
    qemu_pid=$!
    children+=("$qemu_pid")
    if ((limit > 0)); then
        sleep "$limit" &
        timer_pid=$!
        children+=("$timer_pid")
    fi
    wait -n -p ended "$qemu_pid" ${timer_pid:+"$timer_pid"} || qemu_status=$?
    if [[ ${ended:-} == "$timer_pid" && -n $timer_pid ]]; then
        stop_child "$qemu_pid"
        wait "$qemu_pid" || true
        forget_child "$qemu_pid"
        return "$status_timeout"
    fi
    forget_child "$qemu_pid"
    if [[ -n $timer_pid ]]; then
        kill "$timer_pid" 2>/dev/null || true
        forget_child "$timer_pid"
    fi
    explain_reset "$qemu_status"
    return "$(status_of_qemu "$qemu_status" "${machine[trace]}")"
}
