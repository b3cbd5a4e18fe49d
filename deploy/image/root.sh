#!/usr/bin/env bash
# Makes the arm64 Debian root that the image is built on, and that the package is tested in: a tar archive in the cache.
# Prints its path. Does nothing else when the archive of this very script is there.
#
#   root.sh [--fresh]       --fresh: make it anew, with today's security updates
#
# COMPTOIR_MIRROR         where this machine's own package sources are not Debian 12's: the address of a Debian mirror and,
#                         after a space, of one of its security updates
#
# Root rights, mmdebstrap and QEMU's user mode are needed (install-dependencies.sh image).
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
readonly here suite=bookworm
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}"

fail() {
    printf 'root: %s\n' "$*" >&2
    exit 1
}
case "${1:-}" in
"" | --fresh) ;;
*)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac
((EUID == 0)) || fail "root rights are needed: the files belong to many users"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: deploy/install-dependencies.sh image"

name="root-$(sha256sum "$0" | cut -c 1-12)"
readonly archive="$cache/$name.tar"
if [[ -e "$archive" && "${1:-}" != --fresh ]]; then
    printf '%s\n' "$archive"
    exit
fi
mkdir -p "$cache"

# The mirrors that this machine itself uses, with the component of the Pi's firmware.
sources="$(mktemp)"
trap 'rm -f "$sources" "$archive.part"' EXIT
if [[ -n "${COMPTOIR_MIRROR:-}" ]]; then
    read -r mirror security <<<"$COMPTOIR_MIRROR"
    printf 'deb %s %s main non-free-firmware\n' "$mirror" "$suite" "$mirror" "$suite-updates" \
        ${security:+"$security" "$suite-security"} >"$sources"
else
    apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(ORIGIN) \$(COMPONENT)" 'Created-By: Packages' |
        while read -r uri release origin component; do
            if [[ "$origin $component" == "Debian main" && "$release" == "$suite"* && "$release" != *-backports ]]; then
                printf 'deb %s %s main non-free-firmware\n' "$uri" "$release"
            fi
        done | sort -u >"$sources"
fi
[[ -s "$sources" ]] ||
    fail "this machine's package sources have no $suite: name a Debian mirror in COMPTOIR_MIRROR, as http://host/debian"

packages=(
    # the system
    systemd-sysv systemd-timesyncd systemd-resolved libpam-systemd dbus udev kmod iproute2 ca-certificates tzdata
    # disk: growing, checking
    e2fsprogs dosfstools fdisk
    # the gateway's MQTT broker, and its clients for whoever looks for a fault
    mosquitto mosquitto-clients
    # the network: Wi-Fi, the name comptoir.local
    wpasupplicant wireless-regdb libnss-mdns avahi-daemon
    # administration from afar, off unless a key is given
    openssh-server
    # kernel and firmware
    initramfs-tools linux-image-arm64 raspi-firmware firmware-brcm80211
)
include="$(IFS=,; printf '%s' "${packages[*]}")"

# MODULES=list, gzip -1: the default looks through every module and packs with zstd, over ten minutes when emulated.
# The list is what the boards' disks need, and QEMU's.
read -r -d '' prepare <<'END' || true
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/boot/firmware"
printf 'MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\nFSTYPE=ext4\n' >"$1/etc/initramfs-tools/conf.d/comptoir"
printf '%s\n' ext4 crc32c vfat nls_cp437 nls_ascii mmc_block sdhci_iproc sdhci_brcmstb bcm2835 reset_raspberrypi \
    usb_storage uas xhci_pci pcie_brcmstb virtio_pci virtio_mmio virtio_blk virtio_net >"$1/etc/initramfs-tools/modules"
END

printf 'root: making %s; it takes some minutes under emulation\n' "$archive" >&2
"$here/../arm/with-arm.sh" mmdebstrap --mode=root --format=tar --arch=arm64 --variant=minbase --include="$include" \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --extract-hook="$prepare" \
    "$suite" "$archive.part" "$sources" >&2
mv "$archive.part" "$archive"
printf '%s\n' "$archive"
