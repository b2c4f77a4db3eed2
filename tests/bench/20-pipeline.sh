#!/bin/sh
# What one 4 KiB read costs in software, layer by layer. UNDERCROFT_BUILD: the build directory of the host preset.
set -eu
: "${UNDERCROFT_BUILD:?is not set: run this with ./undercroft bench}"
exec "$UNDERCROFT_BUILD/bench/pipeline_bench"
