#!/usr/bin/env bash
# Puts comptoir.txt after comptoir.txt before the image's `settings`, in a root of its own with a gateway and a
# comptoir-terminal that only note what they are given.
#
#   deploy/test/settings.sh
set -euo pipefail

here="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
case "${1:-}" in
"") ;;
*)
    sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$0"
    [[ "$1" == --help || "$1" == -h ]] && exit 0 || exit 2
    ;;
esac
readonly settings="$here/../image/files/usr/lib/comptoir/settings"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
readonly root="$work/root"
readonly boot="$root/boot/firmware" report="$root/boot/firmware/comptoir-settings.log"
readonly passwords="$root/boot/firmware/comptoir-passwords.txt"

fail() {
    printf 'settings: %s\n' "$*" >&2
    [[ ! -e "$work/said" ]] || sed 's/^/    /' "$work/said" >&2
    exit 1
}
mkdir -p "$work/bin" "$boot" "$root/etc/comptoir" "$root/usr/share/zoneinfo/Europe" "$root/run" \
    "$root/var/lib/comptoir"
: >"$root/usr/share/zoneinfo/Europe/Paris"
cat >"$work/bin/gateway" <<'END'
#!/bin/sh
[ ! -e "$WORK/refuse" ] || { echo "gateway: the configuration is not valid: kafka.brokers: no" >&2; exit 2; }
END
# A line each: user, password.
cat >"$work/bin/comptoir-terminal" <<'END'
#!/bin/sh
set -e
touch "$WORK/users"
case "$1" in
list) cut -d ' ' -f 1 "$WORK/users" ;;
add | add-any)
    [ ! -e "$WORK/power-cut" ] || exit 1
    [ "$3" = - ] && read -r password
    sed -i "\|^$2 |d" "$WORK/users"
    echo "$2 $password" >>"$WORK/users"
    ;;
