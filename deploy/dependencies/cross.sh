# shellcheck shell=bash
# The tools for ARM binaries and for the Raspberry Pi image.

has_rustup_targets() {
    has rustup && [[ "$(rustup target list --installed 2>/dev/null |
        grep -cxE 'aarch64-unknown-linux-gnu|armv7-unknown-linux-gnueabihf')" == 2 ]]
}

# lld 15 or later packs relocations; Debian 12's default lld is 14.
has_packing_lld() {
    compgen -G '/usr/lib/llvm-1[5-9]/bin/ld.lld' >/dev/null || compgen -G '/usr/lib/llvm-[2-9][0-9]/bin/ld.lld' >/dev/null
}

look_for_cross_tools() {
    local architecture
    for architecture in aarch64-linux-gnu arm-linux-gnueabihf; do
        has "$architecture-gcc" || missing "a C cross compiler, $architecture" "gcc-$architecture"
        has "$architecture-g++" || missing "a C++ cross compiler, $architecture" "g++-$architecture"
    done
    [[ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ]] || missing "arm64's C library" libc6-dev-arm64-cross
    [[ -e /usr/arm-linux-gnueabihf/lib/libc.so.6 ]] || missing "armv7's C library" libc6-dev-armhf-cross
    # The static variant also works inside another root directory.
    has qemu-aarch64-static qemu-arm-static || missing "QEMU user emulation" qemu-user-static
    # rustup's toolchains have their own linker.
    ! has_rustup_targets || return 0
    [[ -x /usr/bin/rustc && -x /usr/bin/cargo ]] || {
        missing "Debian's Rust" rustc-web
        missing "Debian's Cargo" cargo-web
    }
    compgen -G '/usr/src/rustc-*/library/Cargo.toml' >/dev/null || missing "Rust's source" rust-web-src
    has_packing_lld || missing "a linker that packs relocations" lld-19
}

look_for_image_tools() {
    has mmdebstrap arch-test || {
        missing mmdebstrap mmdebstrap
        missing "mmdebstrap's test for foreign architectures" arch-test
    }
    has mcopy mformat || missing mtools mtools
    has_service mkfs.vfat || missing mkfs.vfat dosfstools
    has_service mke2fs || missing mke2fs e2fsprogs
    has_service sfdisk || missing sfdisk fdisk
    has xz || missing xz xz-utils
    has dtc fdtoverlay || missing "the device tree compiler" device-tree-compiler
    # QEMU has the Raspberry Pi 4 since version 9.0.
    [[ "$(qemu-system-aarch64 -machine help 2>/dev/null)" == *raspi4b* ]] ||
        missing "QEMU for arm64 with a Raspberry Pi 4" qemu-system-arm
}
