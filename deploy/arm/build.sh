#!/usr/bin/env bash
# Builds gateway and pos-sim for the Raspberry Pi, strips them, and runs each once under QEMU.
#
#   deploy/arm/build.sh [arm64|armv7]...      arm64: Pi 3, 4, 5, Zero 2 W with a 64-bit system (the default)
#                                             armv7: Pi 2, and 32-bit systems on later ones
#
# The toolchain is the first of these that is there; COMPTOIR_ARM_TOOLCHAIN=rustup|cross|debian chooses one:
#   rustup   the target's standard library (rustup target add …) and a C cross compiler
#   cross    cross and a container engine, with cross.toml
#   debian   Debian's rustc-web, its arm64 standard library or its source, and Debian's C cross compilers
#
# COMPTOIR_PROFILE      Cargo's profile (dist)
# CARGO_TARGET_DIR      where to (target/arm64, target/armhf)
# COMPTOIR_WEB_DIST     a dashboard that is built already, for machines without Node; with cross, below the workspace
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top profile="${COMPTOIR_PROFILE:-dist}"
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}"
readonly given_target="${CARGO_TARGET_DIR:-}"
# Debian 12's, and Raspberry Pi OS's of its time.
readonly newest_glibc=2.36
# What a Pi Zero's card and memory are to hold without being noticed.
readonly largest_bytes=16000000

say() { printf 'arm: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# ---- names ----

# What the architecture is called by Rust, by GNU, by Debian, by QEMU.
name_it() {
    case "$1" in
    arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu debian=arm64 qemu=aarch64 ;;
    armv7) triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf debian=armhf qemu=arm ;;
    *) fail "$1: arm64 or armv7" ;;
    esac
    capitals="${triple//-/_}"
    capitals="${capitals^^}"
}

# ---- which toolchain ----

can_rustup() {
    has rustup && has "$gnu-gcc" && has "$gnu-g++" && rustup target list --installed 2>/dev/null | grep -qx "$triple"
}
can_cross() { has cross && { docker info >/dev/null 2>&1 || podman info >/dev/null 2>&1; }; }
can_debian() { [[ -x /usr/bin/rustc && -x /usr/bin/cargo && -d "$(debian_source)" ]] && has "$gnu-gcc" && has "$gnu-g++"; }

debian_version() { /usr/bin/rustc --version 2>/dev/null | cut -d ' ' -f 2; }
debian_source() { printf '/usr/src/rustc-%s' "$(debian_version)"; }

choose() {
    local toolchain
    if [[ -n "${COMPTOIR_ARM_TOOLCHAIN:-}" ]]; then
        case "$COMPTOIR_ARM_TOOLCHAIN" in
        rustup | cross | debian) ;;
        *) fail "COMPTOIR_ARM_TOOLCHAIN: $COMPTOIR_ARM_TOOLCHAIN is none of rustup, cross, debian" ;;
        esac
        "can_$COMPTOIR_ARM_TOOLCHAIN" || fail "the toolchain $COMPTOIR_ARM_TOOLCHAIN is not complete for $1"
        printf '%s' "$COMPTOIR_ARM_TOOLCHAIN"
        return
    fi
    for toolchain in rustup cross debian; do
        if "can_$toolchain"; then
            printf '%s' "$toolchain"
            return
        fi
    done
    "$top/deploy/install-dependencies.sh" arm >&2
    hash -r
    can_debian || fail "no toolchain for $1: see --help"
    printf 'debian'
}

# ---- Debian's standard library of another architecture ----

