#!/usr/bin/env bash
# Cross compiles gateway and pos-sim for the Raspberry Pi, strips them, and runs each once under QEMU.
#
#   deploy/arm/build.sh [arm64|armv7]...      arm64: Pi 3, 4, 5, Zero 2 W with a 64-bit system (the default)
#                                             armv7: Pi 2, and 32-bit systems on later boards
#
# It uses the first toolchain that is installed; COMPTOIR_ARM_TOOLCHAIN=rustup|cross|debian selects one:
#   rustup   the target's standard library (rustup target add …) and a C cross compiler
#   cross    cross and a container engine, with cross.toml
#   debian   Debian's rustc-web, its arm64 standard library or its source, and Debian's C cross compilers
#
# COMPTOIR_PROFILE      Cargo's profile (dist)
# CARGO_TARGET_DIR      the target folder (target/arm64, target/armhf)
# COMPTOIR_WEB_DIST     pages that are already built, for machines without Node.js; with cross, inside the workspace
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
top="$(cd "$here/../.." && pwd)"
readonly here top profile="${COMPTOIR_PROFILE:-dist}"
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}"
readonly given_target="${CARGO_TARGET_DIR:-}"

say() { printf 'arm: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# shellcheck source-path=SCRIPTDIR
{
    source "$here/toolchain.sh"
    source "$here/sysroot.sh"
    source "$here/compile.sh"
    source "$here/examine.sh"
}

declare -a architectures=()
for argument in "$@"; do
    case "$argument" in
    -h | --help)
        sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        set_names "$argument"
        architectures+=("$argument")
        ;;
    esac
done
((${#architectures[@]} > 0)) || architectures=(arm64)

cd "$top"
for architecture in "${architectures[@]}"; do
    set_names "$architecture"
    # One folder per architecture: Debian's compiler has another version than rustup's, and the build for armv7 includes
    # the standard library, so in a shared folder each build would discard the other's work.
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
