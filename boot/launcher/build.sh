# shellcheck shell=bash
# Verbs build, clean and tidy, and the building that other verbs ask for.

help_build() {
    cat <<'TEXT'
Usage: ./undercroft build [PRESET]...

Installs what is missing, builds newlib, mbedTLS and Zydis once, then the given presets of CMakePresets.json
(image, host, host-asan; without one: image). What was built is kept under build/.
TEXT
}

presets=(image host host-asan)

# build_presets NAME...: everything that leads to build/NAME. Safe to call from several launchers at once.
build_presets() {
    local preset
    install_packages "${packages_build[@]}"
    if [[ " $* " == *' host'* ]]; then
        install_packages "${packages_test[@]}"
    fi
    mkdir -p "$build/log"
    if [[ ! -f $build/third_party/ready ]]; then
        step 'building third-party libraries (once)'
    fi
    "$root/boot/toolchain/third_party.sh" >&2 || die "$status_build_failed" 'third-party libraries could not be built'
    for preset; do
        build_preset "$preset"
    done
}

build_preset() {
    local preset=$1 log=$build/log/build-$1.log
    mkdir -p "$build/$preset"
    exec 8>"$build/$preset/.lock"
    flock 8
    if [[ ! -f $build/$preset/build.ninja ]]; then
        (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 || build_failed "$preset" "$log"
    fi
    run_ninja "$preset" "$log" || build_failed "$preset" "$log"
    exec 8>&-
}

# run_ninja PRESET LOG: a build that is up to date is silent; on a terminal the progress is one moving line, elsewhere every tenth step.
run_ninja() {
    local terminal=0
    [[ -t 2 ]] && terminal=1
    NINJA_STATUS='[%f/%t] ' nice ninja -C "$build/$1" 2>&1 | tee "$2" | awk -v preset="$1" -v terminal="$terminal" '
        match($0, /^\[[1-9][0-9]*\/[0-9]+\]/) {
            if (!shown++) print "==> building " preset
            if (terminal) printf "\r    %s\033[K", substr($0, 1, 100)
            else if (shown % 10 == 0) print "    " substr($0, 1, RLENGTH)
            fflush()
        }
        END { if (shown && terminal) printf "\r\033[K" }
    ' >&2
}

build_failed() {
    grep -v -e '^\[' -e '^ninja: Entering' -e '^/usr/bin/clang' "$2" | head -n 40 >&2 || true
    die "$status_build_failed" "$1 does not build; the whole log is ${2#"$root"/}"
}

verb_build() {
    local wanted=() preset
    while (($# > 0)) && [[ $1 != -* ]]; do
        wanted+=("$1")
        shift
    done
    parse_options build "$@"
    ((${#wanted[@]} > 0)) || wanted=(image)
    for preset in "${wanted[@]}"; do
        contains "$preset" "${presets[@]}" || refuse "there is no preset '$preset'; did you mean '$(nearest "$preset" "${presets[@]}")'?"
    done
    build_presets "${wanted[@]}"
}

help_clean() {
    cat <<'TEXT'
Usage: ./undercroft clean [--all]

Deletes what was built from this repository's sources, demonstration disk and logs included.
  --all   also third-party libraries, downloaded sources and the downloaded guest
TEXT
}

verb_clean() {
    option --all flag
    parse_options clean "$@"
    local preset
    for preset in "${presets[@]}"; do
        rm -rf "${build:?}/$preset"
    done
    rm -rf "$build/demo" "$build/log" "$build/tmp"
    [[ -n ${options[--all]} ]] && rm -rf "$build/third_party" "$build/guest"
    return 0
}

help_tidy() {
    cat <<'TEXT'
Usage: ./undercroft tidy

Runs clang-tidy over every source that the image and the host build compile, and shellcheck over every script.
Not a part of `test`: it takes minutes.
TEXT
}

verb_tidy() {
    parse_options tidy "$@"
    install_packages "${packages_tidy[@]}"
    build_presets image host
    local preset failed=0 scripts
    for preset in image host; do
        step "clang-tidy: $preset"
        tidy_sources "$build/$preset" || failed=1
    done
    step 'shellcheck'
    mapfile -t scripts < <(cd "$root" && find tests boot/toolchain -name '*.sh')
    # The launcher's parts are read through the script that sources them.
    (cd "$root" && shellcheck -x undercroft .ci/run "${scripts[@]}") || failed=1
    return "$failed"
}

tidy_sources() {
    sed -n 's/^ *"file": "\(.*\.cpp\)",*$/\1/p' "$1/compile_commands.json" | sort -u |
        xargs -d '\n' -P "$(nproc)" -n 4 clang-tidy-19 -p "$1" --quiet --extra-arg=-Wno-unknown-warning-option
}
