#!/usr/bin/env bash
# Line coverage of storage/ and drivers/nvme/ by unit, conformance and simulation tests together, a line a file; what is below 90 % is
# named with the reason that tests/coverage-exceptions.txt gives. Fails where a file below 90 % has no reason there.
# Usage: tests/coverage.sh [--no-run]   (--no-run: print again what the last run left)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/host-coverage
profiles=$build/profiles
limit=90
sources='^(storage|drivers/nvme)/'

cd "$root"
programs=(unit_tests tests/conformance_tests tests/simulation_tests)
if [[ ${1:-} != --no-run ]]; then
    cmake --preset host-coverage -DUNDERCROFT_TEST_FILTER='/(storage|drivers/nvme)' >/dev/null
    nice ninja -C "$build" unit_tests conformance_tests simulation_tests >"$build/build.log" 2>&1 ||
        { tail -n 30 "$build/build.log" >&2 && exit 1; }
    rm -rf "$profiles"
    mkdir -p "$profiles"
    for program in "${programs[@]}"; do
        echo "running $program" >&2
        LLVM_PROFILE_FILE="$profiles/$(basename "$program")-%p.profraw" nice "$build/$program" >"$profiles/$(basename "$program").log" 2>&1 ||
            { tail -n 30 "$profiles/$(basename "$program").log" >&2 && exit 1; }
    done
    llvm-profdata-19 merge -sparse -o "$profiles/all.profdata" "$profiles"/*.profraw
fi

objects=()
for program in "${programs[@]:1}"; do
    objects+=(-object "$build/$program")
done
llvm-cov-19 export -summary-only -instr-profile "$profiles/all.profdata" "$build/${programs[0]}" "${objects[@]}" |
    python3 -c '
import json, re, sys
root, sources, limit = sys.argv[1] + "/", sys.argv[2], float(sys.argv[3])
reasons = {}
for line in open(root + "tests/coverage-exceptions.txt"):
    line = line.strip()
    if line and not line.startswith("#"):
        path, reason = line.split(":", 1)
        reasons[path] = reason.strip()
files = json.load(sys.stdin)["data"][0]["files"]
rows = sorted((f["filename"].removeprefix(root), f["summary"]["lines"]) for f in files)
rows = [(path, lines) for path, lines in rows if re.match(sources, path) and lines["count"]]
unexplained = []
for path, lines in rows:
    percent = 100.0 * lines["covered"] / lines["count"]
    note = ""
    if percent < limit:
        note = "  " + reasons.get(path, "BELOW, and no reason is given")
        if path not in reasons:
            unexplained.append(path)
    print("%6.1f %%  %5d lines  %s%s" % (percent, lines["count"], path, note))
covered = sum(lines["covered"] for _, lines in rows)
count = sum(lines["count"] for _, lines in rows)
print("%6.1f %%  %5d lines  in all; %d files below %d %%, %d without a reason" %
      (100.0 * covered / count, count, sum(1 for _, l in rows if 100.0 * l["covered"] / l["count"] < limit), limit, len(unexplained)))
sys.exit(1 if unexplained else 0)
' "$root" "$sources" "$limit"
