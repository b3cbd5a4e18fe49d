#!/usr/bin/env bash
# Installs, upgrades, downgrades, removes and purges the arm64 package in an arm64 Debian, under emulation.
#
#   deploy/debian/test.sh PACKAGE.deb
#
# Requires root rights. systemd does not run there; `make test-image` tests the package on a system with systemd.
set -euo pipefail

top="$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)"
readonly top
fail() {
    printf 'package test: %s\n' "$*" >&2
    exit 1
}
case "${1:-}" in
-h | --help)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
"") fail "name the package; deploy/debian/build.sh arm64 builds one" ;;
esac
((EUID == 0)) || fail "root rights are required"
[[ -r "$1" ]] || fail "$1: there is no such file"
package="$(readlink -f "$1")"

work="$(mktemp -d "${TMPDIR:-/tmp}/comptoir-package.XXXXXX")"
trap 'rm -rf --one-file-system "$work"' EXIT

# A later version, and an older one that supports schema 0 only.
"$top/deploy/debian/repack.sh" "$package" 9.9.9-1 "$work/9.9.9-1.deb"
"$top/deploy/debian/repack.sh" "$package" 0.0.1-1 "$work/0.0.1-1.deb" 0

# shellcheck disable=SC2016 # the inner shell's
read -r -d '' inner <<'END' || true
set -euo pipefail
root=$1 archive=$2 package=$3 later=$4 older=$5
fail() { printf 'package test: FAILED: %s\n' "$*" >&2; exit 1; }
ok() { printf 'ok      %s\n' "$*"; }
mkdir "$root"
# Devices cannot be created in a namespace; the machine's own are mounted instead.
tar -C "$root" -xf "$archive" --numeric-owner --exclude './dev/?*'
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cp "$package" "$root/package.deb"
cp "$later" "$root/later.deb"
cp "$older" "$root/older.deb"
inside=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive chroot "$root")
in_root() { "${inside[@]}" "$@"; }
install() { in_root dpkg --force-confold --install "$1" </dev/null >"$root/log" 2>&1; }

# ---- install ----
install /package.deb || { cat "$root/log"; fail "install"; }
in_root gateway --version
in_root pos-sim --version
in_root id comptoir >/dev/null || fail "no user comptoir"
[[ "$(in_root stat -c %U:%a /var/lib/comptoir)" == comptoir:750 ]] || fail "the journal's folder"
[[ "$(in_root stat -c %G:%a /etc/comptoir/gateway.toml)" == comptoir:640 ]] || fail "the settings can be read by others"
[[ "$(in_root stat -c %U:%a /etc/comptoir/secrets.env)" == root:600 ]] || fail "the password can be read by others"
in_root grep -q '@127.0.0.1:1884$' /etc/comptoir/secrets.env || fail "the gateway does not use its own MQTT listener"
[[ "$(in_root stat -c %U:%G:%a /etc/mosquitto/comptoir-tls/server.pem)" == root:mosquitto:640 ]] || fail "the MQTT certificate"
in_root grep -q '^gateway:\$' /etc/mosquitto/comptoir.passwords || fail "no password for the gateway, or a plain one"
[[ -L "$root/etc/systemd/system/multi-user.target.wants/comptoir-gateway.service" ]] || fail "the service is not enabled"
[[ -L "$root/etc/systemd/system/timers.target.wants/comptoir-backup.timer" ]] || fail "the backup is not enabled"
in_root runuser -u comptoir -- gateway check --offline --config /etc/comptoir/gateway.toml
# The image's root omits man pages and documentation, so check the package itself for those.
contents="$(dpkg-deb --contents "$package" | awk '{ print $6 }')"
for file in usr/share/bash-completion/completions/gateway usr/share/zsh/vendor-completions/_gateway \
    usr/share/fish/vendor_completions.d/gateway.fish usr/share/man/man1/{gateway,gateway-run,pos-sim}.1.gz \
    usr/share/man/man8/comptoir-{backup,check,terminal,update}.8.gz usr/share/doc/comptoir-gateway/sbom.cdx.json.gz usr/share/comptoir/release.pub \
    usr/lib/systemd/system/mosquitto.service.d/comptoir.conf usr/lib/comptoir/mqtt-certificate \
    usr/share/doc/comptoir-gateway/{install,updates,when-something-is-wrong}.md usr/share/doc/comptoir-gateway/copyright; do
    grep -qxF "./$file" <<<"$contents" || fail "the package lacks $file"
done
for file in usr/share/bash-completion/completions/gateway usr/lib/comptoir/backoff usr/sbin/comptoir-check; do
    [[ -e "$root/$file" ]] || fail "$file"
