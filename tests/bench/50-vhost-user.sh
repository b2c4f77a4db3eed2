#!/usr/bin/env bash
# vhost-user disks, polled from an initiator of our own on the other CPU: SCSI host and block device over a disk that stores nothing, one in memory and an encrypted
# one, beside qemu-storage-daemon's vhost-user-blk exports of the same. ROUNDS (7) changes the length, ONLY=TEXT picks rows. UNDERCROFT_BUILD: the build directory of the host preset.
set -euo pipefail
: "${UNDERCROFT_BUILD:?is not set: run this with ./undercroft bench}"
if (($(nproc) < 2)); then
    echo 'two CPUs are needed: one for the server, one for the initiator'
    exit 1
fi
work=$(mktemp -d /dev/shm/undercroft-bench.XXXXXX)
servers=()
finish() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

# peer NAME BLOCKDEV...: a storage daemon on the servers' CPU that looks out for requests for up to 1 ms before it sleeps; its last block device is exported.
arguments=()
peer() {
    local name=$1 socket
    socket=$work/${#servers[@]}.socket
    shift
    taskset -c 0 qemu-storage-daemon --object iothread,id=thread,poll-max-ns=1000000 "$@" \
        --export "type=vhost-user-blk,id=export,addr.type=unix,addr.path=$socket,node-name=disk,writable=on,iothread=thread,num-queues=1" &
    servers+=($!)
    for _ in {1..100}; do [[ -S $socket ]] && break; sleep 0.05; done
    arguments+=("$name=blk:$socket")
}
truncate -s 8M "$work/raw"
dd if=/dev/urandom of="$work/raw" bs=1M count=8 conv=notrunc status=none
printf 'a word' >"$work/word"
secret=(--object "secret,id=word,file=$work/word")
for _ in {1..8}; do # measuring the key derivation fails now and then
    qemu-img create -q -f luks "${secret[@]}" -o key-secret=word,cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,iter-time=100 "$work/luks" 8M 2>/dev/null && break
done
peer "qemu-storage-daemon's blk, null" --blockdev driver=null-co,node-name=disk,size=8388608
peer "qemu-storage-daemon's blk, memory" --blockdev "driver=file,node-name=disk,filename=$work/raw"
peer "qemu-storage-daemon's blk, LUKS" "${secret[@]}" --blockdev "driver=file,node-name=file,filename=$work/luks" \
    --blockdev driver=luks,node-name=disk,file=file,key-secret=word
"$UNDERCROFT_BUILD/bench/vhost_bench" "${arguments[@]}"
