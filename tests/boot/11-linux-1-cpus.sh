#!/usr/bin/env bash
# Debian's unmodified cloud kernel on 1 virtual processor(s) makes file systems on an encrypted disk of each kind that it has a driver for, writes, powers
# off, boots again, and reads the same back; the physical images decrypt with software that is not ours, and hold no plaintext.
. "$(dirname "$0")/support.sh"
demonstrate --guest cloud --cpus 1
