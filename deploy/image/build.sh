#!/usr/bin/env bash
# Builds the Raspberry Pi image, comptoir-arm64.img.xz, from Debian's packages and Comptoir's, without loop devices.
#
#   deploy/image/build.sh [PACKAGE.deb]     default: the arm64 package, which deploy/debian/build.sh arm64 builds
#
# COMPTOIR_IMAGE_PACK=no: do not compress the image, for make test-image. An existing compressed image is deleted.
#
# comptoir-arm64.cdx.json lists the Debian packages in the image; deploy/sign.sh signs the compressed image.
#
# Requires root rights, because the files belong to many users. The image is written to target/image, or
# $COMPTOIR_IMAGE_FOLDER; the uncompressed .img stays next to it, for `make test-image`.
#
# Partitions (MBR, for the Pi 3's firmware): boot (FAT: firmware, two kernels, comptoir.txt) and root (ext4). The first
# start grows the root and adds a third partition for the journal, so that no other file can fill the journal's disk.
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
top="$(cd "$here/../.." && pwd)"
readonly here top folder="${COMPTOIR_IMAGE_FOLDER:-$top/target/image}"
readonly boot_mib=512 spare_mib=200 largest_bytes=400000000

say() { printf 'image: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}
case "${1:-}" in
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
((EUID == 0)) || fail "root rights are required"
PATH="$PATH:/usr/sbin:/sbin"
for tool in mmdebstrap mcopy mkfs.vfat mke2fs sfdisk dtc xz; do
    command -v "$tool" >/dev/null || fail "$tool is missing; run: deploy/install-dependencies.sh image"
done
package="${1:-}"
[[ -n "$package" ]] || package="$("$top/deploy/debian/build.sh" arm64)"
[[ -r "$package" ]] || fail "$package: there is no such file"
[[ "$(dpkg-deb --field "$package" Architecture)" == arm64 ]] || fail "$package is not for arm64"

mkdir -p "$folder"
work="$(mktemp -d "$folder/work.XXXXXX")"
trap 'rm -rf --one-file-system "$work"' EXIT
readonly root="$work/root"
archive="$("$here/root.sh" image)"

# ---- the root's files ----

# shellcheck disable=SC2016 # the inner shell's
read -r -d '' fill <<'END' || true
set -euo pipefail
root=$1 archive=$2 package=$3 files=$4 overlay=$5
mkdir "$root"
# Devices cannot be created in a namespace; the machine's own are mounted instead.
tar -C "$root" -xf "$archive" --numeric-owner --exclude './dev/?*'
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
# No service may start inside.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$package" "$root/package.deb"
# The image must not name the mirror of the build machine.
rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }
# /usr/lib/comptoir/boot-files replaces raspi-firmware's own hooks, which overwrite the kernel in use.
for hook in kernel/postinst.d kernel/postrm.d initramfs/post-update.d; do
    in_root dpkg-divert --quiet --local --rename --add "/etc/$hook/z50-raspi-firmware"
done
# The installation of raspi-firmware overwrites start4.elf in place, so a power cut would leave a Pi that does not
# start. New boot firmware comes with a new image.
in_root apt-mark hold raspi-firmware
cp -rT "$files" "$root"
# cp created the files with this machine's owner and umask.
find "$files" -mindepth 1 -printf '/%P\0' | (cd "$root" && xargs -0 -I{} sh -c 'chown root:root "$1/$2"' _ "$root" {})
in_root dpkg --install /package.deb </dev/null
in_root systemctl --quiet enable comptoir-first-boot comptoir-settings systemd-networkd systemd-resolved \
    systemd-timesyncd mosquitto avahi-daemon ssh comptoir-gateway comptoir-backup.timer \
    comptoir-certificate.timer comptoir-firewall comptoir-setup-code.path comptoir-setup-code.service \
    comptoir-forget-passwords.timer
in_root systemctl --quiet disable wpa_supplicant
# Nothing in the image has to wait for the network to be online.
in_root systemctl --quiet mask systemd-networkd-wait-online
in_root passwd --quiet --lock root
# Mosquitto logs to the system journal, which has a size limit; no log rotation is installed.
sed -i 's/^log_dest file .*/log_dest stderr/' "$root/etc/mosquitto/mosquitto.conf"
grep -q '^log_dest stderr' "$root/etc/mosquitto/mosquitto.conf"
# The first start generates everything that must be unique: keys, passwords, the machine id.
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/comptoir/secrets.env" "$root/etc/mosquitto/comptoir.passwords"
# Also removes the TLS listener, because Mosquitto does not start without its certificate.
rm -rf "$root/etc/mosquitto/comptoir-tls" "$root/etc/mosquitto/conf.d/comptoir-tls.conf"
rm -f "$root/etc/machine-id" "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
: >"$root/etc/machine-id"
# Fill the boot partition: firmware, kernel and command line.
mkdir -p "$root/usr/lib/comptoir/overlays"
install -m 0644 "$overlay" "$root/usr/lib/comptoir/overlays/bcm2712d0.dtbo"
printf 'Overlays for the kernel in the folder above; see /usr/lib/comptoir/boot-files.\n' \
    >"$root/usr/lib/comptoir/overlays/README"
