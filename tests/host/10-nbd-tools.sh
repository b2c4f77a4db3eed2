#!/usr/bin/env bash
# libnbd's and QEMU's tools against the NBD server: what they find, copy, compare and map is what it should be.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

image=$folder/image
head -c 12M /dev/urandom >"$image"
truncate -s 40M "$image"
head -c 3M /dev/urandom | dd of="$image" bs=1M seek=30 conv=notrunc status=none
head -c 64 /dev/urandom >"$folder/key"

start_server --nbd "unix:$socket" --nbd tcp:127.0.0.1:0 mem:40M --export "crypt=crypt:xts-aes-256:$folder/key:mem:40M" \
    --export 'large=mem:8M;sector_size=4096'
port=$(sed -n 's/.*tcp:127.0.0.1:\([0-9]*\).*/\1/p' "$folder/server.log")

expect 'export-size: 41943040' nbdinfo "$uri"
expect 'can_multi_conn: true' nbdinfo "$uri"
expect 'can_fast_zero: true' nbdinfo "$uri"
expect 'block_size_minimum: 4096' nbdinfo "nbd+unix:///large?socket=$socket"
expect 'export="crypt"' nbdinfo --list "nbd://127.0.0.1:$port"
expect 'hole,zero' nbdinfo --map "$uri"

for name in '' crypt; do
    target="nbd+unix:///$name?socket=$socket"
    nbdcopy "$image" "$target" || fail "nbdcopy to '$name'"
    qemu-img compare -f raw -F raw "$image" "$target" || fail "'$name' differs after nbdcopy"
    nbdcopy --synchronous "$target" "$folder/back" || fail "nbdcopy from '$name'"
    cmp "$image" "$folder/back" || fail "what nbdcopy read from '$name' differs"
    # Holes are where they were: nothing was made data by copying it.
    qemu-img map --output=json -f raw "$target" | grep -q '"zero": true' || fail "'$name' has no holes left"
done

qemu-img convert -n -f raw -O raw -S 4k "$image" "nbd://127.0.0.1:$port/" || fail 'qemu-img convert over TCP'
qemu-img compare -f raw -F raw "$image" "nbd://127.0.0.1:$port/" || fail 'contents after convert'

expect 'read 65536/65536' qemu-io -f raw -c 'write -P 0xa5 1M 64k' -c 'read -P 0xa5 1M 64k' -c 'write -z -u 1M 64k' \
    -c 'read -P 0 1M 64k' -c 'write -f -P 3 2M 512' -c 'discard 3M 1M' -c 'read -P 0 3M 1M' -c flush "$uri"
! qemu-io -f raw -r -c 'write 0 512' "$uri" >/dev/null 2>&1 || fail 'qemu-io wrote to what it opened for reading'
stop_server
