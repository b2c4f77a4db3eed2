#!/usr/bin/env bash
# A VTL2 that asks for a PCI function which was not assigned to it is stopped, named in the log, and ends with status 14.
# shellcheck source=tests/boot/isolation.sh
. "$(dirname "$0")/isolation.sh"
breaks read-pci 14 'isolation violation by VTL2: VP 0, unassigned PCI function, address f'
breaks write-pci 14 'isolation violation by VTL2: VP 0, unassigned PCI function, address c8'
