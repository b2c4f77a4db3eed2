#!/usr/bin/env bash
# Builds newlib, mbedTLS and Zydis, and lays out RapidJSON's and Zycore's headers, from Debian's packages into build/third_party:
#
#   include/                     headers of mbedTLS, Zydis, Zycore and RapidJSON, for both environments
#   image/newlib/, image/lib/    libraries for the image
#   host/lib/                    the same sources built by the host's compiler
#   ready                        there when all of it is, and built from these scripts
#
# Each part is rebuilt only when its script, configuration or source package changes. Sources are fetched once and kept.
# Needs the packages of boot/launcher/packages.sh; needs no privilege.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/boot/toolchain
out=${UNDERCROFT_THIRD_PARTY:-$root/build/third_party}
jobs=${UNDERCROFT_JOBS:-$(nproc)}
target=x86_64-unknown-none-elf
mapfile -t image_flags <"$here/image-flags.txt"

# shellcheck source=boot/toolchain/source_packages.sh
source "$here/source_packages.sh"

say() { printf '  %s\n' "$*"; }

die() {
    printf 'third party: %s\n' "$*" >&2
    exit 1
}

# package_version NAME: the installed version of a Debian package, the part of a hash that stands for its contents.
package_version() { dpkg-query -W -f='${Version}' "$1"; }

# part NAME HASH_INPUT FUNCTION: runs FUNCTION unless the part was built from the same input before.
part() {
    local name=$1 input=$2 build=$3 stamp=$out/stamps/$1 log=$out/log/$1.log hash status started=$SECONDS
    hash=$({ printf '%s\n' "$input"; declare -f "$build"; clang-19 --version; } | sha256sum | cut -d' ' -f1)
    [[ -f $stamp && $(<"$stamp") == "$hash" ]] && return
    rm -f "$out/ready" "$stamp"
    say "building $name ..."
    # Not `if ! $build`: a condition would switch -e off inside.
    set +e
    (set -e; "$build") >"$log" 2>&1
    status=$?
    set -e
    if ((status != 0)); then
        tail -n 20 "$log" >&2
        die "$name does not build; the whole log is ${log#"$root"/}"
    fi
    printf '%s\n' "$hash" >"$stamp"
    say "$name: $((SECONDS - started)) s"
}

fetch_sources() {
    apt_sources "$out/apt" update
    cd "$out/download"
    apt_sources "$out/apt" source --download-only mbedtls zydis
}

# unpack ARCHIVE FOLDER: the archive's one top folder becomes FOLDER.
unpack() {
    rm -rf "$2"
    mkdir -p "$2"
    tar xf "$1" -C "$2" --strip-components=1
}

build_newlib() {
    local source=$out/source/newlib build=$out/build/newlib prefix=$out/build/newlib-prefix
    local compiler="clang-19 --target=$target -nostdlibinc"
    local flags="${image_flags[*]} -g0 -ffreestanding -Wno-implicit-function-declaration -Wno-unused-command-line-argument"
    unpack "$(find /usr/src/newlib -name 'newlib-3.3.0.tar.*')" "$source"
    rm -rf "$build" "$prefix"
    mkdir -p "$build"
    cd "$build"
    CC=clang-19 "$source/configure" --target=x86_64-elf --prefix="$prefix" --disable-multilib \
        --disable-newlib-supplied-syscalls --enable-newlib-reent-small --enable-newlib-retargetable-locking \
        --enable-newlib-io-c99-formats --enable-newlib-io-long-long --disable-newlib-wide-orient --enable-newlib-global-atexit \
        CC_FOR_TARGET="$compiler" AS_FOR_TARGET="$compiler" AR_FOR_TARGET=ar RANLIB_FOR_TARGET=ranlib NM_FOR_TARGET=nm \
        OBJCOPY_FOR_TARGET=objcopy READELF_FOR_TARGET=readelf STRIP_FOR_TARGET=strip LD_FOR_TARGET=ld \
        CFLAGS_FOR_TARGET="$flags"
    make -j"$jobs" all-target-newlib MAKEINFO=true
    make install-target-newlib MAKEINFO=true
    rm -rf "$out/image/newlib"
    mkdir -p "$out/image"
    mv "$prefix/x86_64-elf" "$out/image/newlib"
    rm -rf "$build" "$source" "$prefix"
}

