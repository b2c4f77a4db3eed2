#!/usr/bin/env bash
# A running server is looked into and changed: text, JSON, live settings that clients feel, clients that misbehave.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

control=unix:$folder/control
inspect() { timeout 20 "$UNDERCROFT_HOST" inspect --control "$control" "$@"; }

# value PATH: one value, as JSON.
value() { inspect --json "$1"; }

# refused STATUS PATTERN ARGUMENTS...: inspect has to end with STATUS and say PATTERN.
refused() {
    local wanted=$1 pattern=$2 status=0 output
    shift 2
    output=$(timeout 20 "$UNDERCROFT_HOST" inspect "$@" 2>&1) || status=$?
    ((status == wanted)) || fail "inspect $* ended with $status, not $wanted: $output"
    grep -qF -- "$pattern" <<<"$output" || fail "inspect $* does not say '$pattern': $output"
}

refused 20 'nobody serves at' --control "$control"
refused 20 'nothing runs that could be looked into' exports
refused 1 'did you mean "--watch"' --wach

XDG_RUNTIME_DIR=$folder start_server --nbd "unix:$socket" --control "$control" \
    --export 'a/b=mem:1M' 'delay:0:fault:unmap-fail-io@9:mem:64M'
[[ $(stat -c %a "${control#unix:}") == [67]00 ]] || fail 'others may use the control socket'

# Text and JSON.
expect 'read_delay = 0' inspect
expect '^size = 1M' inspect 'exports/a/b/mem/size'
inspect --json | python3 -c '
import json, sys
tree = json.load(sys.stdin)
assert tree["program"] == "serve" and tree["exports"]["a/b"]["mem"]["size_bytes"] == 1 << 20
assert tree["exports"]["default"]["delay"]["fault"]["rules"] == "unmap-fail-io@9"
assert tree["connections"] == {} and tree["threads"]["0"]["work_items"] > 0
' || fail 'the JSON is not what it should be'

# Wrong paths and values.
refused 21 'did you mean "delay"' --control "$control" exports/default/dleay
refused 21 'is no setting' --control "$control" program=x
refused 21 'it takes a size such as 64M' --control "$control" exports/a/b/mem/size=huge
refused 21 'no whole number of sectors' --control "$control" exports/a/b/mem/size=1000

# A delay makes clients slow from now on, and is counted: 16 reads of 20 ms, one after the other.
reads() {
    local index arguments=()
    for index in {1..16}; do arguments+=(-c "read $((index * 4))k 4k"); done
    qemu-io -f raw -r "$uri" "${arguments[@]}" >/dev/null || fail 'qemu-io could not read'
}
milliseconds() {
    local begin end
    begin=$(date +%s%N)
    "$@"
    end=$(date +%s%N)
    echo $(((end - begin) / 1000000))
}
qemu-io -f raw "$uri" -c 'write -P 7 0 68k' >/dev/null || fail 'qemu-io could not write'  # a hole is not read
fast=$(milliseconds reads)
expect 'read_delay = 20ms' inspect exports/default/delay/read_delay=20ms
slow=$(milliseconds reads)
((slow >= fast + 250)) || fail "16 reads took $fast ms without and $slow ms with a delay of 20 ms"
inspect exports/default/delay/read_delay=0 >/dev/null
inspect --json exports/default | python3 -c '
import json, sys
export = json.load(sys.stdin)
reads = export["read"]
assert reads["count"] >= 32 and reads["bytes"] >= 32 * 4096 and reads["failures"] == 0
buckets = reads["latency"]["count_below_ns"]
assert sum(buckets.values()) == reads["count"]
assert sum(count for bound, count in buckets.items() if int(bound) > 20_000_000) >= 16, buckets
' || fail 'the reads are not counted as they should be'

# A flush that is held is seen with its age, and let go.
expect 'rules = flush-hold/count=1' inspect exports/default/delay/fault/rules=flush-hold/count=1
qemu-io -f raw "$uri" -c 'write 0 4k' -c flush >/dev/null &
writer=$!
for _ in $(seq 100); do
    [[ $(value exports/default/delay/fault/held) == 1 ]] && break
    sleep 0.05
