#!/usr/bin/env bash
# Makes an arm64 Debian root: a tar archive in the cache. Prints its path. Does nothing else when the archive of this very
# script is there.
#
#   root.sh image [--fresh]      what the image is built on: Debian 13, with the kernel of its backports, the first of
#                                Debian's with a driver for RP1, behind which a Pi 5's Ethernet and USB are, and with
#                                Debian 14's boot firmware: Debian 13's is of April 2024, and later Pi 4s refuse it
#   root.sh package [--fresh]    what the package is tested in: Debian 12, the oldest that it is for; without a kernel
#
# --fresh                 make it anew, with today's security updates
# COMPTOIR_MIRROR         where this machine's own package sources are not Debian's: the address of a Debian mirror and,
#                         after a space, of one of its security updates
#
# Root rights, mmdebstrap and QEMU's user mode are needed (install-dependencies.sh image).
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
((EUID == 0)) || fail "root rights are needed: the files belong to many users"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: deploy/install-dependencies.sh image"

name="root-$1-$(sha256sum "$0" | cut -c 1-12)"
readonly archive="$cache/$name.tar"
if [[ -e "$archive" && "${2:-}" != --fresh ]]; then
    printf '%s\n' "$archive"
    exit
fi
mkdir -p "$cache"

# The mirrors that this machine itself uses, whatever its Debian, with the component of the Pi's firmware.
sources="$(mktemp)"
trap 'rm -f "$sources" "$archive.part"' EXIT
suites() { # mirror, suffixes
    local mirror="$1" suffix
    shift
    for suffix; do printf 'deb %s %s%s main non-free-firmware\n' "$mirror" "$suite" "$suffix"; done
    [[ -n "$kernels" && "$1" == "" ]] || return 0
    printf 'deb %s %s main\n' "$mirror" "$kernels"
    # Only this component: apt sees nothing else of that suite. Mirrors of testing may lag behind its expiry date; the
    # signature is checked all the same, and deploy/image/test checks the firmware's own date.
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
    fail "this machine's package sources are not Debian's: name a mirror in COMPTOIR_MIRROR, as http://host/debian"

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
    ${kernels:+initramfs-tools linux-image-arm64 raspi-firmware firmware-brcm80211}
)
include="$(IFS=,; printf '%s' "${packages[*]}")"

# MODULES=list, gzip -1: the default looks through every module and packs with zstd, over ten minutes when emulated.
# The list is what stands between each board and a root on its SD card or a USB disk, from the regulators that power the
# slot upwards, and the same for QEMU's "virt". deploy/image/test checks it against the kernel's own device trees.
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
