# shellcheck shell=sh disable=SC2020,SC2086,SC2154 # names of disks; what the prelude sets
# What a guest asks SCSI disks with sg3_utils, and what SPC and SBC have them answer; for busybox's sh, behind a prelude of the check that
# runs it, which has loaded virtio_scsi, sd_mod and sg, and defines:
#   sectors   how many of 512 bytes LUN 0 has, a disk with persistent reservations that can unmap
#   luns      how many LUNs there are: 1 fails as scsi_error_rules (tests/support/guest.sh) say, 2 is slow, 3 has 2^33 sectors
#   serial    LUN 0's serial number
# Prints "scsi: bad ..." for each answer that is wrong, and last "scsi: N checks, M bad".

checks=0
bad=0
complain() { bad=$((bad + 1)); echo "scsi: bad $*"; sed 's/^/scsi:     /' /tmp/out | head -n 20; }

# answers STATUS COMMAND...: the command's exit status, or any (sg3_utils: what kind of sense it got). What it prints is for `shows`.
answers() {
    want=$1
    shift
    asked=$*
    "$@" >/tmp/out 2>&1 </dev/null
    got=$?
    checks=$((checks + 1))
    [ "$want" = any ] || [ $got -eq "$want" ] || complain "$asked: status $got, not $want"
}
# shows PATTERN...: each in a line of what the last command printed.
shows() {
    for pattern; do
        checks=$((checks + 1))
        grep -qE -- "$pattern" /tmp/out || complain "$asked: no '$pattern'"
    done
}
# holds NAME COMMAND...: a fact.
holds() {
    fact=$1
    shift
    checks=$((checks + 1))
    "$@" >/tmp/out 2>&1 || complain "$fact"
}
not_ready=2 illegal=5 miscompare=14 out_of_range=22 conflict=24

# disk_of LUN: its name. Disks are probed side by side: the first may have got any.
disk_of() {
    for entry in /sys/block/sd*; do
        case $(readlink "$entry") in *:$1/block/*) echo "${entry##*/}" ;; esac
    done
}
tries=0
until [ -n "$(disk_of 0)" ] && [ -n "$(disk_of 1)" ] && [ -n "$(disk_of 2)" ] && [ -n "$(disk_of 3)" ]; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || { echo 'scsi: no disks'; dmesg | tail -n 20; poweroff -f; }
    sleep 0.1
done
name=$(disk_of 0)
disk=/dev/$name
faulty=/dev/$(disk_of 1)
slow=/dev/$(disk_of 2)
large=/dev/$(disk_of 3)
mount -t tmpfs tmpfs /tmp
dd if=/dev/urandom of=/tmp/data bs=64k count=8 2>/dev/null
head -c 512 /tmp/data >/tmp/block
dd if=/tmp/data of=/tmp/other bs=512 skip=1 count=1 2>/dev/null
# The kernel's way to the same blocks, past its cache.
get() { dd if=$disk bs=512 skip="$1" count="$2" iflag=direct 2>/dev/null; }
put() { dd of=$disk bs=512 seek="$1" oflag=direct conv=notrunc 2>/dev/null; }
same() { get "$1" "$2" | cmp -s - "$3"; }
zeros() { get "$1" "$2" >/tmp/z && [ "$(wc -c </tmp/z)" -eq $(($2 * 512)) ] && [ "$(tr -d '\000' </tmp/z | wc -c)" -eq 0 ]; }
put_data() { put 0 </tmp/data; }

# --- who it is -------------------------------------------------------------------------------------------------------
answers 0 sg_inq $disk
shows 'PQual=0 +(Device_type|PDT)=0 +RMB=0.*version=0x06 +\[SPC-4\]' 'Product identification: Virtual Disk' 'resp_data_format=2|Resp_data_format=2'
answers 0 sg_inq -d $disk
shows 'SBC-3'
answers 0 sg_vpd -p sn $disk
shows "Unit serial number: $serial\$"
answers 0 sg_vpd -p di $disk
shows 'T10 vendor identification' 'NAA'
answers 0 sg_vpd -p ei $disk
shows 'SIMPSUP=1'
sg_vpd -p sv -r $disk | od -An -v -tx1 | tr -s ' \n' '\n\n' | sed -n '6,$p' >/tmp/pages
holds 'the list of pages' [ "$(wc -l </tmp/pages)" -ge 7 ]
holds 'pages in ascending order' sort -c /tmp/pages
while read -r page; do
    answers 0 sg_vpd -p 0x$page -r $disk
