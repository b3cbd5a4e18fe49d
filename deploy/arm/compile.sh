# shellcheck shell=bash
# Compiling and linking with each toolchain.

# PACKAGE:BINARY. cargo rustc takes linker arguments for one binary at a time.
readonly -a binaries=(comptoir-gateway:gateway comptoir-sim:pos-sim)

# librdkafka's configure ignores Rust's target and reads CC, CXX and AR. With these set, build-time code (sqlx's macros,
# which contain SQLite) needs HOST_CC, HOST_CXX and HOST_AR. RUSTFLAGS in the environment, even empty, would override
# the target's flags.
#
# C is compiled without unwind tables: no panic unwinds through C, because the callbacks catch it. Each function has its
# own section, so that the linker can drop unused ones.
cross_environment() {
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    export CC="$gnu-gcc" CXX="$gnu-g++" AR="$gnu-ar" HOST_CC=gcc HOST_CXX=g++ HOST_AR=ar
    export CFLAGS="-ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables"
    export "CARGO_TARGET_${capitals}_LINKER=$gnu-gcc"
}

# lld packs the relocations of a position-independent executable to a thirtieth of their size (glibc 2.36 or later reads
# that format), and merges identical functions. Debian 12's GNU ld does neither on ARM, and its lld 14 cannot pack.
readonly least_lld=15

# Prints the folder of a suitable ld.lld, for -B: a cross compiler does not look for it on the PATH.
lld_folder() { # folder to try first, or nothing
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

link_arguments() { # folder to try first, or nothing
    local folder
    if ! folder="$(lld_folder "$1")"; then
        say "there is no lld $least_lld or later (Debian: lld-19), so the binaries get larger"
        return
    fi
    printf '%s\n' "-Clink-arg=-B$folder" -Clink-arg=-fuse-ld=lld -Clink-arg=-Wl,-z,pack-relative-relocs,--icf=safe
}

build_each() { # folder to try first for ld.lld, or nothing; cargo and its arguments
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
    # The containers have no Node.js, and see only the workspace. The path is relative to gateway/.
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
    # Absolute paths of Cargo and rustc, because rustup's may come first on the PATH.
    export RUSTC=/usr/bin/rustc
    unset RUSTUP_TOOLCHAIN
    sysroot=
    if [[ "$debian" == arm64 ]] && sysroot="$(arm64_sysroot)"; then
        export "CARGO_TARGET_${capitals}_RUSTFLAGS=--sysroot=$sysroot"
        build_each "" /usr/bin/cargo
    else
        # Without a matching package (Debian has none for armhf), the standard library is built from its source. A
        # stable compiler does this only with RUSTC_BOOTSTRAP.
        say "also building the standard library, from $(debian_source)"
        export RUSTC_BOOTSTRAP=1
        build_each "" /usr/bin/cargo -Zbuild-std=std,panic_abort
    fi
)
