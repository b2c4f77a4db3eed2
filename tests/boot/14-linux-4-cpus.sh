#!/usr/bin/env bash
# As 11-linux-1-cpus, on 4 virtual processors, with what `boot` takes where nothing else is said: the full Debian kernel, which has a driver for floppies.
. "$(dirname "$0")/support.sh"
demonstrate --cpus 4
