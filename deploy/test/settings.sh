#!/usr/bin/env bash
# Applies a series of comptoir.txt files with the image's `settings` script and a real gateway, in a root directory of
# its own. A stub of comptoir-terminal records the MQTT users.
#
#   deploy/test/settings.sh [GATEWAY]     default: the newest gateway in the target directory
#
# The unit tests of gateway/src/cli/settings check every key and message. This test checks that the script installs all
# results or none, keeps the MQTT users and their passwords right, and leaves no secret on the boot partition.
set -euo pipefail

max_arguments=1
# shellcheck source-path=SCRIPTDIR
source "${BASH_SOURCE[0]%/*}/common.sh"
readonly settings="$here/../image/files/usr/lib/comptoir/settings"
gateway="${1:-}"
if [[ -z "$gateway" ]]; then
    gateway="$(find "${CARGO_TARGET_DIR:-$here/../../target}" -maxdepth 2 -name gateway -type f -perm -u+x -printf '%T@ %p\n' |
        sort -rn | head -n 1 | cut -d ' ' -f 2-)"
fi
[[ -x "$gateway" ]] || fail "there is no gateway to test; build one: cargo build -p comptoir-gateway --bin gateway"

readonly root="$work/root"
readonly boot="$root/boot/firmware" report="$root/boot/firmware/comptoir-settings.log"
readonly passwords="$root/boot/firmware/comptoir-passwords.txt" problems="$root/run/comptoir/settings-problems"
readonly wifi="$root/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"

mkdir -p "$work/bin" "$boot" "$root/etc/comptoir" "$root/usr/share/zoneinfo/Europe" "$root/run" \
    "$root/var/lib/comptoir"
: >"$root/usr/share/zoneinfo/Europe/Paris"
: >"$root/etc/comptoir/gateway.toml"
ln -s "$(readlink -f "$gateway")" "$work/bin/gateway"
# One line per user: name, password.
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
chmod +x "$work/bin/comptoir-terminal"

run() { SETTINGS_ROOT="$root" WORK="$work" PATH="$work/bin:$PATH" "$settings" >"$work/output" 2>&1; }
write() { printf '%b' "$1" >"$boot/comptoir.txt"; }
apply() {
    write "$1"
    run || fail "the script failed"
    [[ ! -e "$report" && ! -e "$problems" ]] || fail "refused: $1: $(cat "$report")"
}
# Passwords without the heading.
shown() { grep -v '^#' "$passwords"; }
nowhere_on_the_card() { # pattern
    ! grep -raE "$1" "$boot" || fail "a secret is on the boot partition"
}
has_line() { # file, line
    grep -qxF -- "$2" "$root/$1" || fail "$1 has no line $2: $(cat "$root/$1")"
}
equal() { [[ "$2" == "$3" ]] || fail "$1: $2 instead of $3"; }
# Everything that the script may change.
state() { (cd "$root" && find etc root -type f -exec sha256sum {} + | sort && readlink etc/localtime && sort "$work/users"); }
password_of() { sed -n "s|^$1 ||p" "$work/users"; }
users() { cut -d ' ' -f 1 "$work/users" | sort | xargs; }

# ---- a full file, as Windows' Notepad writes it: byte-order mark, CR LF, no newline at the end ----

