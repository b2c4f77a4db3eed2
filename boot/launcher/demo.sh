# shellcheck shell=bash
# boot --demo: two boots of the demonstration guest on a disk of each kind, all encrypted, then a look at the physical images with software
# that is not ours: python3-cryptography decrypts them, e2fsprogs, mtools and dosfstools read the file systems in them.

demo_marker=UNDERCROFT-PLAINTEXT-MARKER
demo_timeout_seconds=600
# What the guest does with each kind: the file system, and how many MiB it writes or, of the CD, reads.
declare -A demo_use=([nvme]=ext4:64 [virtio]=ext4:4 [scsi]=ext4:4 [ide]=ext4:4 [cd]=iso9660:1 [floppy]=vfat:1)

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

run_demo() {
    # The cloud kernel has no driver for floppies.
    demo_kinds_used=("${demo_kinds[@]}")
    [[ ${options[--guest]} == full ]] || mapfile -t demo_kinds_used < <(printf '%s\n' "${demo_kinds[@]}" | grep -vx floppy)
    step 'first boot: make file systems, write, sync, power off'
    demo_phase write
    mv "$run_folder/sums" "$run_folder/sums.written"
    step 'second boot: check the file systems, read back, power off'
    demo_phase check
    cmp -s "$run_folder/sums.written" "$run_folder/sums" ||
        demo_failed "the guest read back something else: $(diff "$run_folder/sums.written" "$run_folder/sums" | tail -n 1)"
    step 'decrypting the physical images with python3-cryptography'
    local kind
    for kind in "${demo_kinds_used[@]}"; do
        inspect_image "$kind"
    done
    report_demo
}

# sum_of KIND: of what the guest reported.
sum_of() { sed -n "s/^${demo_guest_name[$1]} //p" "$run_folder/sums"; }

was_reset_by_tcg() { [[ ${machine[accel]} == tcg ]] && grep -q '^QEMU: .*Triple fault' "${machine[log]}"; }

renew_demo_disks() {
    rm -f "${nvmes[@]}"
    make_demo_disks "$run_folder" "$demo_key"
}

# demo_phase PHASE: one boot; the sums that the guest reports go into the file sums, its times into demo_times.
demo_times=()

demo_phase() {
    local status=0 kind console=$run_folder/console-$1.txt base=${machine[cmdline]} limit=$((10#${options[--timeout]}))
    ((limit > 0)) || limit=$demo_timeout_seconds
    machine[console]=$console
    machine[log]=$run_folder/$1.log
    machine[cmdline]+=" undercroft.demo=$1"
    for kind in "${demo_kinds_used[@]}"; do
        machine[cmdline]+=" undercroft.use=${demo_guest_name[$kind]}:${demo_use[$kind]}"
    done
    qemu_command
    machine[cmdline]=$base
    run_machine "$limit" </dev/null || status=$?
    if ((status != 0)) && was_reset_by_tcg; then
        step 'QEMU'\''s TCG reset the machine by itself (docs/architecture.md, "What TCG lacks"): once more, from the beginning of this boot'
        [[ $1 != write ]] || renew_demo_disks
        status=0
        run_machine "$limit" </dev/null || status=$?
    fi
    if ((status != 0)); then
        tail -n 10 "$console" >&2 || true
        report_failure "$status"
        exit "$status"
    fi
    sed -n 's/^undercroft: sum \([^ ]* [0-9a-f]\{64\}\).*/\1/p' "$console" >"$run_folder/sums"
    [[ $(wc -l <"$run_folder/sums") == "${#demo_kinds_used[@]}" ]] || demo_failed "$(sed -n 's/^undercroft: failed: //p' "$console" | tr -d '\r')"
    demo_times+=("$(sed -n 's/^undercroft: user space after \([0-9.]*\) s.*/\1/p' "$console")")
}

# inspect_image KIND: ends the demonstration when anything is not as it should be; the decrypted sectors go into demo_sectors.
declare -A demo_sectors=()

inspect_image() {
    local kind=$1 disk=$run_folder/${demo_image[$1]} plain=$run_folder/plain.img payload=$run_folder/payload tool=$run_folder/tool.txt
    demo_sectors[$kind]=$("$root/tests/support/decrypt_image.py" "$disk" "$demo_key" "$plain") ||
        demo_failed "the image of the $kind disk holds plaintext"
    grep -qaF "$demo_marker" "$plain" || demo_failed "the decrypted image of the $kind disk lacks what the guest wrote"
    if grep -qaF "$demo_marker" "$disk"; then
        demo_failed "the image of the $kind disk holds the plaintext"
    fi
    case ${demo_use[$kind]%:*} in
    ext4)
        /sbin/e2fsck -fn "$plain" >"$tool" 2>&1 || demo_failed "e2fsck finds errors in the decrypted image of the $kind disk"
        /sbin/debugfs -R "dump /payload $payload" "$plain" >"$tool" 2>&1
        ;;
    vfat)
        /sbin/fsck.fat -n "$plain" >"$tool" 2>&1 || demo_failed "fsck.fat finds errors in the decrypted image of the $kind disk"
        mcopy -n -i "$plain" ::payload "$payload" >"$tool" 2>&1
        ;;
    iso9660) demo_data "${demo_use[$kind]#*:}" >"$payload" ;;
    esac
    [[ $(sha256sum <"$payload") == "$(sum_of "$kind")  -" ]] || demo_failed "the decrypted file of the $kind disk is not what the guest had"
    rm -f "$payload" "$plain"
}

report_demo() {
    local kind did
    echo
    printf '  guest       Debian'\''s kernel %s, %s virtual processors, unmodified; in user space after %s s\n' "$(guest_release)" \
        "${machine[cpus]}" "${demo_times[0]}"
    for kind in "${demo_kinds_used[@]}"; do
        did=wrote
        [[ $kind != cd ]] || did=read
        printf '  %-11s %s %s MiB on %s, SHA-256 %s; %s sectors encrypted\n' "${demo_title[$kind]}" "$did" "${demo_use[$kind]#*:}" \
            "${demo_use[$kind]%:*}" "$(sum_of "$kind" | head -c 16)..." "${demo_sectors[$kind]}"
    done
    cat <<TEXT
  read back   the same, after a power-off and a second boot; the file systems have no fault
  below       decrypted by python3-cryptography, the physical images are those file systems with those files
  plaintext   none of it is in a physical image, neither the marker nor any sector
TEXT
}
