#!/usr/bin/env bash
# Builds the bare-metal till and prints the image's path, then its sizes on standard error.
#
# With rustup: its target riscv32imac-unknown-none-elf. Without: Debian's rustc-web, cargo-web and rust-web-src build
# core themselves; the linker is rust-lld of any toolchain, or ld.lld.
set -euo pipefail

readonly board="${BASH_SOURCE[0]%/*}/qemu-riscv"
readonly target=riscv32imac-unknown-none-elf
readonly limit_flash=$((256 * 1024)) limit_ram=$((128 * 1024))

fail() {
    printf 'build-qemu-riscv: %s\n' "$*" >&2
    exit 1
}

PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
# What the host's build has set says nothing about this target.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTUP_TOOLCHAIN RUSTC CARGO RUSTDOC
folder="${CARGO_TARGET_DIR:-$board/../../../target}/boards"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
export CARGO_TARGET_DIR="$folder"
cd "$board"

has_target() { [[ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]]; }

linker() {
    local found
    for found in "$(rustc --print sysroot 2>/dev/null)"/lib/rustlib/*/bin/rust-lld; do
        if [[ -x "$found" ]]; then
            printf '%s\n' "$found"
            return
        fi
    done
    command -v ld.lld || command -v ld.lld-19 || command -v ld.lld-14
}

if has_target; then
    cargo build --quiet --locked --release --target "$target" >&2
elif [[ -x /usr/bin/rustc && -x /usr/bin/cargo ]] &&
    [[ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]]; then
    lld="$(linker)" || fail "there is no rust-lld and no ld.lld: install Debian's lld"
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_RISCV32IMAC_UNKNOWN_NONE_ELF_LINKER="$lld"
    /usr/bin/cargo build --quiet --locked -Zbuild-std=core --release --target "$target" >&2
else
    fail "no Rust for $target: rustup target add $target, or Debian's rustc-web, cargo-web and rust-web-src"
fi

image="$folder/$target/release/comptoir-qemu-riscv"
[[ -f "$image" ]] || fail "there is no $image"

# Sizes of the ELF's loaded segments: text and constants are what flash would hold, data and bss what RAM would.
if command -v readelf >/dev/null; then
    readelf --wide --sections "$image" | awk -v flash="$limit_flash" -v ram="$limit_ram" '
        function hex(digits, i, value) {
            value = 0
            for (i = 1; i <= length(digits); i++) value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
            return value
        }
        { sub(/^ *\[ *[0-9]+\] */, "") }
        $1 ~ /^\.text/ || $1 ~ /^\.rodata/ { code += hex($5) }
        $1 == ".data" { code += hex($5); data += hex($5) }
        $1 == ".bss" { data += hex($5) }
        END {
            printf "build-qemu-riscv: flash %d bytes of %d, static RAM %d bytes of %d\n", code, flash, data, ram > "/dev/stderr"
            if (code > flash) { print "build-qemu-riscv: the image is too large" > "/dev/stderr"; exit 1 }
        }'
fi
printf '%s\n' "$image"
