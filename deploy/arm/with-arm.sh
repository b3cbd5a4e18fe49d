#!/usr/bin/env bash
# Runs a command that can start ARM programs, for example in a chroot of an arm64 root.
#
#   with-arm.sh COMMAND [ARGUMENT...]
#
# The command runs in its own mount namespace, so its mounts end with it and do not affect the machine. If the kernel
# already starts ARM programs (Debian's qemu-user-static with systemd, or an ARM machine), this is all. Otherwise it
# also runs in a user namespace with its own binfmt_misc, which requires Linux 6.7 or later. Requires root rights.
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

((EUID == 0)) || fail "root rights are required, for namespaces"
readonly registered=/proc/sys/fs/binfmt_misc/qemu-aarch64
if [[ "$(uname -m)" == aarch64 ]] || grep -qs '^enabled' "$registered"; then
    exec unshare --mount --propagation private "$@"
fi

for name in aarch64 arm; do
    [[ -r "/usr/lib/binfmt.d/qemu-$name.conf" ]] ||
        fail "/usr/lib/binfmt.d/qemu-$name.conf is missing; install qemu-user-static"
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkfifo "$work/up" "$work/go"

# The id maps can only be written from outside the namespace, after it was created.
# shellcheck disable=SC2016 # the inner shell's
unshare --user --mount --propagation unchanged bash -euo pipefail -c '
    work=$1; shift
    echo up >"$work/up"
    read -r _ <"$work/go"
    mount --make-rprivate /
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc ||
        { echo "with-arm: this kernel has no binfmt_misc per namespace; Linux 6.7 or later is required" >&2; exit 1; }
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
