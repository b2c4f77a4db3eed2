# shellcheck shell=bash
# Verb test: builds everything, then runs checks, each of which is one line with its time. A check is a command that says by its exit
# status whether it passed; what it printed is kept in build/log/test/ and shown when it failed.

fuzz_seconds=${UNDERCROFT_FUZZ_SECONDS:-15}
image_bytes_max=$((1024 * 1024))
test_log=${build:?}/log/test
passed=0
failed=0
failures=()

help_test() {
    cat <<'TEXT'
Usage: ./undercroft test [--only REGEX] [--list]

Installs, builds and runs everything: unit, conformance and simulation tests on the host under ASan and UBSan, fuzz targets
for 15 seconds each, source checks, size limits, then boot checks in QEMU. The last line is `N passed, N failed`.
  --only REGEX   run the checks whose names match
  --list         print the names of the checks that the last build has

Checks: source/..., host/PROGRAM, fuzz/TARGET, size/..., host-check/NN-NAME (tests/host/NN-NAME.sh: real clients of the Linux
program), boot/NN-NAME (tests/boot/NN-NAME.sh).
Environment: UNDERCROFT_FUZZ_SECONDS.
TEXT
}

verb_test() {
    option --only value
    option --list flag
    parse_options test "$@"
    if [[ -n ${options[--list]} ]]; then
        all_checks
        return
    fi
    local started=$SECONDS
    install_packages "${packages_build[@]}" "${packages_boot[@]}" "${packages_test[@]}"
    build_presets image host-asan
    make_guest
    (use_full_guest && make_guest)
    make_run_folder
    rm -rf "$test_log"
    mkdir -p "$test_log"
    # Direct I/O and holes are a disk's: a /tmp in memory moves pages, and forgets nothing that it was told to.
    if [[ -z ${TMPDIR:-} && $(stat -f -c %T /tmp) == tmpfs ]]; then
        export TMPDIR=/var/tmp
    fi
    run_all_checks
    summarise "$started"
}

# all_checks: their names, one a line.
all_checks() {
    local path
    echo source/layers
    echo source/format
    echo source/schema
    echo size/image
    host_programs | sed 's|.*/|host/|'
    find "$build/host-asan/fuzz" -maxdepth 1 -type f -executable 2>/dev/null | sort | sed 's|.*/|fuzz/|'
    for path in "$root"/tests/host/[0-9][0-9]-*.sh; do
        [[ -x $path ]] && echo "host-check/$(basename "$path" .sh)"
    done
    for path in "$root"/tests/boot/[0-9][0-9]-*.sh; do
        [[ -x $path ]] && echo "boot/$(basename "$path" .sh)"
    done
    return 0
}

host_programs() {
    {
        find "$build/host-asan" -maxdepth 1 -type f -name unit_tests
        find "$build/host-asan/tests" -maxdepth 1 -type f -executable
    } 2>/dev/null | sort
}

