# shellcheck shell=bash disable=SC2034
# Debian packages that each verb needs, and how they get here.

packages_build=(
    clang-19 lld-19 llvm-19 libc++-19-dev libc++abi-19-dev libclang-rt-19-dev libstdc++-12-dev libc6-dev
    cmake ninja-build make binutils xz-utils newlib-source libzycore-dev rapidjson-dev acpica-tools
    liburing-dev libsqlite3-dev libcurl4-openssl-dev
)
packages_boot=(
    qemu-system-x86 seabios busybox-static e2fsprogs cpio kmod util-linux procps
    genisoimage dosfstools mtools python3-cryptography
)
packages_test=(
    catch2 clang-format-19 libgcrypt20-dev libssl-dev qemu-utils nginx-light python3-jsonschema
    grub-pc-bin xorriso
    eject libcdio-utils hdparm libnbd-bin python3-libnbd nbdkit fio sg3-utils jq bsdextrautils
)
packages_tidy=(clang-tidy-19 shellcheck)

missing_packages() {
    local package
    for package; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# install_packages NAME...: installs those that are missing; does nothing, and needs no network, when none is.
install_packages() {
    local missing log=$build/log/packages.log
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) && return
    command -v apt-get >/dev/null || die "$status_build_failed" "this is not Debian; install by hand: ${missing[*]}"
    ((EUID == 0)) || command -v sudo >/dev/null ||
        die "$status_build_failed" "neither root nor sudo; have someone install: ${missing[*]}"
    mkdir -p "$build/log"
    step "installing ${#missing[@]} packages: ${missing[*]}"
    if ! { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        die "$status_build_failed" "packages could not be installed; the whole log is ${log#"$root"/}"
    fi
}
