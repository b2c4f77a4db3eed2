#!/usr/bin/env bash
# SeaBIOS boots from an encrypted SCSI disk by its own virtio-scsi driver. It is LUN 12, and the configuration names it before LUN 0.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
make_boot_image
encrypt "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "SCSI", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b78", "luns": [
  {"location": 12, "vendor_id": "VAULT", "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}, {"location": 0, "disk": "mem:1M"}]}' --cpus 1
booted_linux 1
has log '^guest: .*VAULT'
if (shows 'not a bootable disk') >/dev/null; then fail 'another disk was tried first'; fi