run_all_checks() {
    local -A name_of=() start_of=()
    local checks kind selected pid status
    mapfile -t checks < <(all_checks | grep -E -- "${options[--only]:-.}")
    for kind in source size host fuzz host-check boot; do
        mapfile -t selected < <(printf '%s\n' "${checks[@]}" | grep "^$kind/")
        ((${#selected[@]} > 0)) || continue
        step "${#selected[@]} $kind checks"
        start_checks "$kind" "${selected[@]}"
    done
    while ((${#name_of[@]} > 0)); do
        collect_check
    done
}

# start_checks KIND NAME...: two at a time, each reported when it ends; the last ones still run when it returns. Fuzz targets are
# given a time, not work: four of them share the processors.
start_checks() {
    local name width=2
    [[ $1 == fuzz ]] && width=4
    shift
    for name; do
        while ((${#name_of[@]} >= width)); do
            collect_check
        done
        mkdir -p "$(dirname "$test_log/$name")"
        (
            trap - EXIT INT TERM HUP
            "check_${name%%/*}" "${name#*/}"
        ) >"$test_log/$name.log" 2>&1 </dev/null &
        name_of[$!]=$name
        start_of[$!]=$(date +%s%N)
        children+=("$!")
    done
}

# collect_check: waits for one of name_of to end.
collect_check() {
    status=0
    wait -n -p pid "${!name_of[@]}" || status=$?
    report_check "${name_of[$pid]}" "$status" "$(seconds_since "${start_of[$pid]}")"
    forget_child "$pid"
    unset "name_of[$pid]" "start_of[$pid]"
}

# report_check NAME STATUS SECONDS
report_check() {
    local log=$test_log/$1.log note='' good=0 bad=0
    if [[ $1 == host/* ]]; then
        read -r good bad < <(count_cases "$log" "$2")
        note="  ($good of $((good + bad)) test cases)"
    elif (($2 == 0)); then
        good=1
        note=$(sed -n 's/^note: /  /p' "$log" | tail -n 1)
    else
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    if ((bad == 0)); then
        printf 'ok    %7s s  %s%s\n' "$3" "$1" "$note"
    else
        failures+=("$1")
        printf 'FAIL  %7s s  %s%s\n' "$3" "$1" "$note"
        tail -n 40 "$log" | sed 's/^/        /'
    fi
}

# count_cases LOG STATUS: passed and failed test cases of a Catch2 program. One that crashed counts as one more failure.
count_cases() {
    local good=0 bad=0
    if [[ $(tail -n 3 "$1") =~ All\ tests\ passed\ \(.*\ in\ ([0-9]+)\ test\ case ]]; then
        good=${BASH_REMATCH[1]}
    elif [[ $(tail -n 4 "$1") =~ test\ cases:.* ]]; then
        good=$(sed -n 's/^test cases:.*[| ]\([0-9]*\) passed.*/\1/p' "$1" | tail -n 1)
        bad=$(sed -n 's/^test cases:.*[| ]\([0-9]*\) failed.*/\1/p' "$1" | tail -n 1)
    fi
    good=${good:-0} bad=${bad:-0}
    if (($2 != 0 && bad == 0)); then
        bad=1
    fi
    echo "$good $bad"
}

check_source() {
    case $1 in
    layers) "$root/tests/tidy/check_layers.sh" ;;
    format)
        cd "$root" && find arch boot kernel drivers storage hostsim tests -name '*.[ch]pp' -print0 |
            xargs -0 clang-format-19 --dry-run -Werror
        ;;
    schema) "$root/tests/tidy/check_schema.py" ;;
    esac
}

# The limit holds for what is shipped: without symbols and line tables.
check_size() {
    local stripped=$run_folder/size.elf bytes
    strip --strip-all -o "$stripped" "$build/image/undercroft.elf"
    bytes=$(stat -c %s "$stripped")
    echo "note: undercroft.elf has $bytes bytes of at most $image_bytes_max"
    ((bytes <= image_bytes_max))
}

check_host() {
    local program=$build/host-asan/tests/$1
    [[ -x $program ]] || program=$build/host-asan/$1
    export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
    cd "$root" && nice "$program"
}

# check_fuzz TARGET: from the seeds in tests/fuzz/**/corpus/TARGET and with the words in TARGET.dict, if there are any. New inputs stay in build/.
check_fuzz() {
    local found=$build/host-asan/corpus/$1 seeds words status=0
    mkdir -p "$found" "$test_log/fuzz"
    mapfile -t seeds < <(find "$root/tests/fuzz" -type d -path "*/corpus/$1")
    mapfile -t words < <(find "$root/tests/fuzz" -name "$1.dict" -printf '-dict=%p\n')
    cd "$test_log/fuzz" && nice "$build/host-asan/fuzz/$1" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$test_log/fuzz/$1-" "${words[@]}" "$found" "${seeds[@]}" || status=$?
    return "$status"
}

# check_host-check NAME: tests/host/NAME.sh, which finds the Linux program (under ASan and UBSan) in UNDERCROFT_HOST.
check_host-check() {
    export UNDERCROFT_HOST=$build/host-asan/undercroft-host UNDERCROFT_BUILD=$build/image
    export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
    cd "$root" && nice "$root/tests/host/$1.sh"
}

# check_boot NAME: tests/boot/NAME.sh, which finds the image's build in UNDERCROFT_BUILD and calls ./undercroft boot --no-build.
# Where QEMU's TCG reset the machine by itself, the check runs a second time: docs/architecture.md, "What TCG lacks".
check_boot() {
    export UNDERCROFT_BUILD=$build/image
    cd "$root" || return 1
    "$root/tests/boot/$1.sh" && return
    grep -q '^ *QEMU: Triple fault' "$test_log/boot/$1.log" || return 1
    "$root/tests/boot/$1.sh" && echo 'note: in its second run; in the first, TCG reset the machine'
}

summarise() {
    local check
    say "$((SECONDS - $1)) s in all"
    for check in "${failures[@]}"; do
        say "failed: $check; its output is build/log/test/$check.log"
    done
    echo "$passed passed, $failed failed"
    ((failed == 0 && passed > 0))
}
