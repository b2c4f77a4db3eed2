#!/usr/bin/env bash
# A guest with Debian's own virtio_scsi, sd_mod and sr_mod: an ext4 on an encrypted SCSI disk, a DVD that is not writable, an empty drive; the physical
# image decrypts to that file system with software that is not ours. On one processor and on two.
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"
additions=()
add_modules "$work" virtio_pci virtio_scsi sd_mod sr_mod
echo "$load_added_modules" >"$work/script"
cat >>"$work/script" <<'SCRIPT'
tries=0
until [ -b /dev/sda ] && [ -b /dev/sr0 ] && [ -b /dev/sr1 ]; do
    tries=$((tries + 1)); [ $tries -le 100 ] || { echo 'scsi: no disk'; dmesg | tail -n 20; poweroff -f; }
    sleep 0.1
done
echo "scsi: vendor $(cat /sys/block/sda/device/vendor) size $(cat /sys/block/sda/size) cache $(cat /sys/block/sda/queue/write_cache)"
for drive in sr0 sr1; do echo "scsi: drive size $(cat /sys/block/$drive/size) ro $(cat /sys/block/$drive/ro)"; done
mkfs.ext4 -q -F /dev/sda && mount -t ext4 /dev/sda /mnt || { echo 'scsi: no file system'; exit 1; }
work() { seq "$1" 7 150000 >/mnt/part$1 && sync && echo 3 >/proc/sys/vm/drop_caches && seq "$1" 7 150000 | cmp - /mnt/part$1 && echo ok >/tmp/ok$1; }
work 1 & work 2 & work 3 & wait
seq 1 200000 >/mnt/payload
sync && umount /mnt
echo "scsi: $(ls /tmp/ok* | wc -l) of 3 parts, $(dmesg | grep -c 'I/O error, dev sda') errors"
SCRIPT
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" "${additions[@]}" >/dev/null || fail 'no initrd'
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c", "luns": [{"location": 1, "disk": "mem:1M"}]},
  {"protocol": "SCSI", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
    {"location": 0, "vendor_id": "VAULT", "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"},
    {"location": 3, "is_dvd": true, "disk": "mem:4M"}, {"location": 5, "is_dvd": true}]}]}
JSON
for cpus in 1 2; do
    truncate -s 0 "$work/disk"
    truncate -s 64M "$work/disk"
    boot 0 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' --config "$work/config.json" \
        --nvme "$work/disk" --key "demo=$work/key" --cpus "$cpus" --timeout 240
    has console '^scsi: vendor VAULT +size 131072 cache write back'
    has console '^scsi: drive size 8192 '
    has console '^scsi: 3 of 3 parts, 0 errors'
    has_not log 'virtio: (queue|the driver)'
    "$root/tests/support/decrypt_image.py" "$work/disk" "$work/key" "$work/plain" >"$work/decrypt" 2>&1 || { cat "$work/decrypt"; fail 'decrypting'; }
    /sbin/debugfs -R "dump /payload $work/payload" "$work/plain" >"$work/debugfs" 2>&1
    [ "$(sha256sum <"$work/payload")" = "$(seq 1 200000 | sha256sum)" ] || fail 'the decrypted file is not what the guest wrote'
done
