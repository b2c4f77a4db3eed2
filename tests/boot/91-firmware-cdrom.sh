#!/usr/bin/env bash
# SeaBIOS boots from a CD: El Torito by its own ATAPI driver. The disk that comes first in the configuration is empty, and is tried first. A machine
# with nothing to boot says so and ends.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
make_boot_image
mv "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b72", "luns": [{"location": 1, "disk": "mem:1M"}]},
  {"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b73", "luns": [
  {"channel": 1, "location": 0, "is_dvd": true, "disk": "nvme:0000:00:03.0/1"}]}' --cpus 1
shows 'Booting from Hard Disk'
shows 'not a bootable disk'
shows 'Booting from DVD/CD'
booted_linux 1

firmware_boot 15 '{"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b72", "luns": [{"location": 1, "disk": "mem:1M"}]}' --cpus 1
shows 'No bootable device'