# The hard link shows what a card reader would find in the file's old clusters.
: >"$boot/comptoir.txt"
ln "$boot/comptoir.txt" "$work/clusters"
apply "\xef\xbb\xbf# a comment\r\nSTORE=007\r\n HOSTNAME = counter \r\nWIFI_COUNTRY=FR\r\nWIFI_SSID=Zoé\r\n\
WIFI_PASSWORD=pass word's \"1\"\r\nTIMEZONE=Europe/Paris\r\nKAFKA_BROKERS=k1:9092,k2:9092\r\n\
KAFKA_SECURITY=SASL_SSL\r\nKAFKA_MECHANISM=SCRAM-SHA-512\r\nKAFKA_USER=0042\r\nKAFKA_PASSWORD=a\\\\\\\\b\"c=\$d#\r\n\
TERMINALS=till-1 till-2:chosen-by-hand\r\nSIMULATOR=simulator:long-enough\r\nDASHBOARD_PASSWORD=0042 0042\r\n\
SSH_KEY=ssh-ed25519 AAAAC3Nz me@there"
has_line etc/comptoir/settings.env 'COMPTOIR_STORE="\"007\""'
# shellcheck disable=SC2016 # a $ in a password
has_line etc/comptoir/settings.env 'COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD="a\\\\b\"c=$d#"'
equal "mode of settings.env" "$(stat -c %a "$root/etc/comptoir/settings.env")" 600
has_line etc/hostname counter
has_line etc/wpa_supplicant/wpa_supplicant-wlan0.conf "    ssid=5a6fc3a9"
equal "mode of the Wi-Fi settings" "$(stat -c %a "$wifi")" 600
equal "time zone" "$(readlink "$root/etc/localtime")" /usr/share/zoneinfo/Europe/Paris
has_line root/.ssh/authorized_keys "ssh-ed25519 AAAAC3Nz me@there"
equal "mode of .ssh" "$(stat -c %a "$root/root/.ssh")" 700
equal "users" "$(users)" "007/till-1 007/till-2 simulator"
equal "the chosen password" "$(password_of 007/till-2)" chosen-by-hand
equal "the simulator's password" "$(password_of simulator)" long-enough
equal "comptoir-passwords.txt" "$(shown)" "007/till-1 $(password_of 007/till-1)"
! grep -qE 'chosen-by-hand|long-enough|0042|pass word|'"$(password_of 007/till-1)" "$work/output" ||
    fail "a password is in the log"

# ---- secrets are stored, and erased on the boot partition ----

readonly secrets='chosen-by-hand|long-enough|0042 0042|pass word|c=.d#|AAAAC3Nz'
nowhere_on_the_card "$secrets"
cmp -s "$work/clusters" <(head -c "$(stat -c %s "$work/clusters")" /dev/zero) || fail "the old file was not overwritten"
has_line boot/firmware/comptoir.txt $'WIFI_PASSWORD=(stored)\r'
has_line boot/firmware/comptoir.txt $'TERMINALS=till-1 till-2:(stored)\r'
has_line boot/firmware/comptoir.txt 'SSH_KEY=(stored)'
equal "mode of the stored secrets" "$(stat -c %a "$root/etc/comptoir/card-secrets")" 600

# ---- applying the same file again changes nothing; neither does a file with an error ----

before="$(state)"
with_markers="$(cat "$boot/comptoir.txt")"
run || fail "the script failed"
equal "after the second time" "$(state)" "$before"
equal "comptoir.txt after the second time" "$(cat "$boot/comptoir.txt")" "$with_markers"
refuse() { # a further line of comptoir.txt, a part of the report
    write "STORE=other\nTERMINALS=till-9\n$1\n"
    run || fail "the script failed at $1"
    grep -qF -- "$2" "$report" || fail "$1: the report lacks $2: $(cat "$report")"
    grep -qF -- "$2" <(sed 's/\t\t/: /; s/\t/: /g' "$problems") || fail "$1: the gateway page lacks $2: $(cat "$problems")"
    grep -qF -- "$2" "$work/output" || fail "$1: the screen lacks $2"
    equal "after $1" "$(state)" "$before"
}
refuse 'KAFKA_BROKER=x' 'comptoir.txt, line 3: KAFKA_BROKER: there is no such setting; did you mean KAFKA_BROKERS?'
refuse 'TIMEZONE=Mars' 'comptoir.txt, line 3: TIMEZONE: "Mars" is not a known time zone'
refuse 'SSH_KEY=ssh-ed25519 BBBB thief' 'SSH_KEY: a key counts only at the first start of a card'
refuse 'DASHBOARD_PASSWORD=hunter2' 'DASHBOARD_PASSWORD: the value is not a password'
! grep -rq hunter2 "$report" "$problems" "$work/output" || fail "a password is shown"
# Only the gateway itself knows what a broker's address looks like.
refuse 'KAFKA_BROKERS=no port' 'kafka.brokers'
rm "$boot/comptoir.txt" "$root/run/comptoir/journal.env"
run || fail "the script failed without comptoir.txt"
grep -q 'the file is missing' "$report" || fail "the report on a missing file: $(cat "$report")"
rm "$work/bin/gateway"
printf '#!/bin/sh\necho "gateway: out of memory" >&2\nexit 1\n' >"$work/bin/gateway"
chmod +x "$work/bin/gateway"
run || fail "the script failed with a gateway that fails"
equal "the problem" "$(cat "$problems")" $'comptoir.txt\t\tgateway: out of memory '
ln -sf "$(readlink -f "$gateway")" "$work/bin/gateway"
equal "after all errors" "$(state)" "$before"
# The journal's limit follows the card, whatever comptoir.txt contains.
disk="$(df --block-size=1 --output=size "$root/var/lib/comptoir" | tail -n 1)"
has_line run/comptoir/journal.env "COMPTOIR_JOURNAL__MAX_BYTES=$((disk * 5 / 8))"

