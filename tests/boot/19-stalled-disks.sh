#!/usr/bin/env bash
# Disks that change under a guest with Debian's own drivers (virtio_scsi, virtio_blk, nvme, ata_piix). A new size is seen without a rescan by hand.
# A disk that answers nothing: abort (NVMe) and reset (IDE) when the driver's timeout is over, a reset of the unit (SCSI) and of the controller (NVMe) when told
# to, and it works again; what was given up is not done late. A unit beside one that answers nothing keeps its speed.
. "$(dirname "$0")/support.sh"
guest_root=$root/build/guest/full/root
additions=()
add_modules "$work" virtio_pci virtio_blk virtio_scsi
add_programs sg_reset
echo "$load_added_modules" >"$work/script"
cat >>"$work/script" <<'SCRIPT'
say() { echo "stall: $*"; }
# disk_of PATTERN: the sd disk whose place in the tree of devices matches.
disk_of() {
    for entry in /sys/block/sd*; do
        # shellcheck disable=SC2254 # a pattern
        case $(readlink "$entry") in $1) echo "${entry##*/}" ;; esac
    done
}
tries=0
until fast=$(disk_of '*virtio*:0/block/*') && stuck=$(disk_of '*virtio*:1/block/*') && ide=$(disk_of '*/ata*') &&
    [ -n "$fast" ] && [ -n "$stuck" ] && [ -n "$ide" ] && [ -b /dev/vda ] && [ -b /dev/nvme0n1 ]; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || { say 'no disks'; dmesg | tail -n 30; exit 1; }
    sleep 0.1
done
# In hundredths of a second.
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }
read_one() { dd if="/dev/$1" of=/tmp/back bs=4k count=1 iflag=direct 2>/dev/null; }
write_one() { dd if="/tmp/$1" of="/dev/$stuck" bs=4k count=1 oflag=direct conv=notrunc 2>/dev/null; }
# until_held COMMAND...: again and again, until once it has taken long; sets `took` and `status`.
until_held() {
    give_up=$(($(now) + 6000))
    while :; do
        before=$(now)
        "$@"
        status=$?
        took=$(($(now) - before))
        [ $took -lt 150 ] || return
        [ "$before" -lt $give_up ] || { took=never; return; }
    done
}
# when_held DISK COMMAND...: waits until the disk has one read or write under way for two seconds, and does that.
under_way() { tr -s ' ' <"/sys/block/$1/inflight" | grep -q '^ 1 0\|^ 0 1'; }
when_held() {
    tries=0
    until under_way "$1" && sleep 1 && under_way "$1" && sleep 1 && under_way "$1"; do
        tries=$((tries + 1)); [ $tries -lt 300 ] || break
        sleep 0.1
    done
    shift
    "$@"
}
# after_host SECTORS COMMAND...: waits until the host has given vda that size, which says that it has done its part, and does that.
after_host() {
    tries=0
    until [ "$(cat /sys/block/vda/size)" = "$1" ]; do
        tries=$((tries + 1)); [ $tries -lt 600 ] || { say "bad: the host never gave vda $1 sectors"; break; }
        sleep 0.1
    done
    shift
    "$@"
}

say ready for sizes
tries=0
until [ "$(cat /sys/block/vda/size)" = 2048 ] && [ "$(cat "/sys/block/$fast/size")" = 2048 ]; do
    tries=$((tries + 1)); [ $tries -lt 300 ] || break
    sleep 0.1
done
say "sizes $(cat /sys/block/vda/size) $(cat "/sys/block/$fast/size") attentions $(dmesg | grep -c 'Capacity data has changed')"

# How long the fast disk takes, before, while the other holds eight reads, and after: the best of three times, since this machine has other work.
measure() {
    best=999999
    for attempt in 1 2 3; do
        before=$(now)
        for round in 1 2 3 4; do dd if="/dev/$fast" of=/dev/null bs=4k iflag=direct 2>/dev/null; done
        time=$(($(now) - before))
        [ $time -ge $best ] || best=$time
    done
    echo $best
}
first=$(measure)
for reader in 1 2 3 4 5 6 7 8; do
    (while [ ! -e /tmp/stop ]; do read_one "$stuck"; done; echo >>/tmp/readers) &
done
say ready for a hold
same=0
tries=0
while [ $same -lt 10 ] && [ $tries -lt 300 ]; do
    tries=$((tries + 1))
    case $(cat "/sys/block/$stuck/inflight") in *8\ *) same=$((same + 1)) ;; *) same=0 ;; esac
    sleep 0.1
done
loaded=$(measure)
touch /tmp/stop
say "ready for a release, $same looks"
wait
last=$(measure)
say "speed $first beside $loaded then $last, $(wc -l </tmp/readers) readers"

