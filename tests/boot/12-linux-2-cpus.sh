#!/usr/bin/env bash
# As 11-linux-1-cpus, on 2 virtual processors.
. "$(dirname "$0")/support.sh"
demonstrate --guest cloud --cpus 2
