#!/usr/bin/env bash
# The launcher's contract, with a machine that ends as it is told (endings/): options, exit statuses, timeout, interruption, leftovers.
# shellcheck source=tests/boot/support.sh
. "$(dirname "$0")/support.sh"

export UNDERCROFT_IMAGE=$build/endings.elf
: >"$work/kernel"
: >"$work/disk"
truncate -s 1M "$work/disk"
head -c 64 /dev/zero >"$work/key"

# ends_with STATUS LETTER [OPTION...]
ends_with() {
    local status=$1 letter=$2
    shift 2
    boot "$status" --kernel "$work/kernel" --nvme "$work/disk" --key "demo=$work/key" --qemu-arg -append --qemu-arg "$letter" "$@"
}

# refuses PATTERN ARGUMENT...: status 1 and a message that matches.
refuses() {
    local pattern=$1 status=0
    shift
    "$root/undercroft" "$@" >"$work/launcher" 2>&1 </dev/null || status=$?
    if [ "$status" -ne 1 ] || ! grep -Eq -- "$pattern" "$work/launcher"; then
        cat "$work/launcher"
        fail "'$*' ended with $status, expected 1 and: $pattern"
    fi
}

refuses "mean 'boot'" bot
refuses "mean '--cpus'" boot --cpu 2
refuses "mean '--memory'" boot --memroy 2
refuses '--cpus needs a value' boot --cpus
refuses "--cpus is 'x'" boot --cpus x
refuses '--cpus is' boot --cpus 0
refuses '--demo takes no value' boot --demo=1
refuses 'no readable file' boot --nvme "$work/absent"
refuses '--accel is' boot --accel xen
refuses "--firmware is 'uefi'; it has to be linux or seabios" boot --firmware uefi
for option in --kernel --initrd; do
    refuses "$option is for --firmware linux" boot --firmware seabios $option "$work/kernel"
done
refuses '--append is for --firmware linux' boot --firmware seabios --append quiet
refuses '--guest is for --firmware linux' boot --firmware seabios --guest cloud
refuses '--demo brings its own kernel' boot --firmware seabios --demo
"$root/undercroft" boot --dry-run --firmware seabios >"$work/command" || fail 'no dry run with firmware'
grep -q 'opt/undercroft/firmware,file=/usr/share/seabios/' "$work/command" || fail 'the command lacks the firmware'
if grep -Eq 'opt/undercroft/(kernel|initrd|cmdline)' "$work/command"; then fail 'the command has a kernel beside the firmware'; fi
refuses '--guest is' boot --guest windows
refuses 'a key of their own' boot --key "demo=$work/key"
for verb in boot test bench build initrd tidy clean; do
    "$root/undercroft" $verb --help | grep -q "^Usage: ./undercroft $verb" || fail "$verb has no help"
done
"$root/undercroft" boot --dry-run --kernel "$work/kernel" --append 'a,b' | grep -q 'cmdline,string=.*a,,b' || fail 'the dry run lacks the command line'

"$root/undercroft" boot --dry-run >"$work/command" || fail 'the dry run of the demonstration disks failed'
for kind in NVME VIRTIO_BLK SCSI IDE is_dvd FLOPPY; do
    grep -q "$kind" "$root/build/demo/config.json" || fail "the default configuration has no $kind"
done
grep -q 'fd0:floppy' "$work/command" || fail 'the guest is not told of its floppy'

ends_with 0 p
has console '^C$'
has log '^L$'
ends_with 10 a
ends_with 11 b
ends_with 12 c
ends_with 13 d
ends_with 14 e
ends_with 15 f
ends_with 5 1
# QEMU's own status of a reset is 0, but nobody powered off.
ends_with 12 r
ends_with 4 h --timeout 2
ends_with 5 h --qemu-arg --no-such-option

UNDERCROFT_IMAGE=$work/absent ends_with 2 p
PATH=$work/bin:$PATH
mkdir "$work/bin"
for command in bash dirname mktemp mkdir rm flock truncate head cmp find sort tail grep sed date basename tr cat; do
    ln -s "$(command -v $command)" "$work/bin/"
done
(PATH=$work/bin ends_with 3 p) || exit 1

# An interruption ends QEMU, and the run leaves nothing behind.
interrupt() {
    local pid status=0 tries
    setsid "$root/undercroft" boot --no-build --accel tcg --kernel "$work/kernel" --nvme "$work/disk" --key "demo=$work/key" \
        --console "$work/console" --log "$work/log" --qemu-arg -append --qemu-arg h --qemu-arg -pidfile --qemu-arg "$work/pid" \
        >"$work/launcher" 2>&1 </dev/null &
    pid=$!
    for ((tries = 0; tries < 100; tries++)); do
        [ -s "$work/pid" ] && break
        sleep 0.1
    done
    [ -s "$work/pid" ] || fail 'QEMU did not start'
    kill "-$1" "$pid"
    wait "$pid" || status=$?
    [ "$status" -eq "$2" ] || fail "after SIG$1 the launcher ended with $status instead of $2"
    [ ! -e "/proc/$(cat "$work/pid" 2>/dev/null || echo 0)/exe" ] || fail "SIG$1 left QEMU running"
    if compgen -G "$root/build/tmp/run.$pid.*" >/dev/null; then
        fail "SIG$1 left temporary files"
    fi
}
interrupt TERM 143