# compile_library ENVIRONMENT NAME FLAGS... -- SOURCES...: one static library from C sources.
compile_library() {
    local environment=$1 name=$2 flags=() source
    local build=$out/build/$environment-$name
    shift 2
    while [[ $1 != -- ]]; do
        flags+=("$1")
        shift
    done
    shift
    if [[ $environment == image ]]; then
        flags+=("--target=$target" "${image_flags[@]}" -isystem "$out/image/newlib/include")
    else
        flags+=(-O2 -g -fPIE -fno-omit-frame-pointer)
    fi
    rm -rf "$build"
    mkdir -p "$build" "$out/$environment/lib"
    # shellcheck disable=SC2016  # the inner shell expands it
    for source; do
        printf '%s\0' "$source"
    done | xargs -0 -P "$jobs" -I{} sh -c 'source=$1 build=$2; shift 2; exec clang-19 "$@" -c "$source" -o "$build/$(basename "$source" .c).o"' \
        sh {} "$build" "${flags[@]}"
    rm -f "$out/$environment/lib/lib$name.a"
    ar rcs "$out/$environment/lib/lib$name.a" "$build"/*.o
}

build_mbedtls() {
    local source=$out/source/mbedtls environment
    unpack "$out"/download/mbedtls_2.28.*.orig.tar.* "$source"
    mkdir -p "$out/include"
    rm -rf "$out/include/mbedtls"
    cp -r "$source/include/mbedtls" "$out/include/"
    cp "$here/mbedtls_config.h" "$out/include/undercroft_mbedtls_config.h"
    for environment in image host; do
        compile_library $environment mbedcrypto -I "$out/include" '-DMBEDTLS_CONFIG_FILE=<undercroft_mbedtls_config.h>' -- \
            "$source"/library/{aes,aesni,cipher,cipher_wrap,gcm,md,sha256,sha512,hkdf,pkcs5,platform,platform_util,constant_time}.c
    done
}

# The image's knows no operands (kernel/guest/emulator works those out): its tables are less than half. The host's knows them, for the tests.
build_zydis() {
    local source=$out/source/zydis environment less
    local sources=("$source"/src/{Decoder,DecoderData,MetaInfo,SharedData,Utils,Register,Mnemonic,Segment}.c)
    unpack "$out"/download/zydis_4.*.orig.tar.* "$source"
    mkdir -p "$out/include"
    rm -rf "$out/include/Zydis" "$out/include/Zycore"
    cp -r "$source/include/Zydis" "$out/include/"
    cp -r /usr/include/Zycore "$out/include/"
    for environment in image host; do
        less=()
        [[ $environment == host ]] || less=(-DZYDIS_MINIMAL_MODE)
        compile_library $environment zydis "${less[@]}" -I "$out/include" -I "$source/src" -DZYAN_NO_LIBC -DZYDIS_STATIC_BUILD \
            -DZYCORE_STATIC_BUILD -DZYDIS_DISABLE_FORMATTER -DZYDIS_DISABLE_ENCODER -DZYDIS_DISABLE_AVX512 -DZYDIS_DISABLE_KNC -- \
            "${sources[@]}"
    done
}

# GenericStringRef's assignment operator assigns a const member: g++ never looks into it, clang rejects it. Upstream removed its body.
build_rapidjson() {
    local header=$out/include/rapidjson/document.h
    mkdir -p "$out/include"
    rm -rf "$out/include/rapidjson"
    cp -r /usr/include/rapidjson "$out/include/"
    sed -i 's/GenericStringRef& operator=(const GenericStringRef& rhs) { s = rhs.s; length = rhs.length; }/GenericStringRef\& operator=(const GenericStringRef\& rhs);/' "$header"
    grep -q 'operator=(const GenericStringRef& rhs);' "$header"
}

main() {
    mkdir -p "$out"/{stamps,log,download,source,build}
    exec 9>"$out/.lock"
    flock 9
    part sources "mbedtls zydis" fetch_sources
    part newlib "$(package_version newlib-source) ${image_flags[*]}" build_newlib
    part mbedtls "${image_flags[*]} $(<"$here/mbedtls_config.h")" build_mbedtls
    part zydis "${image_flags[*]} $(package_version libzycore-dev)" build_zydis
    part rapidjson "$(package_version rapidjson-dev)" build_rapidjson
    [[ -f $out/ready ]] || date >"$out/ready"
}

main "$@"
