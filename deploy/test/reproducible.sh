#!/usr/bin/env bash
# Builds the Debian package of the last commit twice, from two clones with their own target folders, and compares them.
#
#   deploy/test/reproducible.sh [ARCHITECTURE]      default: this machine's
#
# Compiled C libraries contain the path of their build folder. Therefore each clone is mounted at /usr/src/comptoir for
# its build, and Cargo's home at /usr/src/cargo: a repeated build with the same toolchain gives the same bytes, wherever
# its files are. Requires namespaces (root, or unprivileged user namespaces) and, for another architecture, the tools of
# deploy/arm/build.sh.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
native="$(dpkg --print-architecture)"
readonly top native cargo="${CARGO_HOME:-$HOME/.cargo}"
case "${1:-}" in
-*)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac
readonly architecture="${1:-$native}"

fail() {
    printf 'reproducible: %s\n' "$*" >&2
    exit 1
}
work="$(mktemp -d "${TMPDIR:-/tmp}/comptoir-reproducible.XXXXXX")"
trap 'rm -rf "$work"' EXIT
declare -a namespace=(unshare --mount --propagation private)
((EUID == 0)) || namespace+=(--map-root-user)
SOURCE_DATE_EPOCH="$(git -C "$top" log -1 --format=%ct)"
export SOURCE_DATE_EPOCH
unset CARGO_TARGET_DIR RUSTFLAGS

# Prints the path of the package.
build() { # folder
    git clone --quiet --no-hardlinks "$top" "$work/$1/comptoir"
    # An empty /usr/src with the two mount points; rustup's and Cargo's programs stay where they are.
    # shellcheck disable=SC2016 # the inner shell's
    CARGO_HOME=/usr/src/cargo "${namespace[@]}" bash -euo pipefail -c '
        mount -t tmpfs none /usr/src
        mkdir /usr/src/comptoir /usr/src/cargo
        mount --rbind "$1" /usr/src/comptoir
        mount --rbind "$2" /usr/src/cargo
        cd /usr/src/comptoir
        PATH="/usr/src/cargo/bin:$PATH"
        [[ "$3" == "$4" ]] || { make pages && deploy/arm/build.sh "${3/armhf/armv7}"; } >&2
        deploy/debian/build.sh "$3" | sed "s#^/usr/src/comptoir/##"' \
        build "$work/$1/comptoir" "$cargo" "$architecture" "$native"
}
one="$work/one/comptoir/$(build one | tail -n 1)"
other="$work/other/comptoir/$(build other | tail -n 1)"
sha256sum "$one" "$other" | sed "s#$work/##"
cmp "$one" "$other" || {
    for file in "$one" "$other"; do dpkg-deb --raw-extract "$file" "$file.files"; done
    diff -rq "$one.files" "$other.files" || true
    fail "the two packages differ"
}
printf 'reproducible: both packages are the same: %s\n' "${one##*/}"