done </tmp/pages
for page in 87 8f b3 b9 c0; do
    grep -q "^$page\$" /tmp/pages && continue
    answers any sg_raw -r 96 $disk 12 01 $page 00 60 00
    shows 'Invalid field in cdb'
done
answers any sg_raw -r 96 $disk 12 00 01 00 60 00
shows 'Invalid field in cdb'

# --- how large, and what it can ------------------------------------------------------------------------------------
holds 'the size that the kernel sees' [ "$(cat /sys/block/$name/size)" -eq "$sectors" ]
answers 0 sg_readcap $disk
shows "Last LBA=$((sectors - 1)) .*Number of logical blocks=$sectors\$"
answers 0 sg_readcap -l $disk
shows "Last LBA=$((sectors - 1)) " 'lbpme=1, lbprz=1' 'Logical block length=512 bytes'
answers 0 sg_vpd -p bl $disk
shows 'Maximum compare and write length: [1-9]' 'Maximum unmap LBA count: ([1-9]|-1|unbounded)' 'Maximum unmap block descriptor count: [1-9]'
holds 'the kernel discards' [ "$(cat /sys/block/$name/queue/discard_max_bytes)" -gt 0 ]
answers 0 sg_vpd -p lbpv $disk
shows '\(LBPU\): 1' '\(LBPWS\): 1' '\(LBPWS10\): 1'
answers 0 sg_vpd -p bdc $disk
shows 'Non-rotating'
answers 0 sg_luns $disk
shows "imply|$((luns * 8)).*$luns lun"
answers 0 sg_luns -d -s 1 $disk
shows 'REPORT LUNS'
answers $illegal sg_luns -s 5 $disk
answers 0 sg_readcap -l $large
shows 'Number of logical blocks=8589934592$'
answers 0 sg_readcap $large
shows 'too large'

