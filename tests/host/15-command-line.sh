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

refused 13 'is there such a file' serve --nbd "unix:$socket" --config "$folder/missing"
echo '{"version": 1, "storage_controllers": [7]}' >"$folder/bad.json"
refused 13 'storage_controllers[0]' serve --nbd "unix:$socket" --config "$folder/bad.json"
cat >"$folder/config.json" <<'JSON'
{"version": 1, "storage_controllers": [{"protocol": "NVME", "instance_id": "7a8203e1-4c4d-4b0a-9d0c-6f3d7d1c5a01",
  "luns": [{"location": 1, "disk": {"mem": {"size": "1M"}}}, {"location": 2, "disk": "mem:2M"}]}]}
JSON
start_server --nbd "unix:$socket" --config "$folder/config.json"
expect 'export-size: 2097152' nbdinfo "nbd+unix:///0.2?socket=$socket"
expect 'export="0.1"' nbdinfo --list "$uri"
stop_server

start_server --nbd "unix:$socket" mem:1M
refused 20 'another program listens there' serve --nbd "unix:$socket" mem:1M
# A socket that a killed server left behind is taken over.
kill -KILL "$server_pid"
wait "$server_pid" 2>/dev/null || true
start_server --nbd "unix:$socket" mem:1M
[[ $(stat -c %a "$socket") == 700 || $(stat -c %a "$socket") == 600 ]] || fail 'others may use the socket'
stop_server
[[ ! -e $socket ]] || fail 'the socket is still there'
