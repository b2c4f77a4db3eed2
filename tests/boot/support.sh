# What boot checks share: a private directory, one way to run the launcher, and checks that say what was wrong. Sourced, not run.
# UNDERCROFT_BUILD: the build directory of the image (default: build/image).
# shellcheck shell=bash disable=SC2034

set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${UNDERCROFT_BUILD:-$root/build/image}
work=$(mktemp -d "${TMPDIR:-/tmp}/undercroft-check.XXXXXX")
trap 'rm -rf "$work"' EXIT
. "$root/tests/support/guest.sh"
truncate -s 64M "$work/disk"  # for --nvme: checks that run at the same time must not share one

# fail MESSAGE: prints the message and the ends of console and log, and gives up.
fail() {
    printf 'FAIL: %s\n' "$1"
    for file in "$work"/console "$work"/log; do
        [ -f "$file" ] && printf -- '--- last lines of %s\n' "${file##*/}" && tail -n 25 "$file"
    done
    exit 1
}

# boot EXPECTED_STATUS [OPTION...]: boots with the console in $work/console and the log in $work/log.
boot() {
    local expected=$1 status=0
    shift
    : >"$work/console"
    "$root/undercroft" boot --no-build --accel tcg --console "$work/console" --log "$work/log" "$@" >"$work/launcher" 2>&1 </dev/null || status=$?
    [ "$status" -eq "$expected" ] || { cat "$work/launcher"; fail "the launcher ended with status $status instead of $expected"; }
}

# start_boot [OPTION...]: as `boot`, and goes on at once, with a control line for `look`; `end_boot` ends it, `wait_for_boot` waits for its end.
start_boot() {
    : >"$work/console"
    (exec "$root/undercroft" boot --no-build --accel tcg --console "$work/console" --log "$work/log" --control "$work/control" "$@") \
        >"$work/launcher" 2>&1 </dev/null &
    launcher=$!
}
end_boot() {
    kill "$launcher"
    wait "$launcher"
}
wait_for_boot() { wait "$launcher" || { cat "$work/launcher"; fail "the launcher ended with status $?"; }; }

# console_says PATTERN: waits, up to two minutes, until the running guest does.
console_says() {
    local tries=0
    until grep -Eq -- "$1" "$work/console"; do
        sleep 0.2
        tries=$((tries + 1))
        if [ "$tries" -ge 600 ] || ! kill -0 "$launcher" 2>/dev/null; then
            cat "$work/launcher"
            fail "the guest never says: $1"
        fi
    done
}

# look REQUEST...: what the running image answers; see tests/support/ask_image.py.
look() { timeout 60 python3 "$root/tests/support/ask_image.py" "$work/control" "$@" || fail "the image does not answer: $*"; }

# has FILE PATTERN: the file (console or log) has a line that matches.
has() { grep -Eq -- "$2" "$work/$1" || fail "the $1 lacks: $2"; }
has_not() { if grep -Eq -- "$2" "$work/$1"; then fail "the $1 has: $2"; fi; }

# demonstrate [OPTION...]: the launcher's demonstration, which checks itself; prints its report.
demonstrate() {
    "$root/undercroft" boot --no-build --accel tcg --demo --timeout 300 "$@" </dev/null || fail "the demonstration ended with status $?"
}
