# shellcheck shell=bash
# Checks of a finished binary: its libraries, glibc version and size, and one run.

# The version in Debian 12, and in the Raspberry Pi OS based on it.
readonly newest_glibc=2.36
# A limit per binary, for the card and memory of a Pi Zero.
readonly largest_bytes=18000000

# The binary must start on the oldest supported system, without other packages.
examine() { # binary
    local library glibc size
    while read -r library; do
        case "$library" in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-*) ;;
        *) fail "$1 needs $library, which a new system does not have" ;;
        esac
    done < <(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    # Packed relocations appear as a named feature instead of a version.
    glibc="$(readelf -W --version-info "$1" | grep -o 'GLIBC_[0-9.]*\|GLIBC_ABI_DT_RELR' |
        sed 's/GLIBC_ABI_DT_RELR/GLIBC_2.36/' | cut -d _ -f 2 | sort -Vu | tail -n 1)"
    [[ "$(printf '%s\n%s\n' "$glibc" "$newest_glibc" | sort -V | tail -n 1)" == "$newest_glibc" ]] ||
        fail "$1 needs glibc $glibc, but Debian 12 has $newest_glibc"
    size="$(stat -c %s "$1")"
    ((size < largest_bytes)) || fail "$1 has $size bytes; the limit is $largest_bytes"
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
    fail "the binary cannot be run: qemu-$qemu is missing (Debian: qemu-user-static)"
}
