#!/usr/bin/env bash
# A VTL2 that uses MSRs, SVM or debug registers which are the monitor's is stopped, named in the log, and ends with status 14; one that destroys its own
# interrupt table ends with status 11.
# shellcheck source=tests/boot/isolation.sh
. "$(dirname "$0")/isolation.sh"
breaks read-msr 14 'isolation violation by VTL2: VP 0, read of an MSR, address c0010117'
breaks write-msr 14 'isolation violation by VTL2: VP 0, write to an MSR, address c0010117'
breaks efer 14 'isolation violation by VTL2: VP 0, write to an MSR, address c0000080'
breaks svme 14 'isolation violation by VTL2: VP 0, write to an MSR, address c0000080'
breaks vmrun 14 'isolation violation by VTL2: VP 0, privileged instruction'
breaks clgi 14 'isolation violation by VTL2: VP 0, privileged instruction'
breaks stgi 14 'isolation violation by VTL2: VP 0, privileged instruction'
breaks debug-register 14 'isolation violation by VTL2: VP 0, write to a debug register'
breaks triple-fault 11 'vtl2 of VP 0 ended in a triple fault'
