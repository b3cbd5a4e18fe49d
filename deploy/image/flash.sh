#!/usr/bin/env bash
# Writes the image to a card: shows what the device is, asks, writes, reads back and compares.
#
#   deploy/image/flash.sh DEVICE [IMAGE.img.xz]     DEVICE: /dev/sdX, /dev/mmcblk0
#
#   --yes before DEVICE: does not ask (for a device that holds no mounted file system)
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
fail() {
    printf 'flash: %s\n' "$*" >&2
    exit 1
}
usage() { sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"; }
ask=yes
case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
--yes)
    ask=
    shift
    ;;
esac
[[ -n "${1:-}" ]] || {
    usage >&2
    printf '\nDevices here:\n' >&2
    lsblk --nodeps --output NAME,SIZE,MODEL,TRAN,RM >&2 || true
    exit 2
}
device="$1"
image="${2:-${COMPTOIR_IMAGE_FOLDER:-$top/target/image}/comptoir-arm64.img.xz}"
[[ -r "$image" ]] || fail "$image is missing: make image"

as_root() { if ((EUID == 0)) || [[ -f "$device" ]]; then "$@"; else sudo "$@"; fi; }
# A bar with percentage, rate and time left, on a terminal. Without pv there is none.
meter() { if command -v pv >/dev/null; then pv --size "$bytes" --name "$1"; else cat; fi; }
# Past this machine's memory, or the bar would say what has been remembered and not what has been written.
direct=()
# A plain file is for trying this script out.
if [[ -b "$device" ]]; then
    direct=(oflag=direct)
    name="$(basename "$(readlink -f "$device")")"
    [[ ! -e "/sys/class/block/$name/partition" ]] ||
        fail "$device is a partition; the whole device is wanted, without the number at its end"
    size="$(($(cat "/sys/class/block/$name/size") * 512))"
    model="$(lsblk --nodeps --noheadings --output VENDOR,MODEL "$device" | xargs)"
    # Every file system of it, not only of its first partition; and swap.
    mounted="$(lsblk --noheadings --output MOUNTPOINT "$device" | grep . | head -n 3 | xargs)" || true
    [[ -z "$mounted" ]] || fail "$device is in use ($mounted): unmount it first, if it is the right one"
elif [[ -f "$device" ]]; then
    size="$(stat -c %s "$device")"
    model="a file"
else
    fail "$device: no such device"
fi

# xz keeps the length in the file's index.
bytes="$(xz --robot --list "$image" | awk '$1 == "totals" { print $5 }')"
((bytes <= size)) || fail "$device has $((size / 1000000)) MB, and the image needs $((bytes / 1000000)) MB"

printf 'Device:  %s\nModel:   %s\nSize:    %s.%s GB\nImage:   %s (%s MB)\n' "$device" "${model:-not known}" \
    "$((size / 1000000000))" "$((size / 100000000 % 10))" "$image" "$((bytes / 1000000))"
if [[ -n "$ask" ]]; then
    printf '\nEVERYTHING ON IT IS OVERWRITTEN. Type the name of the device to go on: '
    read -r answer || answer=
    [[ "$answer" == "$device" || "$answer" == "${device##*/}" ]] || fail "nothing was written"
fi

xz --decompress --stdout "$image" | meter writing |
    as_root dd of="$device" bs=4M iflag=fullblock "${direct[@]}" conv=fsync,notrunc status=none ||
    fail "$device holds a part of the image: $image is damaged, or the card is"
sync
# From the card itself, not from this machine's memory.
if [[ -b "$device" ]]; then
    as_root blockdev --flushbufs "$device" 2>/dev/null || true
fi
if as_root head -c "$bytes" "$device" | meter 'reading back' | cmp --silent - <(xz --decompress --stdout "$image"); then
    printf 'The card holds the image. Edit comptoir.txt on its first partition, then put it into the Pi.\n'
else
    fail "$device does not hold what was written: the card, or its reader, is bad"
fi
