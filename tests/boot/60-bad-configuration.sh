#!/usr/bin/env bash
# A bad configuration ends the boot with all its errors and status 13, and touches no disk.
. "$(dirname "$0")/support.sh"
head -c 1M /dev/urandom | dd of="$work/disk" conv=notrunc status=none
sum=$(sha256sum <"$work/disk")
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [{"protocol": "NVMEE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c",
  "luns": [{"location": 1, "disk": {"crypt": {"key": "demo", "over": {"nvme": {"device": "0000:00:03.0", "namespace": 0}}}}},
           {"location": 1, "disk": {"mem": {}}, "lokation": 2}]}]}
JSON
boot 13 --nvme "$work/disk" --config "$work/config.json" --timeout 60
has log 'storage_controllers\[0\]\.protocol'
has log 'namespace'
has log 'lokation.*location'
[ "$sum" = "$(sha256sum <"$work/disk")" ] || fail "the disk was touched"
