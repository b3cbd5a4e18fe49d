#!/usr/bin/env bash
# Runs a command on a machine that can start ARM programs (chroot into an arm64 root, dpkg's scripts in it).
#
#   with-arm.sh COMMAND [ARGUMENT...]
#
# The command gets a mount namespace of its own: what it mounts is gone with it, and nothing outside changes. Where the
# kernel already starts such programs (Debian's qemu-user-static with systemd, or an ARM machine) that is all. Elsewhere
# it also gets a user namespace with a binfmt_misc of its own, which needs Linux 6.7 or newer. Root rights are needed.
set -euo pipefail

fail() {
    printf 'with-arm: %s\n' "$*" >&2
    exit 1
}
case "${1:-}" in
"" | -h | --help)
    sed -n 's/^# \{0,1\}//; 2,/^set/p' "$0" | sed '/^set/d'
    exit 0
    ;;
esac

((EUID == 0)) || fail "root rights are needed, for namespaces"
readonly registered=/proc/sys/fs/binfmt_misc/qemu-aarch64
if [[ "$(uname -m)" == aarch64 ]] || grep -qs '^enabled' "$registered"; then
    exec unshare --mount --propagation private "$@"
fi

for name in aarch64 arm; do
    [[ -r "/usr/lib/binfmt.d/qemu-$name.conf" ]] ||
        fail "/usr/lib/binfmt.d/qemu-$name.conf is missing: install qemu-user-static"
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkfifo "$work/up" "$work/go"

# The maps can only be written from outside, and only once the namespace is there.
# shellcheck disable=SC2016 # the inner shell's
unshare --user --mount --propagation unchanged bash -euo pipefail -c '
    work=$1; shift
    echo up >"$work/up"
    read -r _ <"$work/go"
    mount --make-rprivate /
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
        { echo "with-arm: no binfmt_misc of its own for a namespace: Linux 6.7 or newer is needed" >&2; exit 1; }
    for name in aarch64 arm; do
        cat "/usr/lib/binfmt.d/qemu-$name.conf" >/proc/sys/fs/binfmt_misc/register
    done
    exec "$@"' with-arm "$work" "$@" &
inner=$!
read -r _ <"$work/up"
echo "0 0 4294967295" >"/proc/$inner/uid_map"
echo "0 0 4294967295" >"/proc/$inner/gid_map"
echo go >"$work/go"
code=0
wait "$inner" || code=$?
exit "$code"
