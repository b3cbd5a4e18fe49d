#!/usr/bin/env bash
# Repackages a package with another version number, for tests of upgrades and downgrades.
#
#   deploy/debian/repack.sh PACKAGE.deb VERSION OUT.deb [SCHEMA]     SCHEMA: the journal schema that it claims to support
set -euo pipefail

case "${1:-}" in
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
esac
(($# == 3 || $# == 4)) || exit 2
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
dpkg-deb --raw-extract "$1" "$work"
sed -i "s/^Version: .*/Version: $2/" "$work/DEBIAN/control"
[[ -z "${4:-}" ]] || sed -i "s/^schema_of_this=.*/schema_of_this=$4/" "$work/DEBIAN/preinst"
# Changes the default configuration, so that dpkg must ask, or keep the shop's changes.
echo "# of version $2" >>"$work/etc/comptoir/gateway.toml"
(cd "$work" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
chmod 755 "$work"
dpkg-deb --root-owner-group -Zgzip -z1 --build "$work" "$3" >/dev/null
