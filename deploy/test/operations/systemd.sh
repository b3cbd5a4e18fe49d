# shellcheck shell=bash
# systemd units: they are valid, and their sandboxes are tight.

units() {
    # The package's programs need not be installed on this machine.
    mkdir -p "$work/root/usr/bin" "$work/units"
    cp deploy/systemd/*.{service,timer} deploy/image/files/etc/systemd/system/comptoir-*.{service,timer,path} "$work/units"
    sed -Ei 's#/usr/(bin/(gateway|comptoir-backup)|lib/comptoir/[a-z-]+|sbin/nft)#/bin/true#' "$work"/units/*.service
    SYSTEMD_UNIT_PATH="$work/units:" systemd-analyze verify --man=no "$work"/units/* >"$work/verify" 2>&1 || true
    cat "$work/verify"
    ! grep -q comptoir- "$work/verify"
}
exposure() { # unit, limit
    local said score
    said="$(systemd-analyze security --offline=yes "deploy/systemd/$1" 2>&1 | tail -n 1)"
    printf '%s\n' "$said"
    score="$(grep -oE '[0-9]+\.[0-9]' <<<"$said" | head -n 1)"
    [[ -n "$score" ]] && awk -v score="$score" -v most="$2" 'BEGIN { exit !(score <= most) }'
}
if has systemd-analyze; then
    try "units: systemd-analyze verify" units
    for unit in deploy/systemd/*.service; do
        try "${unit##*/}: exposure at most 1.3" exposure "${unit##*/}" 1.3
    done
else
    skip "units: systemd-analyze is not installed" systemd
fi
