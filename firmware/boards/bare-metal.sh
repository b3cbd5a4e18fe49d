# Functions shared by the boards' build scripts, which source this file. They set `board`, the board's directory, and
# `target`, the Rust target triple.
#
# With rustup, the installed target is used. Without it, Debian's rustc-web, cargo-web and rust-web-src build core from
# source; the linker is rust-lld of any toolchain, or ld.lld.
# shellcheck shell=bash disable=SC2154

me="$(basename "$0" .sh)"
readonly me

fail() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

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

# Sets `cargo`, the start of a cargo command for the board's package, and `options`, its end; changes to the board's
# directory. CRATES are the standard crates that the board needs, e.g. "core,alloc". Returns 1 if there is no Rust for the
# target.
choose_rust() { # CRATES
    PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    # The host build's settings do not apply to this target.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTUP_TOOLCHAIN RUSTC CARGO RUSTDOC
    folder="${CARGO_TARGET_DIR:-$board/../../../target}/boards"
    mkdir -p "$folder"
    folder="$(cd "$folder" && pwd)"
    export CARGO_TARGET_DIR="$folder"
    cd "$board" || fail "cannot enter $board"
    options=(--quiet --locked --release --target "$target")
    if has_target; then
        cargo=(cargo)
    elif [[ -x /usr/bin/rustc && -x /usr/bin/cargo ]] &&
        [[ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]]; then
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
        cargo=(/usr/bin/cargo)
        options+=(-Zbuild-std="$1")
    else
        return 1
    fi
}

# Builds the board's package and sets `image` to the ELF's path.
build() { # crates
    local lld variable
    choose_rust "$1" ||
        fail "no Rust for $target: run 'rustup target add $target', or install Debian's rustc-web, cargo-web and rust-web-src"
    if [[ "${cargo[0]}" == /usr/bin/cargo ]]; then
        lld="$(linker)" || fail "neither rust-lld nor ld.lld was found: install Debian's lld"
        variable="CARGO_TARGET_${target^^}_LINKER"
        export "${variable//-/_}=$lld"
    fi
    "${cargo[@]}" build "${options[@]}" >&2
    image="$folder/$target/release/comptoir-${board##*/}"
    [[ -f "$image" ]] || fail "the build did not produce $image"
}

# Runs Clippy for the board's package. Falls back to the compiler if the target's Rust has no Clippy, and skips the package if
# there is no Rust for the target; both are reported.
lint() { # crates
    if ! choose_rust "$1"; then
        printf '%s: skipping %s: no Rust for %s\n' "$me" "${board##*/}" "$target" >&2
        return
    fi
    if [[ "${cargo[0]}" == /usr/bin/cargo ]]; then
        # By path, because cargo itself would run rustup's Clippy, which has another version.
        cargo=(env CARGO=/usr/bin/cargo /usr/bin/cargo-clippy)
    fi
    if ! "${cargo[@]}" clippy --version >/dev/null 2>&1; then
        printf '%s: %s: checked without Clippy, because the Rust for %s has none\n' "$me" "${board##*/}" "$target" >&2
        [[ "${cargo[0]}" != env ]] || cargo=(/usr/bin/cargo)
        RUSTFLAGS="-D warnings" "${cargo[@]}" check "${options[@]}"
        return
    fi
    "${cargo[@]}" clippy "${options[@]}" -- -D warnings
}

# Prints the total size of the ELF sections whose names match PATTERN.
bytes_of() { # pattern
    readelf --wide --sections "$image" | awk -v names="$1" '
        function hex(digits, i, value) {
            value = 0
            for (i = 1; i <= length(digits); i++) value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
            return value
        }
        { sub(/^ *\[ *[0-9]+\] */, "") }
        $1 ~ names { sum += hex($5) }
        END { print sum + 0 }'
}

# Prints the sizes, and fails if one exceeds its limit.
check_sizes() { # FLASH FLASH_LIMIT RAM RAM_LIMIT
    printf '%s: flash %d bytes of %d, static RAM %d bytes of %d\n' "$me" "$@" >&2
    (($1 <= $2)) || fail "the image is too large for the flash"
    (($3 <= $4)) || fail "the image needs too much RAM"
}
