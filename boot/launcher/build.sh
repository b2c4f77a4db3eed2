# shellcheck shell=bash
# Verbs build, clean and tidy, and the building that other verbs ask for.

help_build() {
    cat <<'TEXT'
Usage: ./undercroft build [PRESET]...

Installs what is missing, builds newlib, mbedTLS and Zydis once, then the given presets of CMakePresets.json
(image, host, host-asan, host-fuzz; without one: image). What was built is kept under build/.
TEXT
}

presets=(image host host-asan host-fuzz)

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
    local preset=$1 log=$build/log/build-$1.log started
    started=$(date +%s%N)
    mkdir -p "$build/$preset"
    exec 8>"$build/$preset/.lock"
    flock 8
    if [[ ! -f $build/$preset/build.ninja ]]; then
        (cd "$root" && cmake --preset "$preset") >"$log" 2>&1 || build_failed "$preset" "$log"
    fi
    # -n says whether there is anything to do; a build that is up to date stays silent.
    if [[ $(ninja -C "$build/$preset" -n 2>/dev/null | tail -n 1) != *'no work to do'* ]]; then
        step "building $preset"
        run_ninja "$preset" "$log" || build_failed "$preset" "$log"
        say "    $preset: $(seconds_since "$started") s"
    fi
    exec 8>&-
}

# On a terminal ninja shows one moving line; elsewhere a line every tenth step says enough.
run_ninja() {
    local command=(nice ninja -C "$build/$1")
    if [[ -t 2 ]]; then
        "${command[@]}" 2>&1 | tee "$2" >&2
    else
        NINJA_STATUS='[%f/%t] ' "${command[@]}" 2>&1 | tee "$2" | sed -un 's/^\(\[[0-9]*[05]\/[0-9]*\]\).*/    \1/p' >&2
    fi
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
