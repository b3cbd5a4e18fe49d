#!/usr/bin/env bash
# Checks the parts for operators that no compiler checks: scripts, units, alert rules, manifests, the image's scripts,
# and the configurations of Mosquitto and nginx. Needs neither a build nor the network.
#
#   deploy/test/operations.sh
#
# A check whose tool is missing is skipped, and reported. With CI=true it fails, unless Debian has no package of it.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top here="$top/deploy/test"
cd "$top"
case "${1:-}" in
"") ;;
*)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac
work="$(mktemp -d)"
mosquitto=
clean_up() {
    # Mosquitto writes to the folder until it ends.
    if [[ -n "$mosquitto" ]]; then
        kill "$mosquitto" 2>/dev/null || true
        wait "$mosquitto" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
declare -i passed=0 failed=0 skipped=0
# Daemons are on root's PATH only.
PATH="$PATH:/usr/sbin:/sbin"

has() { command -v "$1" >/dev/null 2>&1; }
skip() { # reason, Debian's package
    if [[ -n "${2:-}" && "${CI:-}" == true ]]; then
        printf 'FAILED  %s: install %s\n' "$@"
        failed+=1
    else
        printf 'skipped %s\n' "$1"
        skipped+=1
    fi
}
try() { # claim, command...
    local what="$1"
    shift
    if "$@" >"$work/log" 2>&1; then
        printf 'ok      %s\n' "$what"
        passed+=1
    else
        printf 'FAILED  %s\n' "$what"
        sed 's/^/        /' "$work/log"
        failed+=1
    fi
}

# shellcheck source-path=SCRIPTDIR
{
    source "$here/operations/scripts.sh"
    source "$here/operations/systemd.sh"
    source "$here/operations/monitoring.sh"
    source "$here/operations/manifests.sh"
    source "$here/operations/office.sh"
    source "$here/operations/firewall.sh"
    source "$here/operations/mosquitto.sh"
}

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
