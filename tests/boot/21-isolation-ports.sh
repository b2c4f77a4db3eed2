#!/usr/bin/env bash
# A VTL2 that touches a port which is not its own is stopped, named in the log, and ends with status 14.
# shellcheck source=tests/boot/isolation.sh
. "$(dirname "$0")/isolation.sh"
breaks read-port 14 'isolation violation by VTL2: VP 0, read of a port, address 2fd'
breaks write-port 14 'isolation violation by VTL2: VP 0, write to a port, address cf8'
breaks debug-exit 14 'isolation violation by VTL2: VP 0, write to a port, address f4'