remove) sed -i "\|^$2 |d" "$WORK/users" ;;
esac
END
chmod +x "$work"/bin/*

run() { SETTINGS_ROOT="$root" WORK="$work" PATH="$work/bin:$PATH" "$settings" >"$work/said" 2>&1; }
write() { printf '%b' "$1" >"$boot/comptoir.txt"; }
good() {
    write "$1"
    run || fail "settings failed"
    [[ ! -e "$report" && ! -e "$root/run/comptoir/settings-problems" ]] || fail "refused: $1"
}
holds() { # file, line
    grep -qxF -- "$2" "$root/$1" || fail "$1 has no line $2: $(cat "$root/$1")"
}
is() { [[ "$2" == "$3" ]] || fail "$1: $2 instead of $3"; }
state() { (cd "$root" && find etc -type f -exec sha256sum {} + | sort && readlink etc/localtime && sort "$work/users"); }
password_of() { sed -n "s|^$1 ||p" "$work/users"; }

# ---- all of it: Notepad's mark and line ends, no end of the last line ----
good "\xef\xbb\xbf# a comment\r\nSTORE=007\r\n HOSTNAME = counter \r\nWIFI_COUNTRY=FR\r\nWIFI_SSID=Chez \"Zoé\"\r\n\
WIFI_PASSWORD=pass word's \"1\"\r\nTIMEZONE=Europe/Paris\r\nKAFKA_BROKERS=k1:9092,k2:9092\r\nKAFKA_TOPIC_PREFIX=shop.\r\n\
KAFKA_SECURITY=SASL_SSL\r\nKAFKA_MECHANISM=SCRAM-SHA-512\r\nKAFKA_USER=0042\r\nKAFKA_PASSWORD=a\\\\\\\\b\"c=\$d#\r\n\
TERMINALS=till-1 till-2:chosen-by-hand\r\nSIMULATOR=simulator:long-enough\r\nDASHBOARD_PASSWORD=0042 0042\r\n\
LOG_FORMAT=json\r\nSSH_KEY=ssh-ed25519 AAAAC3Nz me@there"
# shellcheck disable=SC2016 # a $ in a password
for line in 'COMPTOIR_STORE="\"007\""' 'COMPTOIR_KAFKA__BROKERS="\"k1:9092,k2:9092\""' \
    'COMPTOIR_KAFKA__TOPIC_PREFIX="\"shop.\""' 'COMPTOIR_LOG__FORMAT="\"json\""' \
    'COMPTOIR_KAFKA__PROPERTIES__SECURITY_PROTOCOL="SASL_SSL"' \
    'COMPTOIR_KAFKA__PROPERTIES__SASL_MECHANISM="SCRAM-SHA-512"' 'COMPTOIR_KAFKA__PROPERTIES__SASL_USERNAME="0042"' \
    'COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD="a\\\\b\"c=$d#"' 'COMPTOIR_HTTP__PASSWORD="0042 0042"'; do
    holds etc/comptoir/settings.env "$line"
done
is "settings.env's mode" "$(stat -c %a "$root/etc/comptoir/settings.env")" 600
holds etc/hostname counter
holds etc/wpa_supplicant/wpa_supplicant-wlan0.conf country=FR
holds etc/wpa_supplicant/wpa_supplicant-wlan0.conf "    ssid=$(printf 'Chez "Zoé"' | od -An -tx1 -v | tr -d ' \n')"
holds etc/wpa_supplicant/wpa_supplicant-wlan0.conf "    psk=\"pass word's \"1\"\""
# Without SAE, which fails with the Pi's chips at access points that also offer WPA2.
holds etc/wpa_supplicant/wpa_supplicant-wlan0.conf "    key_mgmt=WPA-PSK"
is "its mode" "$(stat -c %a "$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf")" 600
is "the time zone" "$(readlink "$root/etc/localtime")" /usr/share/zoneinfo/Europe/Paris
holds root/.ssh/authorized_keys "ssh-ed25519 AAAAC3Nz me@there"
is "the chosen password" "$(password_of 007/till-2)" chosen-by-hand
is "the simulator's" "$(password_of simulator)" long-enough
is "comptoir-passwords.txt" "$(cat "$passwords")" "007/till-1 $(password_of 007/till-1)"
! grep -qE 'chosen-by-hand|long-enough|0042|pass word|'"$(password_of 007/till-1)" "$work/said" || fail "a password is in the log"

# ---- the same again changes nothing, nor does any error ----
before="$(state)"
run || fail "settings failed"
is "the second time" "$(state)" "$before"
refused() { # line of comptoir.txt, what the report says, what it must not
    write "STORE=other\nTERMINALS=till-9\n$1\n"
    run || fail "settings failed at $1"
    grep -qF -- "$2" "$report" || fail "$1: the report does not say $2: $(cat "$report")"
    grep -qF -- "$2" <(tr '\t' ' ' <"$root/run/comptoir/settings-problems") || fail "$1: the gateway is not told $2"
    [[ -z "${3:-}" ]] || ! grep -rqF -- "$3" "$report" "$root/run/comptoir/settings-problems" "$work/said" ||
        fail "$1: a password is shown"
    is "after $1" "$(state)" "$before"
}
refused 'no setting' 'line 3'
refused 'KAFKA_BROKER=x' 'KAFKA_BROKER is no setting'
refused 'STORE=Paris 1' STORE
refused 'HOSTNAME=-x' HOSTNAME
refused 'WIFI_SSID=there' 'WIFI_COUNTRY'
refused 'WIFI_PASSWORD=hunter2' WIFI_PASSWORD hunter2
refused 'TIMEZONE=Mars' 'Mars is not known'
refused 'TIMEZONE=../../../etc/comptoir/settings.env' TIMEZONE
refused 'KAFKA_SECURITY=TLS' KAFKA_SECURITY
refused 'KAFKA_MECHANISM=MD5' KAFKA_MECHANISM
refused 'LOG_FORMAT=xml' LOG_FORMAT
refused 'SSH_KEY=AAAA' SSH_KEY
refused 'TERMINALS=till-1 Till_2' 'number 2'
refused 'TERMINALS=till-1:with:colon' 'number 1' with:colon
refused 'TERMINALS=till-1:hunter2' 'number 1' hunter2
refused 'SIMULATOR=simulator:with:colon' SIMULATOR with:colon
refused 'SIMULATOR=simulator: hunter22' SIMULATOR hunter22
refused 'SIMULATOR=gateway:hunter22' SIMULATOR hunter22
refused 'DASHBOARD_PASSWORD=hunter2' DASHBOARD_PASSWORD hunter2
refused 'KAFKA_USER=a\tb' 'a character that cannot be typed'
touch "$work/refuse"
refused '# the gateway itself' 'kafka.brokers: no'
rm "$work/refuse"
write 'KAFKA_BROKERS=k1:9092'
run
grep -q 'STORE.*is needed' "$report" || fail "Kafka without a store's name: $(cat "$report")"
rm "$boot/comptoir.txt" "$root/run/comptoir/journal.env"
run
grep -q 'is missing' "$report" || fail "comptoir.txt was deleted, and: $(cat "$report")"
is "after all errors" "$(state)" "$before"
# The journal's limit is of the card, not of comptoir.txt: five eighths of the file system that the journal is on.
disk="$(df --block-size=1 --output=size "$root/var/lib/comptoir" | tail -n 1)"
holds run/comptoir/journal.env "COMPTOIR_JOURNAL__MAX_BYTES=$((disk * 5 / 8))"

# ---- who is no longer named has no access; others are kept ----
echo "by-hand/till-1 secret-by-hand" >>"$work/users"
first="$(password_of 007/till-1)"
good 'STORE=007\nTERMINALS=till-1 till-3\n'
is "the tills" "$(cut -d ' ' -f 1 "$work/users" | sort | xargs)" "007/till-1 007/till-3 by-hand/till-1"
is "a till that stays" "$(password_of 007/till-1)" "$first"
[[ ! -e "$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf" && ! -e "$root/root/.ssh/authorized_keys" ]] ||
    fail "Wi-Fi or the key are still there"
! grep -q PASSWORD "$root/etc/comptoir/settings.env" || fail "a password is still there"
good 'STORE=007\nTERMINALS=till-3\n'
is "comptoir-passwords.txt" "$(cut -d ' ' -f 1 "$passwords")" 007/till-3
good 'STORE=008\nTERMINALS=till-3:chosen-by-hand\n'
is "the tills" "$(cut -d ' ' -f 1 "$work/users" | sort | xargs)" "008/till-3 by-hand/till-1"
good 'STORE=008\nTERMINALS=till-3:chosen-anew\n'
is "the password chosen anew" "$(password_of 008/till-3)" chosen-anew

# ---- cut off between noting a made password and setting it: the noted one is set, and no other ----
touch "$work/power-cut"
write 'STORE=008\nTERMINALS=till-4\n'
! run || fail "the power was not cut"
noted="$(sed -n 's|^008/till-4 ||p' "$passwords")"
[[ "$noted" =~ ^[a-z2-7]{24}$ && -z "$(password_of 008/till-4)" ]] || fail "nothing was noted: $(cat "$passwords")"
rm "$work/power-cut"
run || fail "settings failed"
is "the noted password" "$(password_of 008/till-4)" "$noted"
is "comptoir-passwords.txt" "$(cat "$passwords")" "008/till-4 $noted"
