# shellcheck shell=bash
# An architecture's names, and which toolchain can build for it.

# Sets the names of an architecture for Rust, GNU, Debian and QEMU.
set_names() {
    case "$1" in
    arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu debian=arm64 qemu=aarch64 ;;
    armv7) triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf debian=armhf qemu=arm ;;
    *) fail "\"$1\" is not an architecture; write arm64 or armv7" ;;
    esac
    capitals="${triple//-/_}"
    capitals="${capitals^^}"
}

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
        *) fail "COMPTOIR_ARM_TOOLCHAIN: \"$COMPTOIR_ARM_TOOLCHAIN\" is not a toolchain; write rustup, cross or debian" ;;
        esac
        "can_$COMPTOIR_ARM_TOOLCHAIN" || fail "the toolchain $COMPTOIR_ARM_TOOLCHAIN is incomplete for $1; deploy/install-dependencies.sh arm installs debian's"
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
    can_debian || fail "there is no toolchain for $1; see --help"
    printf 'debian'
}
