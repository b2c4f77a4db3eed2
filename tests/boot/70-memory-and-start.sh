#!/usr/bin/env bash
# Monitor and image keep at most 16 MiB from a guest with 2 processors. Also says how long it takes from the machine's first instruction of ours to the guest's
# first: in milliseconds on this machine, and in instructions on one processor (with -icount the time stamp counter counts them; with more than one processor it
# would count waiting too, since QEMU runs them in turns). 10 ms at an instruction a nanosecond is the limit.
. "$(dirname "$0")/support.sh"
kept_kib_max=16384
memory_mib=1024
instructions_max=10000000

echo 'exit 0' >"$work/script"
"$root/undercroft" initrd --output "$work/initrd" --script "$work/script" || fail 'no initrd'
guest=(--kernel "$root/build/guest/vmlinuz" --initrd "$work/initrd" --append 'console=ttyS0 quiet' --memory "$memory_mib" --nvme "$work/disk" --timeout 200)

boot 0 "${guest[@]}" --cpus 2
has log 'monitor: memory monitor=[0-9]+ KiB vtl2=[0-9]+ KiB guest=[0-9]+ KiB'
guest_kib=$(sed -n 's/.*monitor: memory .* guest=\([0-9]*\) KiB.*/\1/p' "$work/log")
kept_kib=$((memory_mib * 1024 - guest_kib))
first_us=$(sed -n 's/.*vtl0 first instruction after \([0-9]*\) us.*/\1/p' "$work/log")

"$root/undercroft" boot --no-build --accel tcg --console "$work/console" --log "$work/log" "${guest[@]}" --cpus 1 --timeout 60 \
    --qemu-arg -icount --qemu-arg shift=0 >"$work/launcher" 2>&1 </dev/null
instructions=$(sed -n 's/.*vtl0 first instruction after .* (\([0-9]*\) tsc).*/\1/p' "$work/log")
[ -n "$instructions" ] || fail 'the guest did not start under -icount'
echo "note: keeps $kept_kib KiB from the guest (at most $kept_kib_max); first guest instruction after $((first_us / 1000)) ms, with 1 processor after $instructions instructions (at most $instructions_max)"
[ "$kept_kib" -le "$kept_kib_max" ] || fail "that is $((kept_kib - kept_kib_max)) KiB too much"
[ "$instructions" -le "$instructions_max" ] || fail "that is $((instructions - instructions_max)) instructions too many"