# Unpacked beside, not installed; and with package lists of its own, so that the machine's dpkg need not know a foreign
# architecture. Prints the folder, or fails where the package's version is not the compiler's.
arm64_sysroot() {
    local version folder work
    version="$(dpkg-query -W -f '${Version}' rustc-web)" || return 1
    folder="$cache/rust-std-$version-arm64"
    if [[ ! -d "$folder" ]]; then
        mkdir -p "$cache"
        work="$(mktemp -d "$cache/rust-std.XXXXXX")"
        mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
        local -a apt=(apt-get -qq -o "Dir::State=$work/state" -o "Dir::Cache=$work/cache" -o Acquire::Retries=3
            -o Dir::State::status=/var/lib/dpkg/status -o APT::Architectures::=arm64 -o "APT::Sandbox::User=$(id -un)"
            -o "APT::Architectures::=$(dpkg --print-architecture)" -o Acquire::Languages=none)
        say "fetching Rust's standard library for arm64, $version"
        if ! "${apt[@]}" update >&2 || ! (cd "$work" && "${apt[@]}" download "libstd-rust-web-dev:arm64=$version") >&2; then
            rm -rf "$work"
            return 1
        fi
        dpkg -x "$work"/libstd-rust-web-dev_*_arm64.deb "$work/root"
        mv "$work/root" "$folder"
        rm -rf "$work"
    fi
    printf '%s/usr' "$folder"
}

# ---- building ----

# Each with its package: arguments for the linker are of one binary at a time.
readonly -a binaries=(comptoir-gateway:gateway comptoir-sim:pos-sim)

# librdkafka's configure does not look at Rust's target: it takes CC, CXX and AR. Once these are set, what runs during
# the build (sqlx's macros, with SQLite inside) needs the HOST_ ones. A RUSTFLAGS of somebody's, even an empty one, would
# take the place of the target's own flags.
#
# C gets no tables for unwinding: no panic passes through it, for the callbacks that it makes end one at their border.
# Each function stands in a section of its own, so that the linker leaves out what nobody calls.
cross_environment() {
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    export CC="$gnu-gcc" CXX="$gnu-g++" AR="$gnu-ar" HOST_CC=gcc HOST_CXX=g++ HOST_AR=ar
    export CFLAGS="-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
    export "CARGO_TARGET_${capitals}_LINKER=$gnu-gcc"
}

# lld packs the relocations of a position-independent program (glibc reads that since 2.36) into a thirtieth, and keeps
# one of several equal functions. GNU ld of Debian 12 does neither on ARM, and its lld 14 packs nothing.
readonly least_lld=15

# Its folder: a cross compiler looks there when told, and not on the PATH.
lld_folder() { # folder that may hold ld.lld, or nothing
    local folder version
    while read -r folder; do
        [[ -x "$folder/ld.lld" ]] || continue
        version="$("$folder/ld.lld" --version | grep -oE 'LLD [0-9]+' | cut -d ' ' -f 2)" || continue
        if ((version >= least_lld)); then
            printf '%s' "$folder"
            return
        fi
    done < <(printf '%s\n' "$1"; printf '%s\n' /usr/lib/llvm-*/bin | sort -rV)
    return 1
}

link_arguments() { # folder that may hold ld.lld, or nothing
    local folder
    if ! folder="$(lld_folder "$1")"; then
        say "no lld $least_lld or later (Debian's lld-19): the programs get larger"
        return
    fi
    printf '%s\n' "-Clink-arg=-B$folder" -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,-z,pack-relative-relocs,--icf=safe
}

build_each() { # folder that may hold ld.lld, or nothing; cargo and its arguments
    local entry
    local -a link
    mapfile -t link < <(link_arguments "$1")
    shift
    for entry in "${binaries[@]}"; do
        "$1" rustc --locked --target "$triple" --profile "$profile" "${@:2}" \
            -p "${entry%%:*}" --bin "${entry##*:}" -- "${link[@]}"
    done
}

build_rustup() (
    cross_environment
    host="$(rustc --version --verbose | sed -n 's/^host: //p')"
    build_each "$(rustc --print sysroot)/lib/rustlib/$host/bin/gcc-ld" cargo
)

