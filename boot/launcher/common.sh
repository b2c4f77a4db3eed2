# shellcheck shell=bash
# What the verbs share: messages, folders, temporary files, processes to end. Sourced by ../../undercroft.

build=${root:?}/build

# Progress goes to standard error: standard output belongs to the guest's console and to results.
say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }

# die STATUS MESSAGE...
die() {
    local status=$1
    shift
    printf 'undercroft: %s\n' "$*" >&2
    exit "$status"
}

refuse() { die "${status_usage:?}" "$@"; }

# contains WORD LIST...
contains() {
    local word=$1 item
    shift
    for item; do
        [[ $item == "$word" ]] && return 0
    done
    return 1
}

# edit_distance A B: insertions, deletions and replacements that lead from one word to the other.
edit_distance() {
    local a=$1 b=$2 i j cost best
    local -a above=() row=()
    for ((j = 0; j <= ${#b}; j++)); do above[j]=$j; done
    for ((i = 1; i <= ${#a}; i++)); do
        row=("$i")
        for ((j = 1; j <= ${#b}; j++)); do
            [[ ${a:i-1:1} == "${b:j-1:1}" ]] && cost=0 || cost=1
            best=$((above[j - 1] + cost))
            ((above[j] + 1 < best)) && best=$((above[j] + 1))
            ((row[j - 1] + 1 < best)) && best=$((row[j - 1] + 1))
            row[j]=$best
        done
        above=("${row[@]}")
    done
    echo "${above[${#b}]}"
}

# nearest WORD LIST...: the item of the list that is least far from the word.
nearest() {
    local word=$1 item distance best=1000 answer=
    shift
    for item; do
        distance=$(edit_distance "$word" "$item")
        ((distance < best)) && best=$distance answer=$item
    done
    echo "$answer"
}

# Temporary files of this run; removed when the launcher ends, however it ends.
run_folder=
children=()

make_run_folder() {
    mkdir -p "$build/tmp"
    run_folder=$(mktemp -d "$build/tmp/run.$$.XXXXXX")
}

# stop_child PID: asks, waits up to five seconds, then insists.
stop_child() {
    local tries
    kill -TERM "$1" 2>/dev/null || return 0
    for ((tries = 0; tries < 50; tries++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
}

clean_up() {
    local status=$? child
    trap - EXIT INT TERM HUP
    for child in "${children[@]}"; do
        stop_child "$child"
    done
    [[ -n $run_folder ]] && rm -rf "$run_folder"
    [[ -z ${machine[control]:-} ]] || rm -f "${machine[control]}"
    exit "$status"
}
trap clean_up EXIT
trap 'exit "$status_interrupted"' INT
trap 'exit 143' TERM HUP

# forget_child PID: it has ended and was waited for.
forget_child() {
    local child kept=()
    for child in "${children[@]}"; do
        [[ $child == "$1" ]] || kept+=("$child")
    done
    children=("${kept[@]}")
}

# seconds_since START_NANOSECONDS: with one decimal. Start values come from `date +%s%N`.
seconds_since() {
    local tenths=$((($(date +%s%N) - $1) / 100000000))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}
