#!/bin/sh
# AES-256-XTS on one core against libgcrypt and OpenSSL. UNDERCROFT_BUILD: the build directory of the host preset.
set -eu
: "${UNDERCROFT_BUILD:?is not set: run this with ./undercroft bench}"
exec "$UNDERCROFT_BUILD/bench/xts_bench"
