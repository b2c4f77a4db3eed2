#!/usr/bin/env bash
# sg3_utils in a guest on the image's virtio-scsi: what every command answers, and every kind of error, as SPC and SBC have it
# (tests/support/guest/scsi_checks.sh); the last of 2^33 blocks is where it belongs on the physical disk.
. "$(dirname "$0")/support.sh"
truncate -s 4T "$work/disk"
additions=()
add_modules "$work" virtio_pci virtio_scsi sd_mod sg
add_programs "${scsi_check_programs[@]}"
scsi_check_script 4096 4 UCS-0001 >"$work/script"
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" "${additions[@]}" >/dev/null || fail 'no initrd'
cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c", "luns": [{"location": 1, "disk": "mem:64K"}]},
  {"protocol": "SCSI", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
    {"location": 0, "serial_number": "UCS-0001", "disk": "prwrap:mem:2M"},
    {"location": 1, "disk": "fault:$scsi_error_rules:mem:1M"},
    {"location": 2, "disk": "delay:0;write=400ms:mem:1M"},
    {"location": 3, "disk": "nvme:0000:00:03.0/1"}]}]}
JSON
boot 0 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' --config "$work/config.json" \
    --nvme "$work/disk" --cpus 1 --timeout 240
has_not console '^scsi: bad'
has console '^scsi: [0-9]+ checks, 0 bad'
has_not log 'virtio: (queue|the driver)'
last=$(tail -c 512 "$work/disk" | tr -d '\000' | wc -c)
[ "$last" -gt 400 ] || fail 'the last block is not on the physical disk'
