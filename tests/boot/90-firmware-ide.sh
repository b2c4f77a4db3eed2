#!/usr/bin/env bash
# SeaBIOS boots from an encrypted IDE disk: its own ATA driver by PIO, GRUB, a kernel and an initrd from the disk.
# shellcheck source=tests/boot/firmware.sh
. "$(dirname "$0")/firmware.sh"
make_boot_image
encrypt "$work/image" "$work/disk"
firmware_boot 0 '{"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b71", "luns": [
  {"channel": 0, "location": 0, "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]}' --cpus 1
booted_linux 1
has log '^guest: ata0-0: Undercroft disk ATA'
