#!/usr/bin/env bash
# As 11-linux-1-cpus, on 2 virtual processors: with the kernel that starts soonest, what a virtual machine in a cloud would run.
. "$(dirname "$0")/support.sh"
demonstrate --guest cloud --cpus 2
