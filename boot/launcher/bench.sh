# shellcheck shell=bash
# Verb bench: every tests/bench/NN-NAME.sh, one after the other. A benchmark prints ratios between two sides of one run.

help_bench() {
    cat <<'TEXT'
Usage: ./undercroft bench [--only REGEX]

Builds the optimised host programs and the image, and runs the benchmarks of tests/bench/, which compare with their peers in the
same run: the ratios mean something, the times alone do not. Most of the time goes into 30-exits, which boots a guest under emulation
for each kind of disk and for its peer, and 40-nbd, which measures for a second some hundred times; the others take seconds.
  --only REGEX   run the benchmarks whose names match
TEXT
}

verb_bench() {
    option --only value
    parse_options bench "$@"
    install_packages "${packages_build[@]}" "${packages_boot[@]}" "${packages_test[@]}"
    build_presets host image
    make_guest
    local script name status=0 ran=0
    for script in "${root:?}"/tests/bench/[0-9][0-9]-*.sh; do
        name=$(basename "$script" .sh)
        [[ -x $script && $name =~ ${options[--only]:-.} ]] || continue
        step "$name"
        ran=$((ran + 1))
        UNDERCROFT_BUILD=$build/host "$script" || status=1
    done
    ((ran > 0)) || die 1 'no benchmark has that name'
    return "$status"
}
