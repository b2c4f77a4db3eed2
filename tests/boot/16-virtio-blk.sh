#!/usr/bin/env bash
# A guest with Debian's own virtio_pci and virtio_blk on an encrypted virtio block device: its identity, limits and queues are those that were
# configured, an ext4 survives load from several processes and a reboot, discards arrive; a second device has sectors of 4096 bytes. The physical
# image decrypts to that file system with software that is not ours.
. "$(dirname "$0")/support.sh"
head -c 64 /dev/urandom >"$work/key"
additions=()
add_modules "$work" virtio_pci virtio_blk

echo "$load_added_modules" >"$work/common"
cat >>"$work/common" <<'SCRIPT'
tries=0
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do
    tries=$((tries + 1)); [ $tries -le 100 ] || { echo 'virtio: no disk'; dmesg | tail -n 20; poweroff -f; }
    sleep 0.1
done
SCRIPT
cat "$work/common" - >"$work/write" <<'SCRIPT'
cd /sys/block/vda
echo "virtio: serial $(cat serial) queues $(ls mq | wc -l) size $(cat size) cache $(cat queue/write_cache) discard $(cat queue/discard_max_bytes)"
echo "virtio: zeroes $(cat queue/write_zeroes_max_bytes) logical $(cat queue/logical_block_size) $(cat /sys/block/vdb/queue/logical_block_size) vectors $(grep -c virtio /proc/interrupts)"
cd /
seq 1 100000 | head -c 400k >/tmp/data
dd if=/tmp/data of=/dev/vdb bs=4k seek=3 oflag=direct 2>/dev/null
dd if=/dev/vdb bs=4k skip=3 count=100 iflag=direct 2>/dev/null | cmp - /tmp/data && echo 'virtio: plain disk'
mkfs.ext4 -q -F /dev/vda && mount -t ext4 -o discard /dev/vda /mnt || { echo 'virtio: no file system'; exit 1; }
# Four processes at once, each with data of its own, read back past the cache.
work() {
    seq "$1" 7 150000 >/mnt/part$1 && sync
    echo 3 >/proc/sys/vm/drop_caches
    seq "$1" 7 150000 | cmp - /mnt/part$1 && echo ok >/tmp/ok$1
}
work 1 & work 2 & work 3 & work 4 & wait
echo "virtio: $(ls /tmp/ok* | wc -l) of 4 parts"
rm /mnt/part4 && sync && fstrim /mnt
seq 1 200000 >/mnt/payload
dd if=/dev/vda of=/dev/null bs=128k count=256 iflag=direct 2>/dev/null && echo 'virtio: read large'
sync && umount /mnt
dmesg | grep -E 'I/O error|virtio.*(fail|error)' | head -n 3 | sed 's/^/virtio: bad /'
echo 'virtio: written'
SCRIPT
cat "$work/common" - >"$work/check" <<'SCRIPT'
e2fsck -fn /dev/vda >/tmp/fsck 2>&1 || { cat /tmp/fsck; echo 'virtio: e2fsck finds errors'; exit 1; }
mount -t ext4 -o ro /dev/vda /mnt && echo "virtio: sum $(sha256sum </mnt/payload | cut -d' ' -f1)"
for part in 1 2 3; do seq $part 7 150000 | cmp - /mnt/part$part || echo "virtio: part $part differs"; done
umount /mnt
SCRIPT
for script in write check; do
    "$root/undercroft" initrd --output "$work/initrd.$script" --script "$work/$script" "${additions[@]}" >/dev/null || fail 'no initrd'
done
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c", "luns": [{"location": 1, "disk": "mem:1M"}]},
  {"protocol": "VIRTIO_BLK", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
    {"location": 0, "serial_number": "UCV-0001", "disk": "crypt:xts-aes-256:demo:nvme:0000:00:03.0/1"}]},
  {"protocol": "virtio_blk", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5e", "luns": [
    {"location": 0, "disk": "mem:8M;sector_size=4096"}]}]}
JSON

virtio() {
    boot 0 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd.$1" --append 'console=ttyS0 quiet' --config "$work/config.json" \
        --nvme "$work/disk" --key "demo=$work/key" --cpus 2 --timeout 240
}

virtio write
has console '^virtio: serial UCV-0001 queues 2 size 131072 cache write back discard [1-9]'
has console '^virtio: zeroes [1-9][0-9]* logical 512 4096 vectors [4-9]'
has console '^virtio: 4 of 4 parts'
has console '^virtio: read large'
has console '^virtio: plain disk'
has console '^virtio: written'
has_not console 'virtio: bad'
has_not log 'virtio: (queue|the driver)'
virtio check
sum=$(seq 1 200000 | sha256sum | cut -d' ' -f1)
has console "^virtio: sum $sum"
has_not console 'virtio: part'
"$root/tests/support/decrypt_image.py" "$work/disk" "$work/key" "$work/plain" >"$work/decrypt" 2>&1 || { cat "$work/decrypt"; fail 'decrypting'; }
/sbin/e2fsck -fn "$work/plain" >"$work/fsck" 2>&1 || { cat "$work/fsck"; fail 'e2fsck finds errors in the decrypted image'; }
/sbin/debugfs -R "dump /payload $work/payload" "$work/plain" >"$work/debugfs" 2>&1
[ "$(sha256sum <"$work/payload" | cut -d' ' -f1)" = "$sum" ] || fail 'the decrypted file is not what the guest wrote'
