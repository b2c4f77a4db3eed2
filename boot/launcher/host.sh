# shellcheck shell=bash disable=SC2034
# Verbs of the Linux program (hostsim/program): it is built and given everything behind the verb.

host_verbs=(serve disk inspect sim)

run_host_program() {
    build_presets host
    exec "${build:?}/host/undercroft-host" "$@"
}

verb_serve() { run_host_program serve "$@"; }
verb_disk() { run_host_program disk "$@"; }
verb_inspect() { run_host_program inspect "$@"; }
verb_sim() { run_host_program sim "$@"; }