build_cross() (
    # Its containers have no Node.js, and see nothing of this machine but the workspace. The path is taken from gateway/.
    if [[ -z "${COMPTOIR_WEB_DIST:-}" ]]; then
        export COMPTOIR_WEB_DIST=../target/pages
        npm --prefix web ci --no-audit --no-fund >&2
        npm --prefix web run build -- --outDir "$top/target/pages" --emptyOutDir >&2
    fi
    CC="$gnu-gcc" CXX="$gnu-g++" AR="$gnu-ar" HOST_CC=gcc HOST_CXX=g++ HOST_AR=ar CROSS_CONFIG="$top/cross.toml" \
        cross build --locked --target "$triple" --profile "$profile" \
        -p comptoir-gateway -p comptoir-sim --bin gateway --bin pos-sim
)

build_debian() (
    cross_environment
    # Cargo by its own path, and rustc as well: rustup's may come first on the PATH.
    export RUSTC=/usr/bin/rustc
    unset RUSTUP_TOOLCHAIN
    sysroot=
    if [[ "$debian" == arm64 ]] && sysroot="$(arm64_sysroot)"; then
        export "CARGO_TARGET_${capitals}_RUSTFLAGS=--sysroot=$sysroot"
        build_each "" /usr/bin/cargo
    else
        # No such package for armhf that fits. The standard library's source is there; stable compilers build it only
        # when told that they may.
        say "building the standard library too, from $(debian_source)"
        export RUSTC_BOOTSTRAP=1
        build_each "" /usr/bin/cargo -Zbuild-std=std,panic_abort
    fi
)

# ---- the result ----

# It must start on the oldest system that it is for, with nothing else installed.
examine() { # binary
    local library glibc size
    while read -r library; do
        case "$library" in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-*) ;;
        *) fail "$1 needs $library, which a fresh system does not have" ;;
        esac
    done < <(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    # Packed relocations are a feature with a name in the place of a number.
    glibc="$(readelf -W --version-info "$1" | grep -o 'GLIBC_[0-9.]*\|GLIBC_ABI_DT_RELR' |
        sed 's/GLIBC_ABI_DT_RELR/GLIBC_2.36/' | cut -d _ -f 2 | sort -Vu | tail -n 1)"
    [[ "$(printf '%s\n%s\n' "$glibc" "$newest_glibc" | sort -V | tail -n 1)" == "$newest_glibc" ]] ||
        fail "$1 needs glibc $glibc, and Debian 12 has $newest_glibc"
    size="$(stat -c %s "$1")"
    ((size < largest_bytes)) || fail "$1 has $size bytes, and is to stay below $largest_bytes"
    printf '%-60s %6.1f MB, glibc %s or later\n' "${1#"$top/"}" "$((size / 1000))e-3" "$glibc"
}

try() { # binary
    local runner
    if [[ "$(uname -m)" == "$qemu"* ]]; then
        "$1" --version
        return
    fi
    for runner in "qemu-$qemu" "qemu-$qemu-static"; do
        if has "$runner"; then
            "$runner" -L "/usr/$gnu" "$1" --version
            return
        fi
    done
    fail "not run: there is no qemu-$qemu (Debian's qemu-user-static)"
}

declare -a architectures=()
for argument in "$@"; do
    case "$argument" in
    -h | --help)
        sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        name_it "$argument"
        architectures+=("$argument")
        ;;
    esac
done
((${#architectures[@]} > 0)) || architectures=(arm64)

cd "$top"
for architecture in "${architectures[@]}"; do
    name_it "$architecture"
    # Debian's compiler is of another version than rustup's, and armv7's build makes a standard library: sharing a folder,
    # each would rebuild the others' work.
    export CARGO_TARGET_DIR="${given_target:-$top/target/$debian}"
    toolchain="$(choose "$architecture")"
    say "$triple with the toolchain $toolchain, profile $profile"
    began=$SECONDS
    "build_$toolchain"
    say "built in $((SECONDS - began)) s"
    for binary in gateway pos-sim; do
        examine "$CARGO_TARGET_DIR/$triple/$profile/$binary"
        try "$CARGO_TARGET_DIR/$triple/$profile/$binary"
    done
done
