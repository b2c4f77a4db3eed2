#!/usr/bin/env bash
# From the guest, ports, memory, PCI, hypercalls and MSRs show neither the monitor, nor VTL2, nor the physical NVMe.
. "$(dirname "$0")/support.sh"
boot 0 --nvme "$work/disk" --kernel "$build/payloads/probe.bin" --append probe --timeout 240
has console '^payload done, 0 failed'
has_not console '^FAIL'
