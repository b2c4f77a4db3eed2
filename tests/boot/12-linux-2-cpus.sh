#!/usr/bin/env bash
# An unmodified Debian kernel on 2 virtual processor(s) makes a file system on the encrypted disk, writes, powers off, boots again, and reads the same
# back; the physical image decrypts with software that is not ours, and holds no plaintext.
. "$(dirname "$0")/support.sh"
demonstrate --cpus 2
