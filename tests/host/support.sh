# shellcheck shell=bash
# What the host checks share: a folder of their own, a server that is ended with them, and words for failures.
# UNDERCROFT_HOST: the Linux program.

: "${UNDERCROFT_HOST:?is not set: run this with ./undercroft test --only host-check}"

# shellcheck source=tests/support/guest.sh
source "$(dirname "${BASH_SOURCE[0]}")/../support/guest.sh"

folder=$(mktemp -d "${TMPDIR:-/tmp}/undercroft-host.XXXXXX")
# shellcheck disable=SC2034 # for the checks
socket=$folder/socket
# shellcheck disable=SC2034
uri="nbd+unix:///?socket=$socket"
# shellcheck disable=SC2034
console=$folder/console
server_pid=

fail() {
    printf 'FAILED: %s\n' "$*"
    [[ -s $folder/server.log ]] && tail -n 30 "$folder/server.log"
    exit 1
}

clean_up() {
    local status=$?
    trap - EXIT
    [[ -n $server_pid ]] && kill -KILL "$server_pid" 2>/dev/null
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# start_server ARGUMENTS...: `serve ARGUMENTS`, until its clients can connect.
start_server() {
    "$UNDERCROFT_HOST" serve "$@" >"$folder/server.out" 2>>"$folder/server.log" &
    server_pid=$!
    for _ in $(seq 200); do
        grep -q '^ready' "$folder/server.out" && return
        kill -0 "$server_pid" 2>/dev/null || fail 'the server ended at once'
        sleep 0.05
    done
    fail 'the server does not come up'
}

# stop_server: asks it to end, and fails where that is not clean within ten seconds.
stop_server() {
    local status=0
    kill -TERM "$server_pid"
    timeout 10 tail --pid="$server_pid" -f /dev/null || fail 'the server does not stop'
    wait "$server_pid" || status=$?
    server_pid=
    ((status == 0)) || fail "the server ended with status $status"
}

# expect PATTERN COMMAND...: what the command prints has to match.
expect() {
    local pattern=$1 output
    shift
    output=$("$@" 2>&1) || fail "$* failed: $output"
    grep -qE -- "$pattern" <<<"$output" || fail "$* printed no '$pattern': $output"
}

# start_guest SECONDS CHARDEV_OPTIONS DEVICE [KERNEL_WORD...]: the guest in QEMU, killed after so long, with $folder/initrd and the vhost-user device
# at $socket. Its console is the file $console, its process $qemu.
start_guest() {
    local limit=$1 chardev=$2 device=$3 guest
    shift 3
    guest=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/guest
    : >"$console"
    timeout -s KILL "$limit" qemu-system-x86_64 -accel tcg -M q35 -m 256 -smp 2 -nodefaults -no-user-config -display none -no-reboot \
        -object memory-backend-memfd,id=memory,size=256M,share=on -numa node,memdev=memory \
        -kernel "$guest/vmlinuz" -initrd "$folder/initrd" -append "console=ttyS0 quiet $*" \
        -chardev "file,id=console,path=$console" -serial chardev:console \
        -chardev "socket,id=backend,path=$socket$chardev" -device "$device,chardev=backend" >"$folder/qemu.log" 2>&1 &
    qemu=$!
}

# wait_for PATTERN: until the guest's console has it.
wait_for() {
    for _ in $(seq 900); do
        grep -q "$1" "$console" && return
        kill -0 "$qemu" 2>/dev/null || { tail -n 30 "$console"; fail "QEMU ended before '$1'"; }
        sleep 0.1
    done
    tail -n 30 "$console"
    fail "the guest never says '$1'"
}
