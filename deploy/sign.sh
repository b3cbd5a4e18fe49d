#!/usr/bin/env bash
# Signs packages and images with minisign: FILE.minisig beside each file.
#
#   deploy/sign.sh FILE...
#
# COMPTOIR_SIGNING_KEY   the secret key (default: ~/.minisign/comptoir.key). Create it once:
#                        minisign -G -p deploy/release.pub -s ~/.minisign/comptoir.key
#
# deploy/release.pub is the public key. Packages contain it, so that comptoir-update verifies the next one.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)"
readonly top key="${COMPTOIR_SIGNING_KEY:-$HOME/.minisign/comptoir.key}" public="${COMPTOIR_RELEASE_KEY:-$top/deploy/release.pub}"

fail() {
    printf 'sign: %s\n' "$*" >&2
    exit 1
}
case "${1:-}" in
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
"") fail "name the files to sign" ;;
esac
command -v minisign >/dev/null || fail "minisign is missing; run: apt-get install minisign"
[[ -r "$key" ]] || fail "$key: there is no secret key; see deploy/sign.sh --help"
[[ -r "$public" ]] || fail "$public: there is no public key; see deploy/sign.sh --help"
for file; do
    [[ -r "$file" ]] || fail "$file: no such file"
    minisign -S -s "$key" -m "$file" -t "${file##*/}" >/dev/null
    # Verifies with the public key that the machines have.
    minisign -V -q -p "$public" -m "$file" >/dev/null || fail "$file: $public is not the public key of $key"
    printf '%s\n' "$file.minisig"
done
