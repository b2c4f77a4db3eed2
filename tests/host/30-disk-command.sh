#!/usr/bin/env bash
# undercroft disk: what it makes, prints, refuses and copies, with qemu-img as the judge; a copy that is stopped goes on.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

cd "$folder"
disk() { timeout 120 "$UNDERCROFT_HOST" disk "$@"; }

# refused STATUS PATTERN ARGUMENTS...
refused() {
    local wanted=$1 pattern=$2 status=0 output
    shift 2
    output=$(disk "$@" 2>&1) || status=$?
    ((status == wanted)) || fail "disk '$*' ended with $status, not $wanted: $output"
    grep -qF -- "$pattern" <<<"$output" || fail "disk '$*' does not say '$pattern': $output"
}

refused 1 'did you mean "check"' chek x
refused 1 'takes two arguments' convert x
refused 1 'say how large' create file:x.img
refused 13 'does not exist' info file:x.img
head -c 1000 /dev/zero >odd.img
refused 13 'no whole number of sectors' info file:odd.img
refused 13 'no whole number of sectors' create 'file:x.img;create=1000'
[[ ! -e x.img ]] || fail 'a refused disk was made'

# Keys: 64 bytes for the owner alone, never over something, never alike.
disk key key >/dev/null
[[ $(stat -c '%a %s' key) == '600 64' ]] || fail "the key is $(stat -c '%a %s' key)"
cp key kept
refused 20 'exists already' key key
cmp -s key kept || fail 'an existing key was changed'
disk key other >/dev/null
! cmp -s key other || fail 'two keys are alike'

# Something to copy: data, zeros that are stored, holes.
disk create 'file:source.img;create=48M' >/dev/null
head -c 5000000 /dev/urandom | dd of=source.img bs=64K seek=3 conv=notrunc status=none
dd if=/dev/zero of=source.img bs=1M seek=20 count=2 conv=notrunc status=none
head -c 3M /dev/urandom | dd of=source.img bs=1M seek=40 conv=notrunc status=none
expect '"bytes": 50331648' disk info --json file:source.img
expect 'hole' disk map file:source.img
disk map --read --json file:source.img >map.json
python3 - <<'PYTHON' || fail 'the map is wrong'
import json
extents = json.load(open('map.json'))
assert [e['start'] for e in extents[1:]] == [e['start'] + e['length'] for e in extents[:-1]]
assert sum(e['length'] for e in extents) == 48 << 20
at = {e['start']: (e['what'], e['length']) for e in extents}
assert at[20 << 20] == ('zero', 2 << 20), at
assert at[40 << 20] == ('data', 3 << 20), at
PYTHON

for target in file:plain.img 'file:large.img;sector_size=4096;direct' vhd1:fixed.vhd sql:disk.sqlite; do
    disk convert --create --verify --quiet file:source.img "$target" >/dev/null || fail "convert to $target"
    disk check --read --quiet "$target" || fail "check of $target"
    disk convert --create --quiet "$target" file:back.img >/dev/null || fail "convert from $target"
    qemu-img compare -f raw -F raw source.img back.img >/dev/null || fail "$target came back different"
    [[ $(stat -c %b back.img) -le $(($(stat -c %b source.img) + 64)) ]] || fail "holes were filled on the way through $target"
    rm back.img
done
[[ -z $(find . -name '*.convert') ]] || fail 'a copy that ended left its note'
refused 13 'fewer than' convert file:source.img 'mem:1M'

# A database is read beside the server that writes it, and written by nobody else.
start_server --nbd "unix:$socket" sql:disk.sqlite
qemu-io -f raw "$uri" -c 'write -P 9 1M 64k' >/dev/null || fail 'qemu-io could not write'
disk info sql:disk.sqlite | grep -q '^size' || fail 'no information about a database in use'
disk map sql:disk.sqlite >/dev/null || fail 'no map of a database in use'
refused 13 'in use by another process' convert file:source.img sql:disk.sqlite
stop_server

# Changing what is stored is noticed, and not repaired.
printf 'x' | dd of=fixed.vhd bs=1 seek=$((48 * 1024 * 1024 + 100)) conv=notrunc status=none
dd if=/dev/urandom of=disk.sqlite bs=16K seek=40 count=1 conv=notrunc status=none
sha256sum fixed.vhd disk.sqlite >sums
refused 21 'checksum is wrong' check vhd1:fixed.vhd
refused 21 'damaged' check sql:disk.sqlite
sha256sum --quiet -c sums || fail 'a damaged file was changed'

# Stopped by a signal: a clean end, a note, and the same command goes on. The delay makes it take seconds.
slow=(disk convert --create 'delay:250ms:file:source.img' file:slow.img)
"$UNDERCROFT_HOST" "${slow[@]}" >stopped.txt 2>&1 &
server_pid=$!
for _ in $(seq 200); do
    grep -q copying stopped.txt && break
    sleep 0.05
done
kill -INT "$server_pid"
status=0
wait "$server_pid" || status=$?
server_pid=
((status == 21)) || fail "a stopped copy ended with $status: $(cat stopped.txt)"
grep -q 'the same command goes on' stopped.txt || fail "a stopped copy says: $(cat stopped.txt)"
[[ -s slow.img.convert ]] || fail 'a stopped copy left no note'
refused 13 'note of another copy' convert file:source.img file:slow.img
timeout 120 "$UNDERCROFT_HOST" "${slow[@]}" >again.txt 2>&1 || fail "the copy does not go on: $(cat again.txt)"
grep -q 'going on after' again.txt || fail 'the copy began anew'
qemu-img compare -f raw -F raw source.img slow.img >/dev/null || fail 'a copy in two parts differs'
[[ ! -e slow.img.convert ]] || fail 'the note is still there'
