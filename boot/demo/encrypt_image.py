#!/usr/bin/env python3
"""Encrypts a raw disk image in dm-crypt's format aes-xts-plain64 with 512-byte sectors, by an implementation that is not ours (the
package python3-cryptography): every sector of it, those that are all zero too."""

import argparse
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SECTOR_BYTES = 512


def encrypt(key, number, sector):
    """One sector; its tweak is its number, 64 bits, little endian."""
    encryptor = Cipher(algorithms.AES(key), modes.XTS(number.to_bytes(16, "little"))).encryptor()
    return encryptor.update(sector) + encryptor.finalize()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="what is to be encrypted: whole sectors")
    parser.add_argument("key", help="file of 64 bytes")
    parser.add_argument("output", help="where the encrypted image goes")
    arguments = parser.parse_args()

    with open(arguments.key, "rb") as file:
        key = file.read()
    if len(key) != 64:
        sys.exit(f"{arguments.key} holds {len(key)} bytes instead of 64")
    with open(arguments.image, "rb") as image, open(arguments.output, "wb") as output:
        number = 0
        while sector := image.read(SECTOR_BYTES):
            if len(sector) != SECTOR_BYTES:
                sys.exit(f"{arguments.image} ends within a sector")
            output.write(encrypt(key, number, sector))
            number += 1


if __name__ == "__main__":
    main()
