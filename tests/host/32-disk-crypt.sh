#!/usr/bin/env bash
# Crypt disks against another implementation of AES-256-XTS (python3-cryptography, OpenSSL below it) in the layout of
# dm-crypt's aes-xts-plain64: what we encrypt it decrypts, and the other way round, at both sector sizes.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"

cd "$folder"
disk() { timeout 120 "$UNDERCROFT_HOST" disk "$@"; }
cat >peer.py <<'PYTHON'
import sys
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
what, sector_size, source, target = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
key = open('key', 'rb').read()
data = open(source, 'rb').read()
with open(target, 'wb') as out:
    for sector in range(len(data) // sector_size):
        cipher = Cipher(algorithms.AES(key), modes.XTS(sector.to_bytes(16, 'little')))
        context = cipher.encryptor() if what == 'encrypt' else cipher.decryptor()
        out.write(context.update(data[sector * sector_size:(sector + 1) * sector_size]))
PYTHON

disk key key >/dev/null
head -c 1500000 /dev/urandom >image
truncate -s 4M image
head -c 4096 /dev/urandom | dd of=image bs=4096 seek=1000 conv=notrunc status=none
for sector_size in 512 4096; do
    ours="crypt:xts-aes-256:key:file:ours-$sector_size;sector_size=$sector_size"
    # --fill: what is a hole here, the other implementation would decrypt.
    disk convert --create --fill --verify --quiet file:image "$ours" >/dev/null
    ! cmp -s image "ours-$sector_size" || fail 'nothing is encrypted'
    python3 peer.py decrypt $sector_size "ours-$sector_size" "plain-$sector_size"
    cmp image "plain-$sector_size" || fail "the peer decrypts sectors of $sector_size differently"

    python3 peer.py encrypt $sector_size image "theirs-$sector_size"
    cmp "ours-$sector_size" "theirs-$sector_size" || fail "the peer encrypts sectors of $sector_size differently"
    disk convert --create --quiet "crypt:xts-aes-256:key:file:theirs-$sector_size;sector_size=$sector_size" \
        "file:back-$sector_size" >/dev/null
    qemu-img compare -f raw -F raw image "back-$sector_size" >/dev/null || fail "we decrypt sectors of $sector_size differently"
done
# Holes of an encrypted file are holes, not decrypted zeros.
disk convert --create --quiet file:image 'crypt:xts-aes-256:key:file:holes;sector_size=4096' >/dev/null
[[ $(stat -c %b holes) -lt 4000 ]] || fail 'holes were filled'
disk convert --create --quiet 'crypt:xts-aes-256:key:file:holes;sector_size=4096' file:back >/dev/null
qemu-img compare -f raw -F raw image back >/dev/null || fail 'holes of an encrypted file read as something else'