# Linux leaves timeouts on virtio-scsi to the host, and asks for a reset of the unit when it is told to.
say ready for a held read
(until_held read_one "$stuck"; say "held read took $took status $status") &
waiter=$!
when_held "$stuck" sg_reset -d "/dev/$stuck"
wait $waiter
head -c 4096 /dev/urandom >/tmp/first
head -c 4096 /dev/urandom >/tmp/second
say ready for a held write
(until_held write_one first; say "held write took $took status $status") &
waiter=$!
when_held "$stuck" after_host 3072 sg_reset -d "/dev/$stuck"
wait $waiter
write_one second && say ready for late writes
after_host 4096 read_one "$stuck"
cmp /tmp/back /tmp/second && say 'nothing is late'

echo 3000 >/sys/block/nvme0n1/queue/io_timeout
say ready for nvme
until_held read_one nvme0n1
say "nvme took $took status $status, $(dmesg | grep -c 'nvme nvme0: .*timeout, aborting')"
echo 30000 >/sys/block/nvme0n1/queue/io_timeout
say ready for nvme reset
(until_held read_one nvme0n1; say "nvme reset took $took status $status") &
waiter=$!
when_held nvme0n1 sh -c 'echo 1 >/sys/class/nvme/nvme0/reset_controller'
wait $waiter

echo 3 >"/sys/block/$ide/device/timeout"
say ready for ide
until_held read_one "$ide"
say "ide took $took status $status, $(dmesg | grep -cE 'ata[12].*(failed command|timeout)')"
for disk in "$fast" "$stuck" "$ide" nvme0n1 vda; do read_one "$disk" || say "bad $disk"; done
dmesg | grep -E 'I/O error' | sed 's/^/stall: bad /'
say done
SCRIPT
"$root/undercroft" initrd --full --output "$work/initrd" --script "$work/script" "${additions[@]}" >/dev/null || fail 'no initrd'
cat >"$work/config.json" <<'JSON'
{"version": 1, "storage_controllers": [
  {"protocol": "NVME", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5c", "luns": [{"location": 1, "disk": "fault:unmap-fail:mem:256K"}]},
  {"protocol": "SCSI", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5d", "luns": [
    {"location": 0, "disk": "mem:512K"}, {"location": 1, "disk": "fault:unmap-fail:mem:256K"}]},
  {"protocol": "VIRTIO_BLK", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5e", "luns": [{"location": 0, "disk": "mem:512K"}]},
  {"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5f", "luns": [{"channel": 0, "location": 0, "disk": "fault:unmap-fail:mem:256K"}]}]}
JSON
start_boot --kernel "$root/build/guest/full/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' \
    --config "$work/config.json" --cpus 2 --timeout 300

console_says '^stall: ready for sizes'
look disks/1/mem/size=1M disks/3/mem/size=1M >/dev/null
console_says '^stall: ready for a hold'
sleep 1
look disks/2/fault/rules=read-hold >/dev/null
console_says '^stall: ready for a release'
look virtio_controllers/0 >"$work/virtio"
look disks/2/fault/rules=none disks/2/fault/release=all >/dev/null
console_says '^stall: ready for a held read'
look disks/2/fault/rules=read-hold/count=1 >/dev/null
console_says '^stall: ready for a held write'
[ "$(look disks/2/fault/held)" = 0 ] || fail 'the read that the reset ended is still held'
look disks/2/fault/rules=write-hold/count=1 >/dev/null
tries=0
while [ "$(look disks/2/fault/held)" = 0 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail 'the write is not held'
    sleep 0.2
done
look disks/3/mem/size=1536K >/dev/null
console_says '^stall: ready for late writes'
look disks/2/fault/release=all >/dev/null
look disks/3/mem/size=2M >/dev/null
console_says '^stall: ready for nvme'
look disks/0/fault/rules=read-hold/count=1 >/dev/null
console_says '^stall: ready for nvme reset'
look disks/0/fault/rules=read-hold/count=1 >/dev/null
console_says '^stall: ready for ide'
look disks/4/fault/rules=read-hold/count=1 >/dev/null
wait_for_boot

has console '^stall: sizes 2048 2048 attentions [1-9]'
has console '^stall: speed [0-9]+ beside [0-9]+ then [0-9]+, 8 readers'
has console '^stall: held read took [0-9]+ status 0'
has console '^stall: held write took [0-9]+ status 0'
has console '^stall: nothing is late'
has console '^stall: nvme took [0-9]+ status 0, [1-9]'
has console '^stall: nvme reset took [0-9]+ status 0'
has console '^stall: ide took [0-9]+ status 0, [1-9]'
has console '^stall: done'
has_not console '^stall: bad'
grep -q '"in_flight": 8' "$work/virtio" || { cat "$work/virtio"; fail 'inspect does not show eight commands of the unit that holds them'; }
# The loaded time is at most twice the longer of the two others.
read -r first loaded last < <(sed -n 's/^stall: speed \([0-9]*\) beside \([0-9]*\) then \([0-9]*\),.*/\1 \2 \3/p' "$work/console" | tr -d '\r')
alone=$((first > last ? first : last))
[ "$loaded" -le $((alone * 2)) ] || fail "beside a stalled unit the fast one takes $loaded instead of $alone hundredths"
echo "a fast unit alone: $first and $last hundredths of a second; beside one that holds eight reads: $loaded"
