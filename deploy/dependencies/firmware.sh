# shellcheck shell=bash
# The tools for the till on bare metal.

target_of_board() { # prints Rust's target for $board
    case "$board" in
    qemu-riscv) printf 'riscv32imac-unknown-none-elf\n' ;;
    esp32c3) printf 'riscv32imc-unknown-none-elf\n' ;;
    *) return 1 ;;
    esac
}

rust_sysroot() { rustc --print sysroot 2>/dev/null; }
has_bare_metal_target() { [[ -d "$(rust_sysroot)/lib/rustlib/$bare_metal/lib" ]]; }

# Adds the target to rustup's toolchain, if there is one and its server answers.
add_bare_metal_target() {
    if ! has rustup || ! rustup show active-toolchain >/dev/null 2>&1; then
        return 1
    fi
    say "adding to rustup's toolchain: $bare_metal"
    # Without a network rustup would wait for minutes.
    timeout 120 rustup target add "$bare_metal" </dev/null >&2 && has_bare_metal_target
}

look_for_firmware_tools() {
    if [[ "$board" == qemu-riscv ]]; then
        has qemu-system-riscv32 || missing "QEMU for RISC-V" qemu-system-misc
        has_service mosquitto || missing "Mosquitto 2" mosquitto
    fi
    ! has_bare_metal_target || return 0
    # Debian's Rust builds the core library from source. It is installed beside rustup's, which stays first on the PATH.
    local -a debian=()
    if ! is_installed rustc-web || ! is_installed cargo-web || ! is_installed rust-web-src; then
        # All three, so that they have the same version.
        debian+=("Rust for $bare_metal" rustc-web "its Cargo" cargo-web "the source of its core library" rust-web-src)
    fi
    # rustup's toolchains have a linker for bare metal; Debian's has none.
    compgen -G "$(rust_sysroot)/lib/rustlib/*/bin/rust-lld" >/dev/null || has ld.lld || debian+=("a linker for it" lld)
    ((${#debian[@]} > 0)) || return 0
    ! add_bare_metal_target || return 0
    local index
    for ((index = 0; index < ${#debian[@]}; index += 2)); do
        missing "${debian[index]}" "${debian[index + 1]}"
    done
}
