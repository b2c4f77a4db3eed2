#!/usr/bin/env bash
# libnbd's own shell tests (of nbdcopy, nbdinfo, nbddump) against our server.
#
# Debian's binary packages (libnbd-bin, libnbd-dev, python3-libnbd, nbdkit) ship no tests, not even as examples; the source package libnbd has
# them. It is fetched once, through apt, and kept in build/libnbd-tests; nothing of it is in this repository. The tests start nbdkit for their
# server, so stand_in/nbdkit stands in for it: every disk in memory that a test asks for is ours. What a test asks of nbdkit itself (filters,
# scripts, sockets that it inherits, sizes that are no whole sectors, the oldstyle handshake) stays nbdkit's, and such a test counts for nothing
# here. nbdkit's own tests are of its plugins and filters: none is about a server that is not nbdkit. Without network the check says so, and passes.
set -euo pipefail
# shellcheck source=tests/host/support.sh
source "$(dirname "$0")/support.sh"
# shellcheck source=boot/toolchain/source_packages.sh
source "$(dirname "$0")/../../boot/toolchain/source_packages.sh"
here=$(cd "$(dirname "$0")" && pwd)
kept=$here/../../build/libnbd-tests
# Tests with a disk of ours that pass; fewer would mean that the stand-in no longer stands in.
passed_min=8

fetch() {
    local apt=$folder/apt
    mkdir -p "$kept.new" "$apt"
    (cd "$apt" && apt_sources "$apt" update && apt_sources "$apt" source --download-only libnbd &&
        tar -xf libnbd_*.orig.tar.?z -C "$kept.new" --strip-components=1) >"$folder/fetch.log" 2>&1
}
if [[ ! -d $kept ]]; then
    rm -rf "$kept.new"
    if ! fetch; then
        rm -rf "$kept.new"
        echo 'skipped: the source package libnbd cannot be fetched:'
        tail -n 3 "$folder/fetch.log"
        exit 0
    fi
    mv "$kept.new" "$kept"
fi

cp -r "$kept"/{copy,info,dump,tests} "$folder"
sed "s|@abs_top_srcdir@|$folder|; s|@abs_top_builddir@|$folder|" "$folder/tests/functions.sh.in" >"$folder/tests/functions.sh"
export UNDERCROFT_HOST PATH="$here/stand_in:$PATH" STAND_IN_LOG=$folder/served VG='' srcdir=. abs_srcdir=
passed=0
for test in "$folder"/{copy,info,dump}/*.sh; do
    grep -qE 'nbdkit .*(memory|data|pattern)' "$test" || continue
    # These hold the map to the 32 KiB in which nbdkit's plugin allocates; ours is finer.
    [[ ${test##*/} != info-map-* ]] || continue
    : >"$STAND_IN_LOG"
    status=0
    (cd "${test%/*}" && timeout 60 bash "./${test##*/}") >"$folder/output" 2>&1 </dev/null || status=$?
    [[ -s $STAND_IN_LOG ]] || continue
    case $status in
    0) passed=$((passed + 1)) ;;
    77) ;;
    *)
        tail -n 20 "$folder/output"
        fail "libnbd's ${test#"$folder"/}, on $(tr '\n' ';' <"$STAND_IN_LOG")"
        ;;
    esac
done
((passed >= passed_min)) || fail "$passed tests of libnbd's ran on our server, and at least $passed_min did once"
echo "$passed tests of libnbd's own pass on our server"
