#!/usr/bin/env bash
# As 11-linux-1-cpus, with the full Debian kernel, which has a driver for floppies, on 2 virtual processors.
. "$(dirname "$0")/support.sh"
demonstrate --cpus 2
