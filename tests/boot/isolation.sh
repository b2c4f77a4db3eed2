# Isolation checks share this: a VTL2 that breaks one rule (tests/boot/vtl2/broken.cpp), and what the monitor must say and end with. Sourced, not run.
# shellcheck shell=bash
# shellcheck source=tests/boot/support.sh
. "$(dirname "$0")/support.sh"
export UNDERCROFT_IMAGE=$build/monitor_broken.elf
: >"$work/kernel"
head -c 64 /dev/urandom >"$work/key"

# breaks RULE STATUS PATTERN: VTL2 breaks RULE; the machine ends with STATUS and a line in the log that matches.
breaks() {
    printf %s "$1" >"$work/rule"
    boot "$2" --kernel "$work/kernel" --nvme "$work/disk" --key "demo=$work/key" --timeout 60 \
        --qemu-arg -fw_cfg --qemu-arg "name=opt/undercroft/break,file=$work/rule"
    has log "breaking: $1"
    has log "$3"
    has_not log "not stopped"
}
