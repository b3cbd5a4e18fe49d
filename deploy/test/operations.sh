#!/usr/bin/env bash
# Checks what operators are given and what no compiler looks at: scripts, units, alert rules, manifests, the image's
# settings, the card's writing, Mosquitto's ACL. Needs neither a build nor the network.
#
#   deploy/test/operations.sh
#
# What a tool is missing for is skipped, and said. With CI=true it is a failure, but for what Debian has no package of.
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
    # It writes to the folder until its end.
    if [[ -n "$mosquitto" ]]; then
        kill "$mosquitto" 2>/dev/null || true
        wait "$mosquitto" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
declare -i passed=0 failed=0 skipped=0
# Services' programs stand where only root's PATH leads.
PATH="$PATH:/usr/sbin:/sbin"

has() { command -v "$1" >/dev/null 2>&1; }
skip() { # what, Debian's package
    if [[ -n "${2:-}" && "${CI:-}" == true ]]; then
        printf 'FAILED  %s: install %s\n' "$@"
        failed+=1
    else
        printf 'skipped %s\n' "$1"
        skipped+=1
    fi
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
    mapfile -t scripts < <(grep -rlE -m 1 '^#!.*\b(bash|sh)$' deploy .ci | grep -v '^deploy/container/healthy$' | sort)
    # SC2157, SC2194: cargo-deb puts its own lines where #DEBHELPER# stands.
    try "shellcheck of ${#scripts[@]} scripts" shellcheck "${scripts[@]}"
else
    skip "shellcheck: not installed" shellcheck
fi
# One that takes no argument must still answer --help, and nothing else must happen.
for script in deploy/arm/*.sh deploy/image/*.sh deploy/debian/build.sh deploy/debian/{repack,test}.sh deploy/debian/comptoir-*[a-z] \
    deploy/systemd/backoff deploy/image/files/usr/lib/comptoir/*; do
    [[ "$script" == *.8 || ! -x "$script" ]] || try "$script --help" "$script" --help
done

for script in settings boot-files flash backoff; do
    try "deploy/test/$script.sh" "deploy/test/$script.sh"
done
# As on an ARM machine: what is mounted inside is gone with the command.
arm_mounts() {
    mkdir -p "$work/arm/bin" "$work/arm/mounted"
    printf '#!/bin/sh\necho aarch64\n' >"$work/arm/bin/uname"
    chmod +x "$work/arm/bin/uname"
    PATH="$work/arm/bin:$PATH" deploy/arm/with-arm.sh sh -c "mount -t tmpfs none '$work/arm/mounted' && touch '$work/arm/mounted/x'"
    [[ ! -e "$work/arm/mounted/x" ]] && ! grep -q "$work/arm" /proc/self/mountinfo
}
if unshare --mount true 2>/dev/null; then
    try "with-arm.sh leaves no mounts" arm_mounts
else
    skip "with-arm.sh: no rights for namespaces"
fi

# ---- systemd ----

units() {
    # Against what the package installs, which need not be on this machine.
    mkdir -p "$work/root/usr/bin" "$work/units"
    cp deploy/systemd/*.service deploy/systemd/*.timer "$work/units"
    sed -i 's#/usr/bin/\(gateway\|comptoir-backup\)\|/usr/lib/comptoir/backoff#/bin/true#' "$work"/units/*.service
    SYSTEMD_UNIT_PATH="$work/units:" systemd-analyze verify --man=no "$work"/units/*.service "$work"/units/*.timer \
        >"$work/verify" 2>&1 || true
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
    skip "units: no systemd-analyze" systemd
fi

# ---- Prometheus, Grafana ----

# install-dependencies.sh puts it there.
PATH="$PATH:${COMPTOIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/comptoir}/promtool/usr/bin"
every_alert() { # fires in a test
    local alert
    local -i unfired=0
    while read -r alert; do
        awk -v alert="$alert" '$1 == "alertname:" { here = $2 == alert } here && /exp_alerts:$/ { found = 1 }
            END { exit !found }' deploy/test/comptoir.rules.test.yml || {
            printf '%s\n' "$alert"
            unfired+=1
        }
    done < <(sed -n 's/^ *- alert: //p' deploy/prometheus/comptoir.rules.yml)
    ((unfired == 0))
}
if has promtool; then
    try "alert rules: promtool check" promtool check rules deploy/prometheus/comptoir.rules.yml
    try "alert rules: promtool test" promtool test rules deploy/test/comptoir.rules.test.yml
    try "alert rules: each fires in the test" every_alert
else
    skip "alert rules: no promtool" prometheus
fi
try "Grafana's dashboard is JSON" python3 -m json.tool deploy/grafana/comptoir.json

# ---- Kubernetes, Docker ----

rendered() {
    if has kubectl; then kubectl kustomize deploy/kubernetes; else kustomize build deploy/kubernetes; fi >"$work/rendered"
}
# Whatever kustomize adds: the policy is for the gateway's pods and no others, and names reach the cluster's DNS.
policy() {
    local document
    document="$(awk 'BEGIN { RS = "---\n" } /\nkind: NetworkPolicy\n/' "$work/rendered")"
    printf '%s\n' "$document"
    [[ "$document" == *$'\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: comptoir-gateway\n  policyTypes:'* ]] &&
        [[ "$document" == *$'kube-system\n      podSelector:\n        matchLabels:\n          k8s-app: kube-dns\n  - ports:'* ]]
}
selectors() { # of the service and the StatefulSet, and the pods that they are to find
    grep -A 1 '^  selector:$' "$work/rendered" | grep -q '^    app.kubernetes.io/name: comptoir-gateway$' &&
        grep -A 2 '^  selector:$' "$work/rendered" | grep -q '^      app.kubernetes.io/name: comptoir-gateway$' &&
        grep -q '^        app.kubernetes.io/name: comptoir-gateway$' "$work/rendered"
}
if has kubectl || has kustomize; then
    try "kustomize" rendered
    try "the network policy is for the gateway, and lets it ask for names" policy
    try "service and StatefulSet find the gateway's pod" selectors
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
    skip "Mosquitto: not installed" "mosquitto and mosquitto-clients"
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
