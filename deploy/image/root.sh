#!/usr/bin/env bash
# Builds an arm64 Debian root as a tar archive in the cache, and prints its path. An archive that this version of the
# script has built is reused.
#
#   root.sh image [--fresh]      the base of the image: Debian 13 with the kernel of its backports, which is Debian's first
#                                with a driver for RP1 (a Pi 5's Ethernet and USB are behind it), and with Debian 14's boot
#                                firmware, because newer Pi 4s refuse Debian 13's, of April 2024
#   root.sh package [--fresh]    the base for tests of the package: Debian 12, its oldest supported release; no kernel
#
# --fresh                 rebuild the archive, with today's security updates
# COMPTOIR_MIRROR         for machines whose package sources are not Debian's: the URL of a Debian mirror and, after a
#                         space, of a mirror of its security updates
#
# Requires root rights, mmdebstrap and QEMU user emulation (install-dependencies.sh image).
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
readonly here
readonly cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}"

fail() {
    printf 'root: %s\n' "$*" >&2
    exit 1
}
usage() {
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "${1:-}" == --help || "${1:-}" == -h ]] && exit 0 || exit 2
}
case "${1:-}" in
image) suite=trixie kernels=trixie-backports firmware=forky ;;
package) suite=bookworm kernels='' firmware='' ;;
*) usage "$@" ;;
esac
[[ "${2:-}" == "" || "${2:-}" == --fresh ]] || usage "$2"
((EUID == 0)) || fail "root rights are required, because the files belong to many users"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing; run: deploy/install-dependencies.sh image"

name="root-$1-$(sha256sum "$0" | cut -c 1-12)"
readonly archive="$cache/$name.tar"
if [[ -e "$archive" && "${2:-}" != --fresh ]]; then
    printf '%s\n' "$archive"
    exit
fi
mkdir -p "$cache"

# The mirrors of this machine, whatever its Debian release, with the component that contains the Pi's firmware.
sources="$(mktemp)"
trap 'rm -f "$sources" "$archive.part"' EXIT
suites() { # mirror, suffixes
    local mirror="$1" suffix
    shift
    for suffix; do printf 'deb %s %s%s main non-free-firmware\n' "$mirror" "$suite" "$suffix"; done
    [[ -n "$kernels" && "$1" == "" ]] || return 0
    printf 'deb %s %s main\n' "$mirror" "$kernels"
    # Only this component of that suite. Mirrors of testing may lag behind its expiry date, so the date is not checked.
    # The signature is, and deploy/image/test checks the firmware's own date.
    printf 'deb [check-valid-until=no] %s %s non-free-firmware\n' "$mirror" "$firmware"
}
if [[ -n "${COMPTOIR_MIRROR:-}" ]]; then
    read -r mirror security <<<"$COMPTOIR_MIRROR"
    suites "$mirror" "" -updates >"$sources"
    [[ -z "$security" ]] || suites "$security" -security >>"$sources"
else
    apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(ORIGIN) \$(COMPONENT)" 'Created-By: Packages' |
        while read -r uri release origin component; do
            [[ "$origin $component" == "Debian main" ]] || continue
            case "$release" in
            *-backports*) ;;
            *-updates) suites "$uri" -updates ;;
            *-security) suites "$uri" -security ;;
            *) suites "$uri" "" ;;
            esac
        done | sort -u >"$sources"
fi
[[ -s "$sources" ]] ||
    fail "this machine's package sources are not Debian's; set COMPTOIR_MIRROR, for example to http://host/debian"

packages=(
    # the system
    systemd-sysv systemd-timesyncd systemd-resolved libpam-systemd dbus udev kmod iproute2 ca-certificates tzdata
    # automatic security updates, and verification of the gateway's own packages
    unattended-upgrades minisign
    # growing and checking file systems
    e2fsprogs dosfstools fdisk
    # the gateway's MQTT broker, and its clients for troubleshooting
    mosquitto mosquitto-clients nftables
    # the network: Wi-Fi, the name comptoir.local
    wpasupplicant wireless-regdb libnss-mdns avahi-daemon
    # remote administration, off unless comptoir.txt contains a key
    openssh-server
    # kernel and firmware
    ${kernels:+initramfs-tools linux-image-arm64 raspi-firmware firmware-brcm80211}
)
include="$(IFS=,; printf '%s' "${packages[*]}")"

# MODULES=list and gzip -1, because the default scans every module and compresses with zstd, which takes more than ten
# minutes under emulation. The list contains every driver between a board's processor and a root on its SD card or a USB
# disk, beginning with the regulators of the card slot, and the same for QEMU's "virt". deploy/image/test checks it
# against the kernel's own device trees.
read -r -d '' prepare <<'END' || true
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/boot/firmware" "$1/etc/apt/preferences.d"
printf 'Package: %s\nPin: release n=%s\nPin-Priority: %s\n\n' \
    '/^linux-(image|modules|base|binary)/' '*-backports' 600 raspi-firmware forky 600 '*' forky -1 \
    >"$1/etc/apt/preferences.d/comptoir-kernel"
printf 'MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\nFSTYPE=ext4\n' >"$1/etc/initramfs-tools/conf.d/comptoir"
printf '%s\n' ext4 crc32c vfat nls_cp437 nls_ascii mmc_block sdhci_iproc sdhci_brcmstb bcm2835 fixed gpio_regulator \
    reset_raspberrypi pinctrl_brcmstb_bcm2712 gpio_brcmstb irq_bcm2712_mip rp1_pci clk_rp1 pinctrl_rp1 pcie_brcmstb \
    xhci_pci xhci_plat_hcd dwc2 dwc3 phy_generic usb_storage uas sd_mod \
    virtio_pci virtio_mmio virtio_blk virtio_net >"$1/etc/initramfs-tools/modules"
END

printf 'root: building %s; this takes some minutes under emulation\n' "$archive" >&2
"$here/../arm/with-arm.sh" mmdebstrap --mode=root --format=tar --arch=arm64 --variant=minbase --include="$include" \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-include=/usr/share/doc/comptoir-gateway/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --extract-hook="$prepare" \
    "$suite" "$archive.part" "$sources" >&2
mv "$archive.part" "$archive"
printf '%s\n' "$archive"
