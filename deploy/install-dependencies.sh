#!/usr/bin/env bash
# Installs the tools that are missing to build, check or test Comptoir. If none is missing, it does and prints nothing.
#
#   deploy/install-dependencies.sh PURPOSE
#
#   run               a C and C++ compiler, make, perl (for OpenSSL's build), OpenSSL's development files, pkg-config, git,
#                     CA certificates, Rust, and Node.js with npm (for the pages)
#   lint              the same, rustfmt and Clippy
#   test              the same as run and operations, Java 17 or later, Maven (for Kafka's jars), strace, kcat, Python's
#                     venv, Chromium, its variant without a window if there is one, PostgreSQL 15 or later (without a
#                     system cluster)
#   operations        for the checks of deploy/, which build nothing: shellcheck, promtool, nginx, Mosquitto and its
#                     clients, openssl, nftables, minisign, Python's YAML
#   flash             xz, and pv for its progress bar
#   arm               the same as run, C cross compilers for arm64 and armv7, QEMU user emulation, and unless rustup has
#                     both targets, Debian's rustc-web with its source
#   package           the same as run, cargo-deb
#   image             the same as arm and package, and the tools for an image: mmdebstrap, mtools, sfdisk, e2fsprogs, dtc,
#                     xz, QEMU 9 or later (on Debian 12 from its backports)
#   firmware [BOARD]  Rust for bare metal (rustup's target, or Debian's rustc-web with its source) and a linker; for the
#                     board qemu-riscv, which is the default, also QEMU for RISC-V and Mosquitto
#
# On Debian 12 or later and Raspberry Pi OS it installs with apt-get, through sudo unless it runs as root. On other
# systems it lists the missing tools.
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
readonly here top="$here/.."
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/comptoir}"

# rustup's directory. A shell that is not a login shell may lack it on its PATH.
PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"

# shellcheck source-path=SCRIPTDIR
{
    source "$here/dependencies/common.sh"
    source "$here/dependencies/apt.sh"
    source "$here/dependencies/backports.sh"
    source "$here/dependencies/mosquitto.sh"
    source "$here/dependencies/postgresql.sh"
    source "$here/dependencies/unpacked.sh"
    source "$here/dependencies/tools.sh"
    source "$here/dependencies/cross.sh"
    source "$here/dependencies/firmware.sh"
    source "$here/dependencies/rust.sh"
    source "$here/dependencies/node.sh"
}

readonly purpose="${1:-}"
case "$purpose" in
run | lint | test | operations | arm | package | image | flash | firmware) ;;
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*) fail "usage: install-dependencies.sh run|lint|test|operations|arm|package|image|flash|firmware [BOARD]" ;;
esac
is_for() { [[ " $* " == *" $purpose "* ]]; }

builds=yes
! is_for operations flash || builds=
readonly builds
readonly board="${2:-qemu-riscv}"
bare_metal="$(target_of_board)" || fail "there is no board $board; choose qemu-riscv or esp32c3"
readonly bare_metal

find_missing() {
    tools=()
    packages=()
    [[ -z "$builds" ]] || look_for_build_tools
    ! is_for run || look_for_run_tools
    ! is_for test || look_for_test_tools
    ! is_for test operations || look_for_operations_tools
    ! is_for flash || look_for_flash_tools
    ! is_for arm image || look_for_cross_tools
    ! is_for image || look_for_image_tools
    ! is_for firmware || look_for_firmware_tools
}

fail_with_list() { # heading
    say "$1"
    printf '  %s\n' "${tools[@]}" >&2
    exit 1
}

find_missing
if ((${#packages[@]} > 0)); then
    is_debian || fail_with_list "there is no apt-get on this system; please install:"
    install_packages
    hash -r
    find_missing
    # For example an older Java that comes first on the PATH.
    ((${#packages[@]} == 0)) || fail_with_list "these are installed, but the PATH leads to others:"
fi
! is_for test || look_for_headless_shell
! is_for test operations || unpack promtool usr/bin/promtool prometheus
! is_for test operations || unpack nginx usr/sbin/nginx nginx
[[ -n "$builds" ]] || exit 0
look_for_node
look_for_rust
! is_for lint || look_for_rust_linters
! is_for lint || look_for_cargo_deny
! is_for package image || look_for_cargo_deb