# ---- a new value takes the place of a stored one; others stay ----

with_password() { # line of KAFKA_PASSWORD
    printf '%s\n' STORE=007 TERMINALS=till-1 KAFKA_BROKERS=k1:9092 "$1" DASHBOARD_PASSWORD='(stored)' \
        'SSH_KEY=ssh-ed25519 AAAAC3Nz me@there'
}
apply "$(with_password KAFKA_PASSWORD=another)"
has_line etc/comptoir/settings.env 'COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD="another"'
has_line etc/comptoir/settings.env 'COMPTOIR_HTTP__PASSWORD="0042 0042"'
has_line root/.ssh/authorized_keys "ssh-ed25519 AAAAC3Nz me@there"
equal "comptoir.txt" "$(grep -c '=(stored)$' "$boot/comptoir.txt")" 3
# Keys that an administrator adds on the Pi stay.
echo 'ssh-ed25519 CCCC admin' >>"$root/root/.ssh/authorized_keys"
run || fail "the script failed"
has_line root/.ssh/authorized_keys "ssh-ed25519 CCCC admin"

# ---- a power cut between storing a secret and erasing it: it is in both places, and the next start erases it ----

cat >"$work/bin/sync" <<'END'
#!/bin/sh
case "$*" in *boot/firmware*) [ ! -e "$WORK/power-cut" ] || exit 1 ;; esac
exec /bin/sync "$@"
END
chmod +x "$work/bin/sync"
touch "$work/power-cut"
write "$(with_password KAFKA_PASSWORD=third-one)"
! run || fail "the power was not cut"
has_line boot/firmware/comptoir.txt KAFKA_PASSWORD=third-one
has_line etc/comptoir/card-secrets KAFKA_PASSWORD=third-one
rm "$work/power-cut"
run || fail "the script failed"
nowhere_on_the_card third-one
has_line etc/comptoir/settings.env 'COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD="third-one"'

# ---- a file of another card: its secrets are not here ----

mv "$root/etc/comptoir/card-secrets" "$work/card-secrets"
run || fail "the script failed"
grep -q 'KAFKA_PASSWORD: this card has no stored value' "$report" || fail "the report: $(cat "$report")"
mv "$work/card-secrets" "$root/etc/comptoir/card-secrets"
run || fail "the script failed"
[[ ! -e "$report" ]] || fail "refused with the stored secrets"

# ---- the tills' generated passwords are erased a week after they were shown ----

