#!/usr/bin/env bash
# What the Linux program refuses, with which status, and what it says.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

# refused STATUS PATTERN ARGUMENTS...
refused() {
    local wanted=$1 pattern=$2 status=0 output
    shift 2
    output=$(timeout 20 "$UNDERCROFT_HOST" "$@" 2>&1) || status=$?
    ((status == wanted)) || fail "'$*' ended with $status, not $wanted: $output"
    grep -qF -- "$pattern" <<<"$output" || fail "'$*' does not say '$pattern': $output"
}

refused 0 'Usage: undercroft VERB' --help
refused 0 '--nbd WHERE' serve --help
refused 1 'Usage: undercroft VERB'
refused 1 'did you mean "serve"' sevre
refused 1 'did you mean "--nbd"' serve --nbdd unix:x mem:1M
refused 1 'serve needs a DISK' serve --nbd "unix:$socket"
refused 1 'a number from 1 to 64' serve --threads 0 --nbd "unix:$socket" mem:1M
refused 13 'DISK' serve --nbd "unix:$socket" nothing:1M
refused 20 'only loopback addresses' serve --nbd tcp:0.0.0.0:10809 mem:1M
refused 20 'unix:PATH or tcp:127.0.0.1:PORT' serve --nbd here mem:1M
touch "$folder/file"
refused 20 'is no socket' serve --nbd "unix:$folder/file" mem:1M

start_server --nbd "unix:$socket" mem:1M
refused 20 'another program listens there' serve --nbd "unix:$socket" mem:1M
# A socket that a killed server left behind is taken over.
kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null || true
start_server --nbd "unix:$socket" mem:1M
[[ $(stat -c %a "$socket") == 700 || $(stat -c %a "$socket") == 600 ]] || fail 'others may use the socket'
stop_server
[[ ! -e $socket ]] || fail 'the socket is still there'
