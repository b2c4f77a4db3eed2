#!/usr/bin/env bash
# A VTL2 that reads, writes or executes memory outside its view is stopped, named in the log, and ends with status 14.
# shellcheck source=tests/boot/isolation.sh
. "$(dirname "$0")/isolation.sh"
breaks read-memory 14 'isolation violation by VTL2: VP 0, read of memory, address 4020000000'
breaks write-memory 14 'isolation violation by VTL2: VP 0, write to memory, address 3ffffff000'
breaks read-below 14 'isolation violation by VTL2: VP 0, read of memory'
breaks write-apic 14 'isolation violation by VTL2: VP 0, write to memory, address fee00000'
breaks execute-guest 14 'isolation violation by VTL2: VP 0, execution of memory, address 200000'
breaks msix-table 14 'isolation violation by VTL2: VP 0, write to memory, address 6000002000'
