# shellcheck shell=bash
# boot --demo: two boots of the demonstration guest on one encrypted disk, then a look at the physical image with software that is
# not ours: python3-cryptography decrypts it, e2fsprogs reads the file system in it.

demo_marker=UNDERCROFT-PLAINTEXT-MARKER
demo_timeout_seconds=600

# demo_failed MESSAGE...: the disk and the consoles of a failed demonstration are kept.
demo_failed() {
    local kept=$build/demo/failed
    rm -rf "$kept"
    mkdir -p "$kept"
    cp --sparse=always "$run_folder"/* "$kept/" 2>/dev/null || true
    die "$status_demo_failed" "the demonstration went wrong: $*; see ${kept#"$root"/}"
}

check_demo_options() {
    local name
    for name in --config --initrd --console; do
        [[ -z ${options[$name]} ]] || refuse "--demo has its own; it does not go with $name"
    done
    ((${#nvmes[@]} == 0)) || refuse '--demo has its own; it does not go with --nvme'
}

# use_demo_disk: a new disk for this run alone.
use_demo_disk() {
    nvmes=("$run_folder/disk.img")
    truncate -s 256M "${nvmes[0]}"
}

run_demo() {
    local wrote read
    install_packages "${packages_demo[@]}"
    step 'first boot: make a file system, write 64 MiB, power off'
    demo_phase write wrote
    step 'second boot: check the file system, read back, power off'
    demo_phase check read
    [[ $wrote == "$read" ]] || demo_failed "the guest wrote $wrote and read $read"
    step 'decrypting the physical image with python3-cryptography'
    inspect_image "$wrote"
    report_demo "$wrote"
}

# demo_phase PHASE VARIABLE: one boot; the sum that the guest reports goes into the variable, its times into demo_times.
demo_times=()

demo_phase() {
    local -n sum=$2
    local status=0 console=$run_folder/console-$1.txt base=${machine[cmdline]} limit=$((10#${options[--timeout]}))
    ((limit > 0)) || limit=$demo_timeout_seconds
    machine[console]=$console
    machine[log]=$run_folder/$1.log
    machine[cmdline]+=" undercroft.demo=$1"
    qemu_command
    machine[cmdline]=$base
    run_machine "$limit" </dev/null || status=$?
    if ((status != 0)); then
        tail -n 10 "$console" >&2 || true
        report_failure "$status"
        exit "$status"
    fi
    sum=$(sed -n 's/^undercroft: \(wrote\|read\) \([0-9a-f]\{64\}\).*/\2/p' "$console")
    [[ -n $sum ]] || demo_failed "$(sed -n 's/^undercroft: failed: //p' "$console" | tr -d '\r')"
    demo_times+=("$(sed -n 's/^undercroft: user space after \([0-9.]*\) s.*/\1/p' "$console")")
}

# inspect_image SUM: sets demo_sectors; ends the demonstration when anything is not as it should be.
inspect_image() {
    local disk=${nvmes[0]} plain=$run_folder/plain.img key=${keys[0]#*=}
    demo_sectors=$("$root/tests/support/decrypt_image.py" "$disk" "$key" "$plain") || demo_failed 'the image holds plaintext'
    grep -qaF "$demo_marker" "$plain" || demo_failed 'the decrypted image lacks what the guest wrote'
    if grep -qaF "$demo_marker" "$disk"; then
        demo_failed 'the physical image holds the plaintext'
    fi
    /sbin/e2fsck -fn "$plain" >"$run_folder/e2fsck.txt" 2>&1 || demo_failed 'e2fsck finds errors in the decrypted image'
    /sbin/debugfs -R "dump /payload $run_folder/payload" "$plain" >"$run_folder/debugfs.txt" 2>&1
    [[ $(sha256sum <"$run_folder/payload") == "$1  -" ]] || demo_failed 'the decrypted file is not what the guest wrote'
}

report_demo() {
    cat <<TEXT

  guest          Debian's kernel $(guest_release), ${machine[cpus]} virtual processors, unmodified; in user space after ${demo_times[0]} s
  wrote          64 MiB on ext4, SHA-256 $1
  read back      the same, after a power-off and a second boot; e2fsck found no fault
  physical disk  $demo_sectors sectors written; decrypted by python3-cryptography they are that file system with that file
  plaintext      none of it is in the physical image, neither the marker nor any sector
TEXT
}
