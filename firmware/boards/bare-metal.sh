# What the boards' build scripts share; to be sourced. They set `board`, the board's folder, and `target`, Rust's name for
# its processor.
#
# With rustup: its target. Without: Debian's rustc-web, cargo-web and rust-web-src build core themselves; the linker is
# rust-lld of any toolchain, or ld.lld.
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

# Sets `cargo`, the beginning of a command for the board's package, and `options`, its end; changes to the board's folder.
# Of the crates that come with Rust, as "core,alloc", the board needs these. 1: there is no Rust for it.
choose_rust() { # crates
    PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    # What the host's build has set says nothing about this target.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER RUSTUP_TOOLCHAIN RUSTC CARGO RUSTDOC
    folder="${CARGO_TARGET_DIR:-$board/../../../target}/boards"
    mkdir -p "$folder"
    folder="$(cd "$folder" && pwd)"
    export CARGO_TARGET_DIR="$folder"
    cd "$board" || fail "there is no $board"
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
        fail "no Rust for $target: rustup target add $target, or Debian's rustc-web, cargo-web and rust-web-src"
    if [[ "${cargo[0]}" == /usr/bin/cargo ]]; then
        lld="$(linker)" || fail "there is no rust-lld and no ld.lld: install Debian's lld"
        variable="CARGO_TARGET_${target^^}_LINKER"
        export "${variable//-/_}=$lld"
    fi
    "${cargo[@]}" build "${options[@]}" >&2
    image="$folder/$target/release/comptoir-${board##*/}"
    [[ -f "$image" ]] || fail "there is no $image"
}

# Clippy for the board's package, or the compiler alone, with a word, where its Rust has no Clippy; left out where there is no
# Rust for it.
lint() { # crates
    if ! choose_rust "$1"; then
        printf '%s: %s is left out: no Rust for %s\n' "$me" "${board##*/}" "$target" >&2
        return
    fi
    if [[ "${cargo[0]}" == /usr/bin/cargo ]]; then
        # By its path: cargo itself would take rustup's, which is another version's.
        cargo=(env CARGO=/usr/bin/cargo /usr/bin/cargo-clippy)
    fi
    if ! "${cargo[@]}" clippy --version >/dev/null 2>&1; then
        printf '%s: %s: checked without Clippy, which the Rust for %s has not\n' "$me" "${board##*/}" "$target" >&2
        [[ "${cargo[0]}" != env ]] || cargo=(/usr/bin/cargo)
        RUSTFLAGS="-D warnings" "${cargo[@]}" check "${options[@]}"
        return
    fi
    "${cargo[@]}" clippy "${options[@]}" -- -D warnings
}

# The sizes of the ELF's sections whose names match, summed up.
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

# Prints the sizes; too large is an error.
check_sizes() { # flash, its limit, RAM, its limit
    printf '%s: flash %d bytes of %d, static RAM %d bytes of %d\n' "$me" "$@" >&2
    (($1 <= $2)) || fail "the image is too large for the flash"
    (($3 <= $4)) || fail "the image needs too much RAM"
}
