#!/bin/sh
# What one 4 KiB request costs in software in each controller that guests see. UNDERCROFT_BUILD: the build directory of the host preset.
set -eu
: "${UNDERCROFT_BUILD:?is not set: run this with ./undercroft bench}"
exec "$UNDERCROFT_BUILD/bench/controller_bench"