done
sleep 0.2
inspect --json connections | python3 -c '
import json, sys
requests = [r for c in json.load(sys.stdin).values() for r in c["in_flight"].values()]
assert len(requests) == 1 and requests[0]["operation"] == "flush" and requests[0]["age_ns"] > 100_000_000, requests
' || fail 'the held flush is not seen'
inspect exports/default/delay/fault/release=all >/dev/null
wait "$writer" || fail 'the flush failed'
[[ $(value exports/default/delay/fault/held) == 0 ]] || fail 'something is still held'

# A rule that is set live fails what it matches.
inspect exports/default/delay/fault/rules=read-fail-medium_read@8-15 >/dev/null
! qemu-io -f raw -r "$uri" -c 'read 4k 4k' >/dev/null 2>&1 || fail 'the read did not fail'
qemu-io -f raw -r "$uri" -c 'read 8k 4k' >/dev/null || fail 'another read failed'
(($(value exports/default/delay/fault/rule_0/acted) >= 1)) || fail 'the rule did not count'
(($(value exports/default/read/failures) >= 1)) || fail 'the failure is not counted'
inspect exports/default/delay/fault/rules=none >/dev/null

# A disk in memory is resized under its clients.
[[ $(nbdinfo --size "nbd+unix:///a%2Fb?socket=$socket") == 1048576 ]] || fail 'the size is wrong'
inspect exports/a/b/mem/size=3M >/dev/null
[[ $(nbdinfo --size "nbd+unix:///a%2Fb?socket=$socket") == 3145728 ]] || fail 'the new size is not seen'

# --watch goes on until Ctrl-C, and shows what grew.
status=0
timeout -s INT 2 "$UNDERCROFT_HOST" inspect --control "$control" --watch --interval 200 threads >"$folder/watch" || status=$?
((status == 124)) || fail "--watch ended with $status"
(($(grep -c '^spin' "$folder/watch") >= 3)) || fail '--watch looked too seldom'
grep -q '/s)' "$folder/watch" || fail '--watch does not show what grew'
"$UNDERCROFT_HOST" inspect --control "$control" --watch --interval 100 program >"$folder/watch" &
watcher=$!
sleep 0.5
kill -TERM "$watcher"
wait "$watcher" || fail "--watch ended with $? after a signal"

# Clients that do not read, do not ask, or say too much hold up nobody.
python3 - "${control#unix:}" <<'PYTHON' || fail 'the control socket does not bear bad clients'
import json, socket, sys

def connect():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(sys.argv[1])
    return client

deaf = connect()
deaf.setblocking(False)
try:
    while True:
        deaf.send(b"/\n" * 1000)
except BlockingIOError:
    pass
silent = connect()
loud = connect()
loud.sendall(b"x" * 100_000 + b"\n#2 program\n")
answers = loud.makefile()
assert "at most 4096 bytes" in json.loads(answers.readline())["error"]
assert answers.readline() == '#2 {"value":"serve","settings":{}}\n'
loud.sendall(b"\n\x00\xff\n#3 program\n")
assert "control characters" in json.loads(answers.readline())["error"]
assert answers.readline().startswith("#3 ")
crowd = [connect() for _ in range(20)]
crowd[-1].settimeout(10)
assert "too many clients" in crowd[-1].makefile().readline()
PYTHON
expect 'serve' inspect program
stop_server
[[ ! -e ${control#unix:} ]] || fail 'the control socket is still there'

# Without --control it is found by itself, where it is the only one.
export XDG_RUNTIME_DIR=$folder
start_server --nbd "unix:$socket" --vhost-user-blk "$folder/vm" mem:1M
expect 'serve' "$UNDERCROFT_HOST" inspect program
expect 'connected: false' "$UNDERCROFT_HOST" inspect vhost_user_blk
expect 'counting = off' "$UNDERCROFT_HOST" inspect vhost_user_blk/counting=off
first=$server_pid
start_server --nbd "unix:$socket.2" mem:1M
refused 20 "serve-$first.sock" program
kill -KILL "$first"
wait "$first" 2>/dev/null || true
expect 'serve' "$UNDERCROFT_HOST" inspect program
stop_server
start_server --nbd "unix:$socket.3" --control none mem:1M
refused 20 'nothing runs' program
[[ -z $(ls "$folder/undercroft") || $(ls "$folder/undercroft") == "serve-$first.sock" ]] || fail 'sockets are left'
stop_server