mv "$root/boot/firmware/comptoir.txt" "$root/boot/comptoir.txt"
rm -rf "$root"/boot/firmware/*
mv "$root/boot/comptoir.txt" "$root/boot/firmware/comptoir.txt"
cp "$root"/usr/lib/raspi-firmware/{bootcode.bin,start*.elf,fixup*.dat} "$root/boot/firmware"
in_root /usr/lib/comptoir/boot-files
rm -rf "$root/package.deb" "$root/usr/sbin/policy-rc.d" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
    "$root"/var/log/*.log "$root"/var/log/apt "$root"/tmp/* "$root"/var/tmp/*
# The mount point of the journal's file system, which the first start creates.
rm -rf "$root/var/lib/comptoir"
install -d -m 0755 "$root/var/lib/comptoir"
# The DNS servers come from DHCP.
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
END
dtc -q -@ -I dts -O dtb -o "$work/bcm2712d0.dtbo" "$here/bcm2712d0.dts"
say "installing ${package##*/} into the root"
"$here/../arm/with-arm.sh" bash -c "$fill" fill "$root" "$archive" "$package" "$here/files" \
    "$work/bcm2712d0.dtbo" >"$work/log" 2>&1 || {
    tail -n 30 "$work/log" >&2
    fail "the package could not be installed into the root"
}

sbom="$folder/comptoir-arm64.cdx.json"
"$top/deploy/sbom.py" image "$root" >"$sbom"
install -m 0644 "$sbom" "$root/usr/share/doc/comptoir-gateway/image.cdx.json"

# ---- the file systems ----

# mke2fs would copy the files below a mount point, and rm would delete them.
! grep -qF " $work/" /proc/self/mountinfo || fail "something is mounted below $work"
say "creating the file systems"
truncate -s "${boot_mib}M" "$work/boot.img"
mkfs.vfat -n COMPTOIR "$work/boot.img" >/dev/null
mcopy -s -i "$work/boot.img" "$root"/boot/firmware/* ::
rm -rf "$root"/boot/firmware/*

# A full-size ext4 journal even on a small file system, because people normally turn the Pi off by pulling the plug.
root_mib=$(($(du -sxm --apparent-size "$root" | cut -f 1) * 115 / 100 + spare_mib))
mke2fs -q -t ext4 -L comptoir-root -J size=32 -E resize=33554432 -d "$root" "$work/root.img" "${root_mib}M"

# ---- one disk ----

say "assembling the disk"
readonly image="$folder/comptoir-arm64.img"
rm -f "$image" "$image".xz*
truncate -s "$((4 + boot_mib + root_mib + 4))M" "$image"
# Partitions begin at 4 MiB, a multiple of a card's erase block.
sfdisk --quiet "$image" <<END
label: dos
start=4MiB, size=${boot_mib}MiB, type=c, bootable
start=$((4 + boot_mib))MiB, size=${root_mib}MiB, type=83
END
at=4
for part in boot:$boot_mib root:$root_mib; do
    dd if="$work/${part%%:*}.img" of="$image" bs=1M seek="$at" conv=notrunc,sparse status=none
    at=$((at + ${part#*:}))
done

if [[ "${COMPTOIR_IMAGE_PACK:-yes}" == no ]]; then
    printf '%s\n' "$image"
    exit
fi
say "compressing"
# Level 3 with all cores: level 6 takes several times as long to save a few per cent.
xz --threads=0 -"${COMPTOIR_XZ_LEVEL:-3}" --keep --force "$image"
(cd "$folder" && sha256sum "${image##*/}.xz" >"${image##*/}.xz.sha256")
size="$(stat -c %s "$image.xz")"
say "$(stat -c %s "$image") bytes, compressed $size"
((size < largest_bytes)) || fail "the compressed image has $size bytes; the limit is $largest_bytes"
printf '%s\n' "$image.xz"
