#!/usr/bin/env bash
# Fixed VHDs, ours in qemu-img and qemu-img's in ours.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

cd "$folder"
disk() { timeout 120 "$UNDERCROFT_HOST" disk "$@"; }

head -c 9M /dev/urandom >image
truncate -s 25M image # the geometry cannot say this size: it is the footer's that counts

disk convert --create --quiet file:image vhd1:ours.vhd >/dev/null
expect 'virtual size: 25 MiB \(26214400 bytes\)' qemu-img info -f vpc ours.vhd
expect 'subformat|fixed|vpc' qemu-img info -f vpc ours.vhd
qemu-img compare -f raw -F vpc image ours.vhd >/dev/null || fail 'qemu-img reads our VHD differently'
qemu-img convert -f vpc -O raw ours.vhd back || fail 'qemu-img does not convert our VHD'
cmp image back || fail 'qemu-img converts our VHD differently'

qemu-img convert -f raw -O vpc -o subformat=fixed,force_size image theirs.vhd
expect '"bytes": 26214400' disk info --json vhd1:theirs.vhd
disk check --read --quiet vhd1:theirs.vhd
disk convert --create --quiet vhd1:theirs.vhd file:back2 >/dev/null
cmp image back2 || fail 'we read the VHD of qemu-img differently'
# And what we write into it qemu-img reads.
head -c 9M /dev/urandom >image2
truncate -s 25M image2
disk convert --quiet file:image2 vhd1:theirs.vhd >/dev/null
qemu-img compare -f raw -F vpc image2 theirs.vhd >/dev/null || fail 'qemu-img reads what we wrote differently'

qemu-img create -q -f vpc -o subformat=dynamic dynamic.vhd 25M
status=0
output=$(disk info vhd1:dynamic.vhd 2>&1) || status=$?
((status == 13)) || fail "a dynamic VHD ended with $status"
grep -q 'dynamic VHD' <<<"$output" || fail "a dynamic VHD is refused with: $output"
