# shellcheck shell=bash disable=SC2034
# What a check puts into its guest beside the script, for `undercroft initrd`: kernel modules and programs of this machine. Sourced by the
# boot checks' and the host checks' support.sh.

# add_modules FOLDER MODULE...: what must be added so that the guest can load them and what they need, to the array `additions`; their file names,
# in order, are in FOLDER/modules, which is added too. A guest's script loads them with `load_added_modules`. `guest_root`: the
# unpacked kernel package that they are from, where that is not build/guest/root.
add_modules() {
    local folder=$1 tree=${guest_root:-} release module path
    shift
    [[ -n $tree ]] || tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/guest/root
    [[ -d $tree ]] || fail 'there is no guest: ./undercroft test makes it'
    release=$(basename "$tree/lib/modules/"*)
    : >"$folder/modules"
    for module; do
        while read -r path; do
            additions+=(--add "$path=/undercroft/virtio/$(basename "$path")")
            basename "$path" >>"$folder/modules"
        done < <(/sbin/modprobe -d "$tree" -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p')
    done
    additions+=(--add "$folder/modules=/undercroft/virtio/modules")
}

# shellcheck disable=SC2016 # for the guest
load_added_modules='while read -r module; do [ -d "/sys/module/${module%.ko}" ] || insmod "/undercroft/virtio/$module"; done </undercroft/virtio/modules'

# add_programs NAME...: programs of this machine and their libraries, to the array `additions`.
add_programs() {
    local name path library
    for name; do
        path=$(command -v "$name") || fail "there is no $name; ./undercroft test installs it"
        additions+=(--add "$path=/bin/$name")
        while read -r library; do
            [[ " ${additions[*]} " == *" $library=$library "* ]] || additions+=(--add "$library=$library")
        done < <(ldd "$path" | grep -o '/[^ ]*')
    done
}

# The SCSI checks (guest/scsi_checks.sh) ask for a disk that fails so: one block for each kind of error.
scsi_error_rules='read-fail-aborted_by_preempt@0+read-fail-illegal_block@1+read-fail-invalid_input@2+read-fail-io@3+read-fail-medium_guard@4'
scsi_error_rules+='+read-fail-medium_reference_tag@5+read-fail-medium_application_tag@6+read-fail-medium_read@7+read-fail-medium_write@8'
scsi_error_rules+='+read-fail-memory_access@9+read-fail-read_only@10+read-fail-reservation_conflict@11+read-fail-unsupported_eject@12'
scsi_error_rules+='+read-fail-timed_out@13+read-fail-gone@14+read-fail-cancelled@15'
scsi_check_programs=(sg_compare_and_write sg_dd sg_get_lba_status sg_inq sg_logs sg_luns sg_modes sg_opcodes sg_persist sg_prevent sg_raw
    sg_readcap sg_requests sg_reset sg_sanitize sg_senddiag sg_start sg_sync sg_turs sg_unmap sg_verify sg_vpd sg_wr_mode sg_write_same
    sg_write_verify sg_write_x)

# scsi_check_script SECTORS LUNS SERIAL: the script for such a guest.
scsi_check_script() {
    printf '%s\nsectors=%s luns=%s serial=%s\n' "$load_added_modules" "$@"
    cat "$(dirname "${BASH_SOURCE[0]}")/guest/scsi_checks.sh"
}
