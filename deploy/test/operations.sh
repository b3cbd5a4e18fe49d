#!/usr/bin/env bash
# Checks what operators are given and what no compiler looks at: scripts, units, alert rules, manifests, Mosquitto's ACL.
# Needs neither a build nor the network, but for promtool, which it unpacks from Debian's package where it is missing.
#
#   deploy/test/operations.sh
#
# What a tool is missing for is skipped, and said.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top
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
    [[ -z "$mosquitto" ]] || kill "$mosquitto" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
declare -i passed=0 failed=0 skipped=0
# Services' programs stand where only root's PATH leads.
PATH="$PATH:/usr/sbin:/sbin"

has() { command -v "$1" >/dev/null 2>&1; }
skip() {
    printf 'skipped %s\n' "$1"
    skipped+=1
}
try() { # what, command...
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

# ---- scripts ----

if has shellcheck; then
    mapfile -t scripts < <(grep -rlE '^#!.*\b(bash|sh)$' deploy .ci | grep -v '^deploy/container/healthy$' | sort)
    # SC2157, SC2194: cargo-deb puts its own lines where #DEBHELPER# stands.
    try "shellcheck of ${#scripts[@]} scripts" shellcheck "${scripts[@]}"
else
    skip "shellcheck: not installed"
fi
# One that takes no argument must still answer --help, and nothing else must happen.
for script in deploy/arm/*.sh deploy/image/*.sh deploy/debian/build.sh deploy/debian/test.sh deploy/debian/comptoir-*[a-z]; do
    [[ "$script" == *.8 || ! -x "$script" ]] || try "$script --help" "$script" --help
done

# ---- systemd ----

units() {
    # Against what the package installs, which need not be on this machine.
    mkdir -p "$work/root/usr/bin" "$work/units"
    cp deploy/systemd/*.service deploy/systemd/*.timer "$work/units"
    sed -i 's#/usr/bin/\(gateway\|comptoir-backup\)#/bin/true#' "$work"/units/*.service
    # Debian 12's systemd does not know the two keys of the growing delay; nothing else may be unknown or wrong.
    SYSTEMD_UNIT_PATH="$work/units:" systemd-analyze verify --man=no "$work"/units/*.service "$work"/units/*.timer 2>&1 |
        grep -vE "RestartSteps|RestartMaxDelaySec|$work/units" >"$work/verify" || true
    SYSTEMD_UNIT_PATH="$work/units:" systemd-analyze verify --man=no "$work"/units/*.service "$work"/units/*.timer 2>&1 |
        grep "$work/units" | grep -vE "RestartSteps|RestartMaxDelaySec" >>"$work/verify" || true
    cat "$work/verify"
    ! grep -qE "comptoir-(gateway|backup)" "$work/verify"
}
exposure() { # unit, at most
    local said score
    said="$(systemd-analyze security --offline=yes "deploy/systemd/$1" 2>&1 | tail -n 1)"
    printf '%s\n' "$said"
    score="$(grep -oE '[0-9]+\.[0-9]' <<<"$said" | head -n 1)"
    [[ -n "$score" ]] && awk -v score="$score" -v most="$2" 'BEGIN { exit !(score <= most) }'
}
if has systemd-analyze; then
    try "units: systemd-analyze verify" units
    try "comptoir-gateway.service: exposure at most 2.0" exposure comptoir-gateway.service 2.0
    try "comptoir-backup.service: exposure at most 2.0" exposure comptoir-backup.service 2.0
else
    skip "units: no systemd-analyze"
fi

# ---- Prometheus, Grafana ----

promtool="$(command -v promtool || true)"
if [[ -z "$promtool" ]] && has apt-get; then
    # Unpacked, not installed: the package would start a server.
    cache="${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/promtool"
    if [[ ! -x "$cache/usr/bin/promtool" ]]; then
        (cd "$work" && apt-get -qq -o "APT::Sandbox::User=$(id -un)" download prometheus && dpkg -x prometheus_*.deb "$cache") \
            >/dev/null 2>&1 || true
    fi
    [[ ! -x "$cache/usr/bin/promtool" ]] || promtool="$cache/usr/bin/promtool"
fi
if [[ -n "$promtool" ]]; then
    try "alert rules: promtool check" "$promtool" check rules deploy/prometheus/comptoir.rules.yml
    try "alert rules: promtool test" "$promtool" test rules deploy/test/comptoir.rules.test.yml
else
    skip "alert rules: no promtool"
fi
try "Grafana's dashboard is JSON" python3 -m json.tool deploy/grafana/comptoir.json

# ---- Kubernetes, Docker ----

if has kubectl; then
    try "kustomize" kubectl kustomize deploy/kubernetes
elif has kustomize; then
    try "kustomize" kustomize build deploy/kubernetes
else
    skip "Kubernetes: neither kubectl nor kustomize"
fi
if has docker && docker compose version >/dev/null 2>&1; then
    try "docker compose config" docker compose config --quiet
else
    skip "docker-compose.yml: no docker compose"
fi

# ---- Mosquitto: a terminal publishes only as itself ----

readonly port=18831
publish() { # user, topic
    mosquitto_pub -V 5 -h 127.0.0.1 -p "$port" -u "$1" -P secret -q 1 -t "$2" -m x 2>&1
}
may() { [[ -z "$(publish "$@")" ]]; }
may_not() { publish "$@" | grep -qi 'not authori'; }
may_not_anonymous() {
    ! mosquitto_pub -V 5 -h 127.0.0.1 -p "$port" -q 1 -t pos/paris-1/till-1/orders -m x
}
start_mosquitto() {
    local user
    touch "$work/passwords"
    for user in gateway paris-1/till-1 paris-1/till-2; do
        mosquitto_passwd -b "$work/passwords" "$user" secret
    done
    sed -e "s#^listener 1883#listener $port 127.0.0.1#" -e "s#/etc/mosquitto/comptoir.passwords#$work/passwords#" \
        -e "s#/etc/mosquitto/comptoir.acl#$work/acl#" deploy/mosquitto/comptoir.conf >"$work/mosquitto.conf"
    printf 'persistence true\npersistence_location %s/\n' "$work" >>"$work/mosquitto.conf"
    cp deploy/mosquitto/comptoir.acl "$work/acl"
    # Started by root, Mosquitto gives its rights away.
    chmod -R a+rX "$work"
    ! getent passwd mosquitto >/dev/null || ((EUID != 0)) || chown -R mosquitto "$work"
    mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
    mosquitto=$!
    for _ in {1..50}; do
        ! may gateway pos/paris-1/till-1/ack 2>/dev/null || return 0
        sleep 0.1
    done
    cat "$work/mosquitto.log"
    return 1
}
if has mosquitto && has mosquitto_pub && has mosquitto_passwd; then
    try "Mosquitto starts with the packaged configuration" start_mosquitto
    for topic in orders payments deliveries status; do
        try "a terminal may publish its $topic" may paris-1/till-1 "pos/paris-1/till-1/$topic"
        try "a terminal may not publish another's $topic" may_not paris-1/till-1 "pos/paris-1/till-2/$topic"
    done
    try "a terminal may not ack" may_not paris-1/till-1 pos/paris-1/till-1/ack
    try "a terminal may not command" may_not paris-1/till-2 pos/paris-1/till-2/commands
    try "nobody without a password" may_not_anonymous
    try "the gateway may publish acks" may gateway pos/paris-1/till-2/ack
else
    skip "Mosquitto: not installed"
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
