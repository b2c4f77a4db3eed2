#!/usr/bin/env python3
"""Decrypts a raw disk image written in dm-crypt's format aes-xts-plain64 with 512-byte sectors, by an implementation that is not ours
(the package python3-cryptography), and checks that no sector of the result stands in the image.

Sectors that are all zero were never written and stay zero. Prints the number of sectors decrypted; exits 1 when plaintext was found.
"""

import argparse
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SECTOR_BYTES = 512
ZERO_SECTOR = bytes(SECTOR_BYTES)


def sectors_of(path):
    """Yields number and bytes of each sector that is not all zero."""
    with open(path, "rb") as image:
        number = 0
        while block := image.read(2048 * SECTOR_BYTES):
            if block.count(0) == len(block):
                number += len(block) // SECTOR_BYTES
                continue
            for offset in range(0, len(block), SECTOR_BYTES):
                sector = block[offset : offset + SECTOR_BYTES]
                if sector != ZERO_SECTOR:
                    yield number, sector
                number += 1


def decrypt(key, number, sector):
    """One sector; its tweak is its number, 64 bits, little endian."""
    cipher = Cipher(algorithms.AES(key), modes.XTS(number.to_bytes(16, "little")))
    decryptor = cipher.decryptor()
    return decryptor.update(sector) + decryptor.finalize()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="the physical image")
    parser.add_argument("key", help="file of 64 bytes")
    parser.add_argument("output", help="where the decrypted image goes (sparse)")
    arguments = parser.parse_args()

    with open(arguments.key, "rb") as file:
        key = file.read()
    if len(key) != 64:
        sys.exit(f"{arguments.key} holds {len(key)} bytes instead of 64")
    with open(arguments.image, "rb") as file:
        size = file.seek(0, 2)

    encrypted, plain, count = set(), set(), 0
    with open(arguments.output, "wb") as output:
        output.truncate(size)
        for number, sector in sectors_of(arguments.image):
            text = decrypt(key, number, sector)
            output.seek(number * SECTOR_BYTES)
            output.write(text)
            encrypted.add(hash(sector))
            if text != ZERO_SECTOR:
                plain.add(hash(text))
            count += 1
    print(count)
    if encrypted & plain:
        sys.exit("a sector of the plaintext stands in the image as it is")


if __name__ == "__main__":
    main()
