#!/usr/bin/env bash
# SeaBIOS boots from an encrypted virtio block device by its own driver.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
make_boot_image
encrypt "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "VIRTIO_BLK", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b77", "luns": [
  {"location": 0, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]}' --cpus 1
booted_linux 1
