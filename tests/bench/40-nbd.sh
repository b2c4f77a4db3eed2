#!/bin/sh
# NBD exports of a disk in memory, plain and encrypted, beside nbdkit's and qemu-nbd's: requests and bytes a second, server CPU a request.
# UNDERCROFT_BUILD: the build directory of the host preset.
set -eu
: "${UNDERCROFT_BUILD:?is not set: run this with ./undercroft bench}"
if [ "$(nproc)" -lt 2 ]; then
    echo 'two CPUs are needed: one for the server, one for the client'
    exit 1
fi
exec /usr/bin/python3 "$(dirname "$0")/nbd_side_by_side.py" "$UNDERCROFT_BUILD/undercroft-host"