# --- modes and logs --------------------------------------------------------------------------------------------------
answers 0 sg_modes -p 8 $disk
shows 'Caching'
answers 0 sg_modes -p 0xa $disk
shows 'Control'
answers 0 sg_modes -p 0x1c $disk
shows 'Informational exceptions'
answers 0 sg_modes -6 -p 8 $disk
shows 'Caching'
answers $illegal sg_modes -p 0x3e $disk
answers $illegal sg_modes -c 3 -p 8 $disk
# The write cache off and on, by the kernel, which reads it back (byte 2 of page 8, bit 2).
cache=$(echo /sys/class/scsi_disk/*:0/cache_type)
caching() { sg_modes -r -p 8 "$1" $disk | od -An -v -tx1 | tr -s ' \n' '  ' | grep -o ' [08]8 12 .*' | cut -d' ' -f4; }
holds 'the cache is on' [ "$((0x$(caching -D) & 4))" -eq 4 ]
echo 'write through' >"$cache"
holds 'the cache is off' [ "$((0x$(caching -D) & 4))" -eq 0 ]
echo 1 >/sys/class/scsi_disk/"$(basename "$(dirname "$cache")")"/device/rescan
holds 'the kernel reads that it is off' grep -q 'write through' "$cache"
put_data
holds 'written through' same 0 1024 /tmp/data
echo 'write back' >"$cache"
holds 'the cache is on again' [ "$((0x$(caching -D) & 4))" -eq 4 ]
# D_SENSE: sense data as descriptors from then on.
rest=00,00,00,00,00,00,00,00,00
answers 0 sg_wr_mode -p 0xa -c 0a,0a,04,$rest -m 00,00,04,$rest $disk
answers any sg_raw -r 512 $disk 28 00 ff ff ff 00 00 00 01 00
shows 'Descriptor format'
answers 0 sg_wr_mode -p 0xa -c 0a,0a,00,$rest -m 00,00,04,$rest $disk
answers any sg_raw -r 512 $disk 28 00 ff ff ff 00 00 00 01 00
shows 'Fixed format'
sg_logs -p 0 -r $disk | od -An -v -tx1 | tr -s ' \n' '\n\n' | sed -n '6,$p' >/tmp/logs
holds 'the list of log pages' [ "$(wc -l </tmp/logs)" -ge 3 ]
while read -r page; do
    answers 0 sg_logs -p 0x$page $disk
done </tmp/logs
answers $illegal sg_logs -p 0x3e $disk

# --- opcodes ---------------------------------------------------------------------------------------------------------
sg_opcodes -n $disk >/tmp/opcodes 2>&1
listed=" $(awk '{ printf "%s ", $1 }' /tmp/opcodes)"
for opcode in 00 03 04 08 0a 12 15 16 17 1a 1b 1d 1e 25 28 2a 2e 2f 35 41 42 48 4d 55 56 57 5a 5e 5f 88 89 8a 8e 8f 91 93 9c 9e a0 a3 a8 \
    aa ae af; do
    checks=$((checks + 1))
    case $listed in *" $opcode "*) ;; *) complain "opcode $opcode is not listed" ;; esac
done
answers 0 cat /tmp/opcodes
shows '[Ss]anitize, block erase' '[Rr]egister and move'
answers 0 sg_opcodes -n -o 0x28 $disk
shows 'conforms to a SCSI standard|supported'
answers 0 sg_opcodes -n -o 0xc7 $disk
shows 'NOT supported'
answers any sg_raw $disk c7 00 00 00 00 00 00 00 00 00
shows 'Sense key: Illegal Request|Invalid command operation code'
answers 0 sg_opcodes -n -t $disk
shows 'Logical unit reset'

# --- reading and writing in every length -----------------------------------------------------------------------------
put_data
for length in 6 10 12 16; do
    answers 0 sg_dd if=$disk of=/tmp/back bs=512 count=1024 bpt=128 blk_sgio=1 cdbsz=$length
    holds "read by READ $length" cmp -s /tmp/back /tmp/data
    answers 0 sg_dd if=/tmp/data of=$disk bs=512 seek=2048 count=1024 bpt=128 blk_sgio=1 cdbsz=$length
    holds "written by WRITE $length" same 2048 1024 /tmp/data
    dd if=/dev/zero bs=64k count=8 2>/dev/null | put 2048
done
answers 0 sg_dd if=/tmp/data of=$disk bs=512 seek=3500 count=8 blk_sgio=1 oflag=fua
holds 'written with FUA' same 3500 1 /tmp/block
answers any sg_raw -r 512 $disk 88 00 00 00 00 10 00 00 00 00 00 00 00 01 00 00
shows 'Logical block address out of range'
answers 0 sg_dd if=/tmp/data of="$large" bs=512 seek=8589934591 count=1 blk_sgio=1 cdbsz=16
rm /tmp/back
answers 0 sg_dd if="$large" of=/tmp/back bs=512 skip=8589934591 count=1 blk_sgio=1 cdbsz=16
holds 'the last of 2^33 blocks' cmp -s /tmp/back /tmp/block
answers 0 sg_write_x --normal --in=/tmp/other --lba=9 --num=1 $disk
answers 0 sg_write_x --atomic=0 --in=/tmp/other --lba=10 --num=1 $disk
holds 'written whole' same 10 1 /tmp/other
answers 0 sg_sync $disk

# --- verifying and comparing -----------------------------------------------------------------------------------------
put_data
answers 0 sg_verify --lba=0 --count=1024 $disk
answers 0 sg_verify -S --lba=0 --count=1024 $disk
answers 0 sg_verify --lba=0 --count=8 --ndo=4096 --in=/tmp/data $disk
answers $miscompare sg_verify -q --lba=1 --count=8 --ndo=4096 --in=/tmp/data $disk
answers $out_of_range sg_verify --lba=$((sectors - 1)) --count=2 $disk
dd if=/tmp/data of=/tmp/two bs=512 count=2 2>/dev/null
for form in '' -S; do
    # shellcheck disable=SC2086 # nothing, or an option
    answers 0 sg_write_verify $form --lba=40 --num=2 --bytchk=1 --in=/tmp/two $disk
    holds 'written and verified' same 40 2 /tmp/two
done
cat /tmp/block /tmp/other >/tmp/swap
answers 0 sg_compare_and_write --lba=0 --num=1 --in=/tmp/swap $disk
holds 'compared, then written' same 0 1 /tmp/other
answers $miscompare sg_compare_and_write -q --lba=0 --num=1 --in=/tmp/swap $disk
holds 'differs: nothing written' same 0 1 /tmp/other

# --- unmapping and WRITE SAME ----------------------------------------------------------------------------------------
# status_of LBA: 0 mapped, 1 deallocated, by GET LBA STATUS.
status_of() { sg_get_lba_status -bb --lba="$1" $disk 2>/tmp/out; }
put_data
holds 'what was written is mapped' [ "$(status_of 0)" = 0 ]
holds 'what was never written is not' [ "$(status_of $((sectors - 128)))" = 1 ]
answers 0 sg_unmap --force --lba=128,512 --num=128,8 $disk
holds 'unmapped blocks are deallocated' [ "$(status_of 128)" = 1 ]
holds 'unmapped blocks read as zeros' zeros 128 128
holds 'the other list entry as well' zeros 512 8
dd if=/tmp/data of=/tmp/rest bs=512 skip=256 count=256 2>/dev/null
holds 'the neighbours stay' same 256 256 /tmp/rest
answers $out_of_range sg_unmap --force --lba=$sectors --num=1 $disk
answers 0 sg_write_same -R --in=/tmp/block --lba=100 --num=20 $disk
answers 0 sg_write_same -S --in=/tmp/block --lba=120 --num=20 $disk
for block in 100 119 120 139; do holds "WRITE SAME reached $block" same $block 1 /tmp/block; done
holds 'and no further' zeros 140 1
answers 0 sg_write_same -S -U --lba=0 --num=128 $disk
holds 'WRITE SAME unmaps' [ "$(status_of 0)" = 1 ]
put_data
answers 0 sg_write_same -S -N --lba=8 --num=8 $disk
holds 'WRITE SAME without data writes zeros' zeros 8 8
answers $out_of_range sg_write_same -S --lba=$((sectors - 1)) --num=2 $disk
put_data
answers 0 blkdiscard -o 65536 -l 65536 $disk
holds 'the kernel discarded' zeros 128 128
answers 0 sg_raw $disk 04 00 00 00 00 00
holds 'formatted: nothing is left' zeros 0 1024

# --- reservations ----------------------------------------------------------------------------------------------------
answers 0 sg_persist -o -G -S 0xabc $disk
answers 0 sg_persist -i -k $disk
shows '0xabc'
answers $conflict sg_persist -o -G -K 0x999 -S 0x1 $disk
answers 0 sg_persist -i -r $disk
shows 'there is NO reservation held'
answers 0 sg_persist -o -R -K 0xabc -T 3 $disk
answers 0 sg_persist -i -r $disk
shows 'Exclusive Access'
answers 0 sg_persist -i -s $disk
shows 'Reservation [Hh]older'
holds 'the holder writes' put_data
answers 0 sg_persist -i -c $disk
shows 'Write Exclusive, [Aa]ll [Rr]egistrants: 1'
answers $conflict sg_raw -s 0 $disk 16 00 00 00 00 00
# To itself: SPC-4 has that refused.
printf '\0\0\0\0\0\0\012\274\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\30\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >/tmp/move
answers any sg_raw -s 48 -i /tmp/move $disk 5f 07 00 00 00 00 00 00 30 00
shows 'Invalid field in parameter list'
answers 0 sg_persist -o -L -K 0xabc -T 3 $disk
answers 0 sg_persist -o -I -S 0xdef $disk
answers 0 sg_persist -o -C -K 0xdef $disk
answers 0 sg_persist -i -k $disk
shows 'NO registered reservation keys'
answers 0 sg_raw $disk 16 00 00 00 00 00
answers $conflict sg_persist -i -k $disk
answers 0 sg_raw $disk 17 00 00 00 00 00

# --- starting, stopping, testing -------------------------------------------------------------------------------------
answers 0 sg_start --stop $disk
answers $not_ready sg_turs $disk
answers 0 sg_start --start $disk
answers 0 sg_turs $disk
answers 0 sg_senddiag -t $disk
answers 0 sg_prevent $disk
answers 0 sg_prevent --allow $disk

# --- sanitizing ------------------------------------------------------------------------------------------------------
put_data
answers 0 sg_sanitize --block --quick --wait $disk
holds 'erased' zeros 0 1024
answers 0 sg_sanitize --overwrite --pattern=/tmp/block --quick --wait $disk
holds 'overwritten' same 777 1 /tmp/block
holds 'overwritten to the end' same $((sectors - 1)) 1 /tmp/block
answers 0 sg_sanitize --fail --quick --early $disk
answers $illegal sg_sanitize --crypto --quick --wait $disk
answers 0 sg_sanitize --overwrite --pattern=/tmp/block --quick --early "$slow"
answers any sg_raw -r 512 "$slow" 28 00 00 00 00 00 00 00 01 00
shows 'Sense key: Not Ready' 'not ready, sanitize in progress' 'Progress indication'
answers $not_ready sg_turs "$slow"
answers 0 sg_requests "$slow"
shows '[Pp]rogress'
answers 0 sg_inq "$slow"
shows 'Virtual Disk'
answers 0 sg_reset -d "$slow"
tries=0
until sg_turs "$slow" >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 300 ] || break; sleep 0.1; done
rm /tmp/back
answers 0 sg_dd if="$slow" of=/tmp/back bs=512 skip=2047 count=1 blk_sgio=1
holds 'sanitized in spite of the reset' cmp -s /tmp/back /tmp/block

# --- resets ----------------------------------------------------------------------------------------------------------
put_data
answers 0 sg_reset -d $disk
answers 0 dd if=$disk of=/tmp/back bs=512 count=1024 iflag=direct
holds 'the data are there after a reset' cmp -s /tmp/back /tmp/data
holds 'the kernel saw no error by itself' [ "$(dmesg | grep -c "I/O error, dev $name")" -eq 0 ]

# --- errors ----------------------------------------------------------------------------------------------------------
# LUN 1 fails one block for each kind of error: features.md's table, as sg3_utils words it.
fails_as() {
    answers any sg_raw -r 512 "$faulty" 28 00 00 00 00 "$(printf %02x "$1")" 00 00 01 00
    shows "Sense key: $2" "$3"
}
answers 29 sg_verify --lba=0 "$faulty" # aborted_by_preempt: TASK ABORTED
fails_as 1 'Illegal Request' 'Logical block address out of range'         # illegal_block
fails_as 2 'Illegal Request' 'Invalid field in cdb'                       # invalid_input
fails_as 3 'Hardware Error' 'Internal target failure'                     # io
fails_as 4 'Medium Error' 'Logical block guard check failed'              # medium_guard
fails_as 5 'Medium Error' 'Logical block reference tag check failed'      # medium_reference_tag
fails_as 6 'Medium Error' 'Logical block application tag check failed'    # medium_application_tag
fails_as 7 'Medium Error' 'Unrecovered read error'                        # medium_read
fails_as 8 'Medium Error' 'Write error'                                   # medium_write
fails_as 9 'Illegal Request' 'Invalid field in cdb'                       # memory_access
fails_as 10 'Data Protect' 'Write protected'                              # read_only
answers $conflict sg_verify --lba=11 "$faulty" # reservation_conflict
fails_as 12 'Illegal Request' 'Invalid command operation code'            # unsupported_eject
fails_as 13 'Aborted Command' 'Command timeout during processing'         # timed_out
fails_as 14 'Not Ready' 'Medium not present'                              # gone
answers 0 sg_raw -r 512 "$faulty" 28 00 00 00 00 20 00 00 01 00

echo "scsi: $checks checks, $bad bad"
