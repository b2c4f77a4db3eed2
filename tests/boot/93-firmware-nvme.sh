#!/usr/bin/env bash
# SeaBIOS boots from an encrypted NVMe namespace by its own driver, on two processors, which it starts. An IDE disk is there as well, which it would
# take first if the configuration did not name the other before.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
make_boot_image
encrypt "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b75", "luns": [
  {"location": 1, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]},
  {"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b76", "luns": [{"channel": 0, "location": 0, "disk": "mem:1M"}]}' --cpus 2
booted_linux 2
has log '^guest: Found 2 cpu'
if (shows 'not a bootable disk') >/dev/null; then fail 'another disk was tried first'; fi
