#!/usr/bin/env bash
# Media that change while a guest runs: cdrom tools and Linux's floppy driver see a disc and a floppy that somebody puts in or takes out over the
# control line; a mounted disc is locked, and the guest is told of the wish; what the guest ejects and loads itself is seen outside.
. "$(dirname "$0")/support.sh"
for number in 1 2; do
    mkdir "$work/tree"
    seq "$number" 200000 >"$work/tree/payload"
    genisoimage -quiet -r -V "DISC$number" -o "$work/disc$number" "$work/tree" || fail 'no image'
    rm -r "$work/tree"
    truncate -s 1440K "$work/floppy$number"
    /sbin/mkfs.fat -n "FLOPPY$number" "$work/floppy$number" >/dev/null || fail 'no floppy image'
    echo "floppy $number" >"$work/text"
    mcopy -i "$work/floppy$number" "$work/text" ::text || fail 'no file on the floppy image'
done

cat >"$work/script" <<'SCRIPT'
say() { echo "media: $*"; }
payload() { mount -t iso9660 -o ro /dev/sr0 /mnt 2>/dev/null && sha256sum </mnt/payload | cut -d' ' -f1; }
# GET EVENT STATUS NOTIFICATION, class 4 (MMC-6 6.7): the event's code and the medium's state. Opening sr0 would ask for it itself.
event() { sg_raw -b -r 8 /dev/sg0 4a 01 00 00 10 00 00 00 08 00 2>/dev/null | od -An -tx1 | awk '{ print $5, $6 }'; }
# until_is SECONDS WORD COMMAND...: until it prints WORD.
until_is() {
    tries=$(($1 * 5)) word=$2
    shift 2
    until [ "$("$@")" = "$word" ]; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { say "bad: $* never says $word, but $("$@")"; return 1; }
        sleep 0.2
    done
}
# A floppy may be gone between the two: what is mounted is unmounted in any case.
floppy_text() {
    text=$(mount -t vfat -o ro /dev/fd0 /mnt 2>/dev/null && cat /mnt/text)
    umount /mnt 2>/dev/null
    echo "${text:-none}"
}

cd-info --no-header --no-device-info --no-cddb -C /dev/sr0 2>/dev/null | grep -E '^ *(1|170):|ISO 9660|Disc mode' | sed 's/^/media: toc /'
event >/dev/null
say "first $(payload)"
say 'mounted'
until_is 60 '01 02' event && say 'asked for the medium'
umount /mnt
say 'unmounted'
until_is 60 '02 02' event && say 'a new medium'
say "second $(payload)"
umount /mnt
say "floppy: $(floppy_text)"
eject /dev/sr0 || say 'bad: eject failed'
say "tray $(event)"
say 'ejected'  # opening sr0 would close the tray
until_is 60 'floppy 2' floppy_text && say 'floppy two'  # who looks at the drive has done so
eject -t /dev/sr0 || say 'bad: eject -t failed'
say "reloaded $(payload)"
umount /mnt
say 'loaded'
until_is 60 none floppy_text && say 'floppy gone'
until_is 60 'floppy 1' floppy_text && say 'floppy back'
SCRIPT
additions=()
add_programs sg_raw eject cd-info
"$root/undercroft" initrd --full --output "$work/initrd" --script "$work/script" "${additions[@]}" >/dev/null || fail 'no initrd'
cat >"$work/config.json" <<JSON
{"version": 1, "storage_controllers": [
  {"protocol": "IDE", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b60", "luns": [
    {"channel": 1, "location": 0, "is_dvd": true, "disk": "nvme:0000:00:03.0/1", "media": ["nvme:0000:00:04.0/1"]}]},
  {"protocol": "FLOPPY", "instance_id": "7a0d6b0c-3a3e-4f4e-9d25-1c3d2f3a4b5f", "luns": [
    {"location": 0, "disk": "nvme:0000:00:05.0/1", "media": ["nvme:0000:00:06.0/1"]}]}]}
JSON
start_boot --kernel "$root/build/guest/full/vmlinuz" --initrd "$work/initrd" --append "console=ttyS0 quiet undercroft.disk=/dev/sr0" \
    --config "$work/config.json" --nvme "$work/disc1" --nvme "$work/disc2" --nvme "$work/floppy1" --nvme "$work/floppy2" --timeout 240

# is DRIVE VALUE: its medium, as the image has it.
is() { [ "$(look "drives/$1/medium")" = "\"$2\"" ] || fail "the medium of $1 is $(look "drives/$1/medium"), not $2"; }
console_says '^media: mounted'
is ide-1-0 1
python3 "$root/tests/support/ask_image.py" "$work/control" drives/ide-1-0/medium=eject >"$work/refusal" && fail 'a locked medium was ejected'
grep -q 'the guest has locked the drive' "$work/refusal" || fail "the refusal is: $(cat "$work/refusal")"
is ide-1-0 1
console_says '^media: unmounted'
look drives/ide-1-0/medium=2 >/dev/null
console_says '^media: ejected'
is ide-1-0 none
look drives/floppy-0/medium=2 >/dev/null
console_says '^media: loaded'
is ide-1-0 2
look drives/floppy-0/medium=eject >/dev/null
console_says '^media: floppy gone'
is floppy-0 none
look drives/floppy-0/medium=1 >/dev/null
wait_for_boot
has_not console '^media: bad'
has console '^media: asked for the medium'
has console '^media: a new medium'
has console '^media: tray 0. 01'  # open, and no medium
has console '^media: floppy: floppy 1'
has console '^media: floppy two'
has console '^media: floppy back'
has console "^media: first $(seq 1 200000 | sha256sum | cut -d' ' -f1)"
has console "^media: second $(seq 2 200000 | sha256sum | cut -d' ' -f1)"
has console "^media: reloaded $(seq 2 200000 | sha256sum | cut -d' ' -f1)"
# The lead-out is the image's size in blocks, and 150 frames.
blocks=$(($(stat -c %s "$work/disc1") / 2048 + 150))
has console "^media: toc +170: +$(printf '%02d:%02d:%02d' $((blocks / 4500)) $((blocks / 75 % 60)) $((blocks % 75)))"
