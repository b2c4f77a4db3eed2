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

# What the document alone cannot tell, this image's environment does, all of it, before a disk is touched.
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c", "luns": [
    {"location": 1, "disk": "memdiff:nvme:0000:00:03.0/1"}, {"location": 2, "disk": "memdiff:file:/srv/disk.img"},
    {"location": 3, "disk": "crypt:xts-aes-256:../key:nvme:0000:00:1e.0/1"}, {"location": 4, "disk": "crypt:xts-aes-256:none:mem:1M"}]},
  {"protocol": "SCSI", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
    {"location": 0, "physical_devices": {"type": "single", "device": {"device_type": "vscsi",
      "device_path": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5e", "sub_device_path": 5}}}]}]}
JSON
boot 13 --nvme "$work/disk" --config "$work/config.json" --timeout 60
has log 'luns\[1\]\.disk, column 9: file: is for the host program'
has log 'luns\[2\]\.disk, column 1: "\.\./key" is no name of a key'
has log 'luns\[2\]\.disk, column 26: there is no NVMe controller at 0000:00:1e\.0'
has log 'luns\[3\]\.disk, column 1: there is no key "none"'
has log 'storage_controllers\[1\]\.luns\[0\]\.physical_devices\.device: this image has no VMBus'
has log 'refused, 5 errors; no disk was touched'
[ "$sum" = "$(sha256sum <"$work/disk")" ] || fail "the disk was touched"
