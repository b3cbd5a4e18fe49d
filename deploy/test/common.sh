# shellcheck shell=bash
# What the tests of single scripts share. Source it after `set -euo pipefail`:
#
#   source "${BASH_SOURCE[0]%/*}/common.sh"
#
# It handles --help, and refuses more arguments than `max_arguments` (default: none). It sets `here`, the folder of the
# tests, and `work`, a temporary folder that is deleted at the end.

if [[ "${1:-}" == -* ]] || (($# > ${max_arguments:-0})); then
    # The comment at the head of the test is its help.
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
fi
here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2034 # The tests use it.
readonly here work

# Ends the test. $work/output, if it exists, has what the last command printed.
fail() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    [[ ! -e "$work/output" ]] || sed 's/^/    /' "$work/output" >&2
    exit 1
}
# $1: what is compared; $2: the value; $3: what it must be.
is() { [[ "$2" == "$3" ]] || fail "$1: \"$2\" instead of \"$3\""; }
