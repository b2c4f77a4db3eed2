#!/usr/bin/env bash
# A guest on layers over two physical NVMe. Memory over crypt over stripes: an ext4 is made, written and read back, and after the power
# is off neither image has changed. Without the memory: the data survives a boot, and the two images, put together and decrypted by software
# that is not ours, are that file system.
. "$(dirname "$0")/support.sh"
chunk=131072
head -c 64 /dev/urandom >"$work/key"

cat >"$work/write" <<'SCRIPT'
disk=/dev/nvme0n1
mkfs.ext4 -q -F "$disk" && mount -t ext4 "$disk" /mnt || { echo "layered: no file system"; exit 1; }
seq 1 200000 >/mnt/payload
sync
umount /mnt && mount -t ext4 -o ro "$disk" /mnt || { echo "layered: cannot mount again"; exit 1; }
echo "layered: sum $(sha256sum </mnt/payload | cut -d' ' -f1) of $(($(cat /sys/block/nvme0n1/size) / 2048)) MiB"
umount /mnt
SCRIPT
cat >"$work/check" <<'SCRIPT'
disk=/dev/nvme0n1
e2fsck -fn "$disk" >/tmp/fsck 2>&1 || { cat /tmp/fsck; echo "layered: e2fsck finds errors"; exit 1; }
mount -t ext4 -o ro "$disk" /mnt || { echo "layered: cannot mount"; exit 1; }
echo "layered: sum $(sha256sum </mnt/payload | cut -d' ' -f1)"
umount /mnt
SCRIPT
for script in write check; do
    "$root/undercroft" initrd --output "$work/initrd.$script" --script "$work/$script" || fail 'no initrd'
done
sum=$(seq 1 200000 | sha256sum | cut -d' ' -f1)

# layered SCRIPT DISK: boots the guest with DISK, in the one-line grammar, as its only disk.
layered() {
    cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [{"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d",
  "luns": [{"location": 1, "disk": "$2"}]}]}
JSON
    boot 0 --kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd.$1" --append 'console=ttyS0 quiet' --config "$work/config.json" \
        --nvme "$work/first" --nvme "$work/second" --key "demo=$work/key" --timeout 240
    has console "^layered: sum $sum"
}

striped="crypt:xts-aes-256:demo:striped;chunk=128K:(nvme:0000:00:03.0/1,nvme:0000:00:04.0/1)"
for image in first second; do
    head -c 32M /dev/urandom >"$work/$image"
done
sums=$(sha256sum "$work/first" "$work/second")
layered write "memdiff:$striped"
has console 'of 64 MiB'
[ "$sums" = "$(sha256sum "$work/first" "$work/second")" ] || fail 'a physical image changed under a memory layer'

for image in first second; do
    rm "$work/$image"
    truncate -s 32M "$work/$image"
done
layered write "$striped"
layered check "$striped"
"$root/tests/support/unstripe_images.py" --chunk "$chunk" "$work/whole" "$work/first" "$work/second" || fail 'the images cannot be put together'
"$root/tests/support/decrypt_image.py" "$work/whole" "$work/key" "$work/plain" >"$work/decrypt" 2>&1 || { cat "$work/decrypt"; fail 'decrypting'; }
/sbin/e2fsck -fn "$work/plain" >"$work/fsck" 2>&1 || { cat "$work/fsck"; fail 'e2fsck finds errors in the decrypted image'; }
/sbin/debugfs -R "dump /payload $work/payload" "$work/plain" >"$work/debugfs" 2>&1
[ "$(sha256sum <"$work/payload" | cut -d' ' -f1)" = "$sum" ] || fail 'the decrypted file is not what the guest wrote'