done
# Runs as the service does: with the password from secrets.env, against the installed Mosquitto.
# exec throughout, so that a later signal reaches the program itself.
in_root sh -c 'mkdir -p /run/mosquitto; chown mosquitto /var/lib/mosquitto /run/mosquitto'
(exec "${inside[@]}" mosquitto -c /etc/mosquitto/mosquitto.conf) >/dev/null 2>&1 &
mosquitto=$!
gateway=
trap 'kill $mosquitto $gateway 2>/dev/null || true' EXIT
run() { # until the gateway answers on port 18080
    (exec "${inside[@]}" sh -c '. /etc/comptoir/secrets.env; export COMPTOIR_MQTT__URL COMPTOIR_HTTP__LISTEN=127.0.0.1:18080 COMPTOIR_HTTP__OPEN=true
        exec setpriv --reuid comptoir --regid comptoir --clear-groups gateway run') >>"$root/gateway.log" 2>&1 &
    gateway=$!
    for _ in $(seq 150); do
        ! curl -fs -o /dev/null http://127.0.0.1:18080/readyz || return 0
        kill -0 "$gateway" 2>/dev/null || break
        sleep 0.2
    done
    cat "$root/gateway.log"
    tail -n 5 "$root/log"
    fail "the gateway is not ready"
}
stop() {
    kill -TERM "$gateway"
    wait "$gateway" || fail "the gateway did not end cleanly"
    gateway=
}
events() { curl -fs http://127.0.0.1:18080/api/gateway | python3 -c 'import json,sys; print(json.load(sys.stdin)["journal"]["events"])'; }
run
for _ in 1 2 3; do curl -fs -o /dev/null -X POST http://127.0.0.1:18080/api/orders || fail "POST"; done
[[ "$(events)" == 3 ]] || fail "3 events were expected, got $(events)"
ok "installed; ready with Mosquitto's password; 3 events"

# ---- an upgrade while the gateway runs keeps the shop's changes and the journal ----
echo '# changed by the shop' >>"$root/etc/comptoir/gateway.toml"
before="$(sha256sum "$root/etc/comptoir/secrets.env" "$root/etc/mosquitto/comptoir.passwords")"
install /later.deb || { cat "$root/log"; fail "upgrade"; }
stop
run
[[ "$(events)" == 3 ]] || fail "the upgrade has lost events"
curl -fs -o /dev/null -X POST http://127.0.0.1:18080/api/payments
grep -q 'changed by the shop' "$root/etc/comptoir/gateway.toml" || fail "the upgrade has replaced the settings"
[[ "$before" == "$(sha256sum "$root/etc/comptoir/secrets.env" "$root/etc/mosquitto/comptoir.passwords")" ]] ||
    fail "the upgrade has changed the passwords"
compgen -G "$root/var/backups/comptoir/journal-*.db.gz" >/dev/null || { cat "$root/log"; fail "no copy before the upgrade"; }
ok "upgraded; events, settings and passwords kept; a copy made: $(ls "$root/var/backups/comptoir")"

# ---- a downgrade below the journal schema is refused and changes nothing ----
if install /older.deb; then fail "a downgrade below the journal's schema was not refused"; fi
grep -q 'the downgrade is refused' "$root/log" || { cat "$root/log"; fail "the refusal gives no reason"; }
[[ "$(in_root dpkg-query -W -f '${db:Status-Status} ${Version}' comptoir-gateway)" == "installed 9.9.9-1" ]] ||
    fail "the refusal has left $(in_root dpkg-query -W comptoir-gateway)"
[[ "$(events)" == 4 ]] || fail "events"
ok "downgrade refused: $(grep -m 1 'this package supports' "$root/log")"
# A downgrade within the same schema works.
install /package.deb || { cat "$root/log"; fail "a downgrade within the schema"; }
stop
run
[[ "$(events)" == 4 ]] || fail "the downgrade has lost events"
ok "downgrade within the schema; events kept"

# ---- backup, rotation, restoring ----
sleep 1.1
for _ in 1 2 3; do
    in_root env BACKUP_KEEP=2 setpriv --reuid comptoir --regid comptoir --clear-groups comptoir-backup
    sleep 1.1
done
[[ "$(find "$root/var/backups/comptoir" -type f | wc -l)" == 2 ]] || fail "rotation: $(ls -A "$root/var/backups/comptoir")"
copy="$(in_root sh -c 'ls /var/backups/comptoir/*.gz | tail -n 1')"
journal="$root/var/lib/comptoir/journal.db"
! in_root comptoir-backup restore "$copy" 2>"$root/log" || fail "a copy was put under a running gateway"
grep -q 'a gateway runs' "$root/log" || { cat "$root/log"; fail "restoring beside a gateway"; }
curl -fs -o /dev/null -X POST http://127.0.0.1:18080/api/orders
stop
before="$(sha256sum "$journal")"
# A truncated copy, and a file that is not a journal.
head -c 2000 "$root$copy" >"$root/cut.gz"
for bad in /cut.gz /etc/passwd /nothing; do
    ! in_root comptoir-backup restore "$bad" 2>"$root/log" || fail "$bad was restored"
    [[ "$before" == "$(sha256sum "$journal")" ]] || fail "$bad has changed the journal"
done
in_root comptoir-backup restore "$copy"
run
[[ "$(events)" == 4 ]] || fail "restoring"
stop
[[ "$before" == "$(cd "$root" && sha256sum var/backups/comptoir/replaced-*/journal.db | sed "s#var/.*#$journal#")" ]] ||
    fail "the journal that was there is not kept"
[[ ! -e "$root/var/lib/comptoir/restoring" ]] || fail "the mark of an unfinished restore was left"
ok "backups rotated; the newest restored with its events, what was there kept; bad copies refused"

# ---- a downgrade from a newer schema, as in updates.md ----
python3 - "$journal" <<'SQL'
import sqlite3, sys
journal = sqlite3.connect(sys.argv[1])
journal.execute("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)"
                " VALUES (99, 'of a later version', TRUE, x'00', 0)")
journal.commit()
journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
SQL
in_root chown comptoir: -R /var/lib/comptoir
! in_root timeout 60 setpriv --reuid comptoir --regid comptoir --clear-groups gateway run >"$root/log" 2>&1 ||
    fail "a journal of a newer schema was opened"
grep -q 'newer version of the gateway (schema 99)' "$root/log" || { cat "$root/log"; fail "the refusal gives no reason"; }
in_root dpkg --remove comptoir-gateway >"$root/log" 2>&1 || { cat "$root/log"; fail "remove"; }
install /older.deb || { cat "$root/log"; fail "the older package, after the newer was removed"; }
in_root comptoir-backup restore "$copy"
run
[[ "$(events)" == 4 ]] || fail "the downgrade from a newer schema has lost events"
stop
install /package.deb || { cat "$root/log"; fail "install again"; }
run
ok "downgrade from a newer schema: removed, older package installed, copy restored"

# ---- tills ----
in_root comptoir-terminal add paris-1/till-1 >"$root/secret"
in_root comptoir-terminal add-any simulator long-enough
in_root comptoir-terminal add-any simulator long-enough
kill -HUP "$mosquitto"
sleep 1
secret="$(cut -d ' ' -f 2 "$root/secret")"
mosquitto_pub -V 5 -h 127.0.0.1 -u paris-1/till-1 -P "$secret" -q 1 -t pos/paris-1/till-1/payments \
    -m '{"payment_id":"p-1","order_id":"o-1","amount":12.50,"method":"Cash","status":"SUCCESS"}'
for _ in $(seq 50); do [[ "$(events)" == 5 ]] && break; sleep 0.1; done
mosquitto_pub -V 5 -h 127.0.0.1 -p 8883 --cafile "$root/etc/mosquitto/comptoir-tls/authority.pem" -u paris-1/till-1 \
    -P "$secret" -q 1 -t pos/paris-1/till-1/status -m online || fail "MQTT over TLS"
[[ "$(events)" == 5 ]] || fail "a till's event does not arrive"
[[ "$(in_root grep -c '^user simulator' /etc/mosquitto/comptoir.acl)" == 1 ]] || fail "the ACL has a user twice"
in_root comptoir-terminal remove simulator
! in_root grep -q simulator /etc/mosquitto/comptoir.acl /etc/mosquitto/comptoir.passwords || fail "remove leaves something"
ok "tills: $(in_root comptoir-terminal list | xargs)"
stop

# ---- remove, purge ----
in_root dpkg --remove comptoir-gateway >"$root/log" 2>&1 || { cat "$root/log"; fail "remove"; }
[[ -e "$root/var/lib/comptoir/journal.db" && -e "$root/etc/comptoir/gateway.toml" ]] || fail "remove took the journal or the settings"
[[ ! -e "$root/usr/bin/gateway" && ! -e "$root/etc/mosquitto/conf.d/comptoir.conf" && ! -e "$root/etc/mosquitto/conf.d/comptoir-tls.conf" ]] || fail "remove left the listener"
install /package.deb || { cat "$root/log"; fail "install again"; }
run
[[ "$(events)" == 5 ]] || fail "removing and installing has lost events"
stop
ok "removed and installed again: journal and settings kept"
in_root dpkg --purge comptoir-gateway >"$root/log" 2>&1 || { cat "$root/log"; fail "purge"; }
left="$(cd "$root" && find var/lib/comptoir var/backups/comptoir etc/comptoir etc/mosquitto/comptoir.* \
    etc/mosquitto/conf.d/comptoir*.conf usr/share/comptoir 2>/dev/null | head)" || true
[[ -z "$left" ]] || fail "purge left $left"
ok "purged: nothing left"
END
archive="$("$top/deploy/image/root.sh" package)"
# A network namespace, so that the ports cannot collide.
# shellcheck disable=SC2016 # the inner shell's
"$top/deploy/arm/with-arm.sh" unshare --net bash -c 'ip link set lo up; exec bash -c "$@"' net "$inner" inner "$work/root" "$archive" "$package" "$work/9.9.9-1.deb" "$work/0.0.1-1.deb"
# The mounts ended with the namespace.
! grep -qF " $work/" /proc/self/mountinfo || fail "something is mounted below $work"
