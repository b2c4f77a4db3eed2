#!/usr/bin/env bash
# A Linux guest in QEMU on the vhost-user-blk server: data verified under load on several queues while the server is killed and started
# again, with not one I/O error, on split and packed rings; a resize that the guest sees.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)

additions=()
add_modules "$folder" virtio_pci virtio_blk

echo "$load_added_modules" >"$folder/script"
cat >>"$folder/script" <<'GUEST'
until [ -b /dev/vda ]; do sleep 0.1; done
stop() { echo "RESULT $*"; dmesg | grep -iE 'vda|virtio' | tail -n 5; poweroff -f; }
echo "QUEUES $(ls /sys/block/vda/mq | wc -l)"
mount -t tmpfs tmpfs /tmp
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
# One of four workers, each with a part of the disk of its own.
work() {
    while [ "$(cut -d. -f1 /proc/uptime)" -lt "$2" ]; do
        dd if=/tmp/data of=/dev/vda bs=64k seek=$(($1 * 64)) conv=notrunc oflag=direct 2>/dev/null || { echo "write $1" >>/tmp/bad; return; }
        dd if=/dev/vda of=/tmp/back.$1 bs=64k skip=$(($1 * 64)) count=64 iflag=direct 2>/dev/null || { echo "read $1" >>/tmp/bad; return; }
        cmp /tmp/data /tmp/back.$1 || { echo "differs $1" >>/tmp/bad; return; }
    done
}
echo LOAD
end=$(($(cut -d. -f1 /proc/uptime) + $(sed -n 's/.*seconds=\([0-9]*\).*/\1/p' /proc/cmdline)))
work 0 $end & work 1 $end & work 2 $end & work 3 $end & wait
[ ! -e /tmp/bad ] || stop "bad: $(cat /tmp/bad)"
dmesg | grep -q 'I/O error' && stop 'an I/O error'
echo RESIZE
size=$(cat /sys/block/vda/size)
tries=0
while [ "$(cat /sys/block/vda/size)" = "$size" ]; do
    tries=$((tries + 1))
    [ $tries -lt 200 ] || stop 'no resize seen'
    sleep 0.1
done
echo "SIZE $(cat /sys/block/vda/size)"
sync
stop good
GUEST
"$root/undercroft" initrd --output "$folder/initrd" --script "$folder/script" "${additions[@]}" >/dev/null 2>&1 || fail 'no initrd'

# run_guest packed=on|off SECONDS KILLS
run_guest() {
    rm -f "$folder/disk"
    truncate -s 32M "$folder/disk"
    start_server --vhost-user-blk "$socket" --queues 2 "file:$folder/disk"
    start_guest 120 ,reconnect=1 "vhost-user-blk-pci,num-queues=2,$1" "seconds=$2"
    wait_for LOAD
    for ((kill = 0; kill < $3; kill++)); do
        sleep 1
        ! grep -q RESIZE "$console" || fail 'the load was over before the server was killed'
        kill -KILL "$server_pid"
        wait "$server_pid" 2>/dev/null || true
        start_server --vhost-user-blk "$socket" --queues 2 "file:$folder/disk"
    done
    wait_for RESIZE
    truncate -s 48M "$folder/disk"
    wait_for RESULT
    grep -q 'RESULT good' "$console" || { cat "$console"; fail "the guest found something wrong ($1)"; }
    grep -q 'SIZE 98304' "$console" || fail "the guest sees another size ($1): $(grep SIZE "$console")"
    grep -q 'QUEUES 2' "$console" || fail "the guest has not two queues ($1)"
    wait "$qemu" || true
    stop_server
}

run_guest packed=off 8 2
run_guest packed=on 6 2
