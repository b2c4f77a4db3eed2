# shellcheck shell=bash disable=SC2034
# Every exit status of the launcher. Those from 10 on are the machine's own words (boot/exit_status.hpp), which it writes to
# QEMU's isa-debug-exit device; QEMU then exits with (value << 1) | 1.

status_powered_off=0
status_usage=1
status_build_failed=2
status_qemu_missing=3
status_timeout=4
status_qemu_failed=5
status_demo_failed=6
status_guest_triple_fault=10
status_image_panic=11
status_monitor_panic=12
status_configuration_refused=13
status_isolation_violation=14
status_guest_reset=15
status_interrupted=130

# explain_status STATUS: what it means, for people.
explain_status() {
    case $1 in
    "$status_powered_off") echo 'the guest powered off' ;;
    "$status_timeout") echo 'the time limit passed; QEMU was stopped' ;;
    "$status_qemu_failed") echo 'QEMU itself failed or was killed' ;;
    "$status_guest_triple_fault") echo 'the guest took a triple fault' ;;
    "$status_image_panic") echo 'the VTL2 image panicked' ;;
    "$status_monitor_panic") echo 'the monitor panicked, or the machine reset under it' ;;
    "$status_configuration_refused") echo 'the configuration was refused' ;;
    "$status_isolation_violation") echo 'the monitor stopped VTL2 reaching for what is not its own' ;;
    "$status_guest_reset") echo 'the guest asked for a reset' ;;
    "$status_interrupted") echo 'interrupted' ;;
    *) echo "unknown status $1" ;;
    esac
}

# powered_off LOG: whether QEMU's trace in LOG has a request with reason 6, guest shutdown.
powered_off() { grep -q 'qemu_system_shutdown_request.*reason=6' "$1"; }

# status_of_qemu STATUS LOG: the launcher's status for QEMU's own. QEMU also exits with 0 when the machine resets under
# -no-reboot; only a power-off is in its trace, which LOG holds.
status_of_qemu() {
    local value=$((($1 - 1) / 2))
    if (($1 == 0)); then
        if powered_off "$2"; then
            echo "$status_powered_off"
        else
            echo "$status_monitor_panic"
        fi
    elif (($1 % 2 == 1 && value >= status_guest_triple_fault && value <= status_guest_reset)); then
        echo "$value"
    else
        echo "$status_qemu_failed"
    fi
}
