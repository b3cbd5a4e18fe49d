#!/usr/bin/env bash
# Upgrades the kernel of a simulated card with deploy/image/files/usr/lib/comptoir/boot-files, and cuts the power at
# each command that writes: the folder that config.txt selects must be complete, and a second run must finish the work.
#
#   deploy/test/boot-files.sh
#
# make test-image tests the order in which a real FAT file system writes to the card.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/common.sh"
readonly files="$here/../image/files"
readonly program="$files/usr/lib/comptoir/boot-files"
readonly root="$work/root"
readonly boot="$root/boot/firmware"

# ---- the power cut: writing command number $CUT does not run; if it is cp, it stops after five bytes ----

mkdir "$work/bin"
for command in cp mkdir mv rm sync; do
    # shellcheck disable=SC2016 # the shim's
    printf '#!/bin/bash
number=$(($(cat "$COUNTER") + 1)); echo "$number" >"$COUNTER"
if [[ "${CUT:-}" == "$number" ]]; then
    [[ "${0##*/}" != cp ]] || head -c 5 "$1" >"$2"
    kill -KILL "$PPID"
    exit 1
fi
exec %s "$@"
' "$(command -v "$command")" >"$work/bin/$command"
done
chmod +x "$work"/bin/*
# Without standard error, on which the waiting shell prints "Killed".
run() (
    echo 0 >"$work/counter"
    env BOOT_FILES_ROOT="$root" COUNTER="$work/counter" PATH="$work/bin:$PATH" "$@" "$program" >"$work/output" 2>&1
    exit
) 2>/dev/null

# ---- the card ----

install_kernel() { # version
    printf 'kernel %s' "$1" >"$root/boot/vmlinuz-$1"
    printf 'initramfs %s' "$1" >"$root/boot/initrd.img-$1"
    mkdir -p "$root/usr/lib/linux-image-$1/broadcom"
    for tree in bcm2837-rpi-3-b bcm2711-rpi-4-b bcm2712-rpi-5-b; do
        printf '%s %s' "$tree" "$1" >"$root/usr/lib/linux-image-$1/broadcom/$tree.dtb"
    done
}
make_card() {
    rm -rf "$root"
    mkdir -p "$boot" "$root/etc" "$root/usr/lib/comptoir/overlays"
    cp -r "$files/etc/comptoir" "$root/etc/comptoir"
    echo overlay >"$root/usr/lib/comptoir/overlays/bcm2712d0.dtbo"
    echo readme >"$root/usr/lib/comptoir/overlays/README"
    install_kernel 7.3.4
    run || fail "the first kernel was not put onto the card"
}
folder_in_use() { sed -n 's#^os_prefix=\(.*\)/$#\1#p' "$boot/config.txt"; }
version_in() { # folder; fails unless it has all files that the firmware loads, of one version
    local version name
    version="$(sed -n 's/^kernel //p' "$boot/$1/vmlinuz")"
    for name in vmlinuz initrd.img; do
        cmp --silent "$root/boot/$name-$version" "$boot/$1/$name" || return 1
    done
    for name in bcm2837-rpi-3-b bcm2711-rpi-4-b bcm2712-rpi-5-b; do
        cmp --silent "$root/usr/lib/linux-image-$version/broadcom/$name.dtb" "$boot/$1/$name.dtb" || return 1
    done
    cmp --silent "$root/etc/comptoir/boot/cmdline.txt" "$boot/$1/cmdline.txt" || return 1
    for name in README bcm2712d0.dtbo; do
        cmp --silent "$root/usr/lib/comptoir/overlays/$name" "$boot/$1/overlays/$name" || return 1
    done
    printf '%s' "$version"
}
starts() { # versions; fails unless the Pi would start one of them
    local found
    found="$(version_in "$(folder_in_use)")" || fail "the folder in config.txt is incomplete ($cut): $(cat "$boot/config.txt")"
    [[ " $* " == *" $found "* ]] || fail "the Pi would start $found ($cut)"
}
cut="no cut"

# ---- an upgrade keeps the previous kernel ----

make_card
is "the first folder" "$(folder_in_use)" a
starts 7.3.4
grep -qx 'kernel=vmlinuz' "$boot/config.txt" || fail "config.txt names no kernel"
install_kernel 7.3.10
run || fail "the upgrade failed"
is "after an upgrade" "$(folder_in_use)" b
starts 7.3.10
is "the kernel before" "$(version_in a)" 7.3.4
writes="$(cat "$work/counter")"
run || fail "the second run failed"
is "writes of a second run" "$(cat "$work/counter")" 0

# ---- a changed initramfs or command line goes into the other folder, too; a removed kernel is not started ----

echo more >>"$root/boot/initrd.img-7.3.10"
run
is "after update-initramfs" "$(folder_in_use)" a
starts 7.3.10
echo 'console=tty0 root=LABEL=other' >"$root/etc/comptoir/boot/cmdline.txt"
run
is "after a new command line" "$(folder_in_use)" b
starts 7.3.10
rm "$root/boot/vmlinuz-7.3.10" "$root/boot/initrd.img-7.3.10"
run
is "after a removal" "$(folder_in_use)" a
starts 7.3.4

# ---- a hook that is called too early, or for another reason, changes nothing ----

install_kernel 7.4.0
run DEB_MAINT_PARAMS="'upgrade'" && run INITRAMFS_TOOLS_KERNEL_HOOK=1
starts 7.3.4
rm -r "$root/usr/lib/linux-image-7.4.0"
! run || fail "a kernel without device trees was accepted"
starts 7.3.4

# ---- a power cut at each write ----

for ((number = 1; number <= writes; number++)); do
    make_card
    cut="power cut at write $number of $writes"
    install_kernel 7.3.10
    ! run CUT="$number" || fail "there was no $cut"
    starts 7.3.4 7.3.10
    run || fail "the run afterwards failed ($cut)"
    starts 7.3.10
    is "the kernel before ($cut)" "$(version_in a)" 7.3.4
done

# ---- a card that is full or loses data ----

make_card
install_kernel 7.3.10
# shellcheck disable=SC2016 # the shim's
printf '#!/bin/bash\n%s "$@"\nprintf x >"${!#}"\n' "$(command -v cp)" >"$work/bin/cp"
! run || fail "damaged files were accepted"
starts 7.3.4
printf '#!/bin/bash\nexit 1\n' >"$work/bin/cp"
! run || fail "files that could not be written were accepted"
starts 7.3.4
