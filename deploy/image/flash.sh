#!/usr/bin/env bash
# Writes the image to a card: shows the device, asks for confirmation, writes, reads back and compares.
#
#   deploy/image/flash.sh [--yes] [--unsigned] DEVICE [IMAGE.img.xz]     DEVICE: for example /dev/sdX or /dev/mmcblk0
#
# --yes: do not ask for confirmation. A device with a mounted file system is still refused.
#
# An image that was not built here (IMAGE.img.xz) needs a signature, IMAGE.img.xz.minisig, that matches the key in
# deploy/release.pub or $COMPTOIR_RELEASE_KEY. --unsigned: accept an image without a signature.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
fail() {
    printf 'flash: %s\n' "$*" >&2
    exit 1
}
usage() { sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"; }
ask=yes
verify=yes
while [[ "${1:-}" == -* ]]; do
    case "$1" in
    -h | --help)
        usage
        exit 0
        ;;
    --yes) ask= ;;
    --unsigned) verify= ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    shift
done
[[ -n "${1:-}" ]] || {
    usage >&2
    printf '\nDevices on this machine:\n' >&2
    lsblk --nodeps --output NAME,SIZE,MODEL,TRAN,RM >&2 || true
    exit 2
}
device="$1"
image="${2:-${COMPTOIR_IMAGE_FOLDER:-$top/target/image}/comptoir-arm64.img.xz}"
[[ -r "$image" ]] || fail "$image is missing; run: make image"
if [[ -n "${2:-}" && -n "$verify" ]]; then
    key="${COMPTOIR_RELEASE_KEY:-$top/deploy/release.pub}"
    [[ -r "$key" ]] || fail "the public key $key is missing, so $image cannot be verified; --unsigned writes it anyway"
    [[ -r "$image.minisig" ]] || fail "$image is not signed; --unsigned writes it anyway"
    command -v minisign >/dev/null || fail "minisign is missing; run: apt-get install minisign"
    minisign -V -q -p "$key" -m "$image" >/dev/null 2>&1 || fail "$image.minisig is not a signature of $image with the key in $key; nothing was written"
fi

as_root() { if ((EUID == 0)) || [[ -f "$device" ]]; then "$@"; else sudo "$@"; fi; }
# A progress bar with percentage, rate and remaining time, if pv is installed.
meter() { if command -v pv >/dev/null; then pv --size "$bytes" --name "$1"; else cat; fi; }
# Bypasses the page cache; otherwise the bar would show cached data, not written data.
direct=()
# A regular file is accepted for tests of this script.
if [[ -b "$device" ]]; then
    direct=(oflag=direct)
    name="$(basename "$(readlink -f "$device")")"
    [[ ! -e "/sys/class/block/$name/partition" ]] ||
        fail "$device is a partition; name the whole device, without the number at the end"
    size="$(($(cat "/sys/class/block/$name/size") * 512))"
    model="$(lsblk --nodeps --noheadings --output VENDOR,MODEL "$device" | xargs)"
    # Mounted file systems and swap on any of its partitions.
    mounted="$(lsblk --noheadings --output MOUNTPOINT "$device" | grep . | head -n 3 | xargs)" || true
    [[ -z "$mounted" ]] || fail "$device is in use ($mounted); if it is the right device, unmount it first"
elif [[ -f "$device" ]]; then
    size="$(stat -c %s "$device")"
    model="a file"
else
    fail "$device: there is no such device"
fi

# The uncompressed size is in the index of the xz file.
bytes="$(xz --robot --list "$image" | awk '$1 == "totals" { print $5 }')"
((bytes <= size)) || fail "$device has $((size / 1000000)) MB, but the image needs $((bytes / 1000000)) MB"

printf 'Device:  %s\nModel:   %s\nSize:    %s.%s GB\nImage:   %s (%s MB)\n' "$device" "${model:-unknown}" \
    "$((size / 1000000000))" "$((size / 100000000 % 10))" "$image" "$((bytes / 1000000))"
if [[ -n "$ask" ]]; then
    printf '\nTHIS DELETES EVERYTHING ON THE DEVICE. Type its name to continue: '
    read -r answer || answer=
    [[ "$answer" == "$device" || "$answer" == "${device##*/}" ]] || fail "nothing was written"
fi

xz --decompress --stdout "$image" | meter writing |
    as_root dd of="$device" bs=4M iflag=fullblock "${direct[@]}" conv=fsync,notrunc status=none ||
    fail "$device contains only a part of the image: $image is damaged, or the card is"
sync
# Read back from the card itself, not from the page cache.
if [[ -b "$device" ]]; then
    as_root blockdev --flushbufs "$device" 2>/dev/null || true
fi
if as_root head -c "$bytes" "$device" | meter 'reading back' | cmp --silent - <(xz --decompress --stdout "$image"); then
    printf 'The card contains the image. Edit comptoir.txt on its first partition, then put the card into the Pi.\n'
else
    fail "$device does not contain what was written: the card or its reader is defective"
fi
