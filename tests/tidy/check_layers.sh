#!/usr/bin/env bash
# Holds the layers of the layout: reads every #include "..." and fails on one that reaches up or, between subsystems, sideways.
#
#   0  kernel/base
#   1  kernel/{spec,async,memory,crypto,config,inspect}  may use each other; CMake refuses circles
#   2  kernel/{guest,vtl,monitor}, drivers, arch       not each other, but for the four below
#   3  storage
#   4  boot, hostsim                                   not each other
#
# Within layer 2: vtl brings intercepts to guest, which knows nothing of VTLs; arch implements what vtl declares; drivers reach ports and
# assigned devices through vtl, which knows no device; the monitor is written
# against arch, as both are for bare metal alone. boot/exit_status.hpp is constants shared with the launcher, so all may have it; a
# *.hex is made by the build. tests may use everything.
# Usage: check_layers.sh [ROOT]
set -euo pipefail

cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"

folders=()
for folder in kernel drivers arch storage boot hostsim; do
    [[ -d $folder ]] && folders+=("$folder")
done

grep -rnE --include='*.[ch]pp' --include='*.h' --include='*.S' '^ *#include "' "${folders[@]}" | awk -F'[:"]' '
    function layer(path,   part) {
        split(path, part, "/")
        if (part[1] == "kernel") {
            if (part[2] == "base") return 0
            if (part[2] ~ /^(spec|async|memory|crypto|config|inspect)$/) return 1
            if (part[2] ~ /^(guest|vtl|monitor)$/) return 2
            return -1
        }
        if (part[1] == "drivers" || part[1] == "arch") return 2
        if (part[1] == "storage") return 3
        if (part[1] == "boot" || part[1] == "hostsim") return 4
        return -1
    }
    function subsystem(path,   part) {
        split(path, part, "/")
        return part[1] == "kernel" ? part[1] "/" part[2] : part[1]
    }
    {
        file = $1; line = $2; included = $4
        if (included == "boot/exit_status.hpp" || included ~ /^[a-z_0-9]+\.hex$/) next
        from = layer(file); to = layer(included)
        a = subsystem(file); b = subsystem(included)
        if (a " " b ~ /^(kernel\/monitor arch|kernel\/vtl kernel\/guest|arch kernel\/vtl|drivers kernel\/vtl)$/) next
        if (to < 0) {
            problem = "is not a path from the root to a known layer"
        } else if (to > from) {
            problem = "reaches up"
        } else if (a != b && to == from && from != 1) {
            problem = "reaches sideways"
        } else {
            next
        }
        printf "%s:%s: %s, which %s\n", file, line, included, problem
        failed = 1
    }
    END { exit failed }
'