cat >"$work/bin/timedatectl" <<'END'
#!/bin/sh
cat "$WORK/synchronised"
END
cat >"$work/bin/date" <<'END'
#!/bin/sh
cat "$WORK/now"
END
chmod +x "$work/bin/timedatectl" "$work/bin/date"
forget_at() { # synchronised, seconds
    echo "$1" >"$work/synchronised"
    echo "$2" >"$work/now"
    SETTINGS_ROOT="$root" WORK="$work" PATH="$work/bin:$PATH" "${settings%/*}/forget-passwords" >>"$work/output" 2>&1
}
ln "$passwords" "$work/shown"
readonly week=$((7 * 24 * 3600))
forget_at no 1000
forget_at no $((1000 + 10 * week))
forget_at yes $((20 * week))
forget_at yes $((21 * week))
shown >/dev/null || fail "the passwords were erased too early"
echo "007/till-8 aaaaaaaaaaaaaaaaaaaaaaaa" >>"$passwords"
forget_at yes $((22 * week))
forget_at yes $((23 * week))
shown >/dev/null || fail "new passwords were erased too early"
forget_at yes $((23 * week + 1))
[[ ! -e "$passwords" ]] || fail "the passwords are still there"
! grep -qa till "$work/shown" || fail "the passwords were not overwritten"
forget_at yes $((24 * week))
rm "$work/bin/date"

# ---- the setup code is on the boot partition as long as the gateway has one ----

readonly code="$root/var/lib/comptoir/setup-code" shown_code="$boot/comptoir-setup-code.txt"
show_code() { SETTINGS_ROOT="$root" "${settings%/*}/setup-code" || fail "setup-code failed"; }
show_code
[[ ! -e "$shown_code" ]] || fail "there is a setup code"
for text in 1234-5678 8765-4321; do
    echo "$text" >"$code"
    show_code
    equal "the setup code" "$(cat "$shown_code")" "$text"
done
ln "$shown_code" "$work/code"
rm "$code"
show_code
[[ ! -e "$shown_code" ]] || fail "the setup code is still there"
! grep -qa 4321 "$work/code" || fail "the setup code was not overwritten"

# ---- a user that comptoir.txt no longer names is removed; a user that was added by hand stays ----

echo "by-hand/till-1 secret-by-hand" >>"$work/users"
first="$(password_of 007/till-1)"
apply 'STORE=007\nTERMINALS=till-1 till-3\n'
equal "users" "$(users)" "007/till-1 007/till-3 by-hand/till-1"
equal "the password of a till that stays" "$(password_of 007/till-1)" "$first"
[[ ! -e "$wifi" && ! -e "$root/root/.ssh/authorized_keys" ]] || fail "the Wi-Fi settings or the SSH key are still there"
! grep -q PASSWORD "$root/etc/comptoir/settings.env" || fail "a password is still in settings.env"
apply 'STORE=007\nTERMINALS=till-3\n'
equal "comptoir-passwords.txt" "$(shown | cut -d ' ' -f 1)" 007/till-3
apply 'STORE=008\nTERMINALS=till-3:chosen-by-hand\n'
equal "users" "$(users)" "008/till-3 by-hand/till-1"
apply 'STORE=008\nTERMINALS=till-3:another-one\n'
equal "the new password" "$(password_of 008/till-3)" another-one
[[ ! -e "$passwords" ]] || fail "comptoir-passwords.txt is still there: $(cat "$passwords")"
# comptoir-terminal revoke empties the mark. Then (stored) does not bring the old password back; it counts again only if
# the owner writes it again.
sed -i 's/another-one/revoked/' "$work/users"
: >"$root/etc/comptoir/terminals/008_till-3"
run || fail "the script failed"
equal "a revoked password" "$(password_of 008/till-3)" revoked
apply 'STORE=008\nTERMINALS=till-3:another-one\n'
equal "the password that was written again" "$(password_of 008/till-3)" another-one

# ---- a power cut between noting a generated password and setting it: the next start sets the noted one ----

touch "$work/power-cut"
write 'STORE=008\nTERMINALS=till-4\n'
! run || fail "the power was not cut"
noted="$(sed -n 's|^008/till-4 ||p' "$passwords")"
[[ "$noted" =~ ^[a-z2-7]{24}$ && -z "$(password_of 008/till-4)" ]] || fail "nothing was noted: $(cat "$passwords")"
rm "$work/power-cut"
run || fail "the script failed"
equal "the noted password" "$(password_of 008/till-4)" "$noted"
equal "comptoir-passwords.txt" "$(shown)" "008/till-4 $noted"
