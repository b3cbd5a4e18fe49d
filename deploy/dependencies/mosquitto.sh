# shellcheck shell=bash
# Mosquitto without its service. Debian's package starts the service at once and at every boot, on the port that a
# shop's own broker may need. The tests start Mosquitto themselves on free ports, so the service is disabled if
# Mosquitto is installed for them.

readonly policy=/usr/sbin/policy-rc.d

forbid_mosquitto_start() {
    # An existing policy stays. If it lets Mosquitto start, disable_mosquitto stops it afterwards.
    [[ ! -e "$policy" ]] || return 0
    trap 'remove_policy' EXIT
    # shellcheck disable=SC2016 # $1 is the policy's
    printf '#!/bin/sh\n# comptoir: for the time of one apt-get\ncase "$1" in mosquitto*) exit 101 ;; esac\nexit 0\n' |
        as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

remove_policy() {
    if grep -qs '^# comptoir:' "$policy"; then
        as_root rm -f "$policy"
    fi
}

disable_mosquitto() {
    remove_policy
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl --quiet disable --now mosquitto.service
        return
    fi
    if has_service invoke-rc.d; then
        as_root env PATH="$PATH:/usr/sbin:/sbin" invoke-rc.d --quiet mosquitto stop >/dev/null 2>&1 || true
    fi
    # Without a running systemd (in a container, a chroot, or with sysvinit) this removes the links for a later boot.
    as_root env PATH="$PATH:/usr/sbin:/sbin" update-rc.d mosquitto disable >/dev/null 2>&1 || true
}
