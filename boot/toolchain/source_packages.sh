# shellcheck shell=bash
# Debian's source packages, without touching the machine's own configuration of apt. Sourced.

# apt_sources FOLDER ARGS...: apt-get with the source packages of the machine's own archives on, and all its state in FOLDER.
apt_sources() {
    local folder=$1
    shift
    mkdir -p "$folder"/{parts,state,lists/partial,cache/archives/partial}
    if [[ -f /etc/apt/sources.list.d/debian.sources ]]; then
        sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$folder/parts/debian.sources"
    else
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$folder/parts/debian.list"
    fi
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$folder/parts" \
        -o "Dir::State=$folder/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::State::lists=$folder/lists" \
        -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
