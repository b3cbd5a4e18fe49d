# shellcheck shell=bash
# The packaged Mosquitto configuration: permissions, limits, TLS, and the scripts that manage users and certificate.

readonly tills_port=18831 gateway_port=18841 tls_port=18832
readonly installed="$work/installed"
readonly folder="$installed/etc/mosquitto" secrets="$installed/etc/comptoir/secrets.env"

terminal() { TERMINAL_ROOT="$installed" deploy/debian/comptoir-terminal "$@"; }
certificate() { TERMINAL_ROOT="$installed" deploy/mosquitto/mqtt-certificate; }
password_of() { sed -n "s|^$1 ||p" "$work/printed"; }

# ---- as the package installs it ----

install_files() {
    mkdir -p "$folder/conf.d" "$installed"/etc/{comptoir,ssh} "$installed"/usr/{share,lib}/comptoir
    cp deploy/mosquitto/comptoir.conf "$installed/usr/share/comptoir/mosquitto.conf"
    cp deploy/mosquitto/comptoir-tls.conf "$installed/usr/share/comptoir/mosquitto-tls.conf"
    cp deploy/mosquitto/comptoir.acl "$installed/usr/share/comptoir/mosquitto.acl"
    cp deploy/mosquitto/mqtt-certificate "$installed/usr/lib/comptoir"
    # Mosquitto drops root privileges.
    chmod a+rx "$work" "$installed" "$installed/etc"
}
set_up() {
    install_files
    terminal setup && terminal add paris-1/till-1 && terminal add paris-1/till-2 && terminal add-any simulator
}
set_up_again_changes_nothing() {
    local before
    before="$(cd "$installed" && find etc -type f -exec sha256sum {} + | sort)"
    terminal setup && certificate && [[ "$before" == "$(cd "$installed" && find etc -type f -exec sha256sum {} + | sort)" ]]
}
modes() {
    stat -c '%U:%G:%a %n' "$folder"/comptoir-tls/* "$folder"/comptoir.{passwords,acl} "$secrets"
    [[ "$(stat -c %U:%G:%a "$folder/comptoir-tls/server.pem")" == root:mosquitto:640 ]] &&
        [[ "$(stat -c %U:%a "$folder/comptoir-tls/authority-key.pem")" == root:600 ]] &&
        [[ "$(stat -c %U:%a "$secrets")" == root:600 ]]
}
# The secrets.env of versions that had no listener on port 1884.
upgrade_of_secrets() {
    local password
    password="$(sed -nE 's#^COMPTOIR_MQTT__URL=mqtt://gateway:([a-z2-7]{24})@127.0.0.1:1884$#\1#p' "$secrets")"
    [[ -n "$password" ]] || return 1
    printf 'COMPTOIR_MQTT__URL=mqtt://gateway:%s@127.0.0.1:1883\nCOMPTOIR_HTTP__PASSWORD=at:1883\n' "$password" >"$secrets"
    terminal setup
    cat "$secrets"
    [[ "$(cat "$secrets")" == "COMPTOIR_MQTT__URL=mqtt://gateway:$password@127.0.0.1:1884"$'\n'COMPTOIR_HTTP__PASSWORD=at:1883 ]]
}
own_configuration_stays() {
    sed -i 1,2d "$folder/conf.d/comptoir.conf"
    terminal setup
    ! grep -q 'Made by' "$folder/conf.d/comptoir.conf" && cp deploy/mosquitto/comptoir.conf "$folder/conf.d/comptoir.conf"
}

start_mosquitto() {
    {
        printf 'persistence true\npersistence_location %s/\nlog_dest stderr\n' "$work/data"
        sed -e "s#^listener 1883#listener $tills_port 127.0.0.1#" -e "s#^listener 1884#listener $gateway_port#" \
            -e "s#^listener 8883#listener $tls_port 127.0.0.1#" -e "s#/etc/mosquitto#$folder#" \
            "$folder"/conf.d/comptoir{-tls,}.conf
    } >"$work/mosquitto.conf"
    mkdir -p "$work/data"
    chown mosquitto "$work/data"
    # The same limit as in mosquitto.service.d/comptoir.conf.
    (ulimit -n 16384 && exec mosquitto -c "$work/mosquitto.conf") >"$work/mosquitto.log" 2>&1 &
    mosquitto=$!
    for _ in {1..50}; do
        ! as_gateway pub -t pos/paris-1/till-1/ack -m x 2>/dev/null || return 0
        sleep 0.1
    done
    cat "$work/mosquitto.log"
    return 1
}

# ---- clients ----

as_gateway() { # pub|sub, arguments
    "mosquitto_$1" -V 5 -h 127.0.0.1 -p "$gateway_port" -u gateway -P "$(sed -nE 's#.*//gateway:([^@]+)@.*#\1#p' "$secrets")" \
        -q 1 "${@:2}"
}
as_till() { # name, pub|sub, arguments
    "mosquitto_$2" -V 5 -h 127.0.0.1 -p "$tills_port" -u "paris-1/$1" -P "$(password_of "paris-1/$1")" -q 1 "${@:3}"
}
may() { # till, topic
    local said
    said="$(as_till "$1" pub -t "$2" -m x 2>&1)" && [[ -z "$said" ]]
}
may_not() { as_till "$1" pub -t "$2" -m x 2>&1 | grep -qi 'not authori'; }
may_not_anonymous() {
    ! mosquitto_pub -V 5 -h 127.0.0.1 -p "$tills_port" -q 1 -t pos/paris-1/till-1/orders -m x
}
declare -i log_lines=0
from_here() { log_lines="$(wc -l <"$work/mosquitto.log")"; }
new_log() { tail -n "+$((log_lines + 1))" "$work/mosquitto.log"; }
logged() { # pattern; waits up to 5 s
    for _ in {1..50}; do
        ! new_log | grep -q "$1" || return 0
        sleep 0.1
    done
    new_log
    return 1
}

# ---- client ids ----

# A client that stays connected, as the gateway does.
stays_connected() { # client id of the gateway, command of the attacker
    local gateway_client result=1
    from_here
    as_gateway sub -i "$1" -c -t 'pos/+/+/orders' -C 1 -W 20 >"$work/received" 2>&1 &
    gateway_client=$!
    logged "as $1 (" || return 1
    "${@:2}" || true
    may till-2 pos/paris-1/till-2/orders && wait "$gateway_client" && result=0
    cat "$work/received"
    new_log
    ! new_log | grep -q "Client $1 .*closing old connection" && return "$result"
}
a_till_with_the_gateway_s_id() {
    stays_connected comptoir-paris-1 as_till till-1 pub -i comptoir-paris-1 -t pos/paris-1/till-1/status -m online
}
a_till_with_another_till_s_id() {
    from_here
    as_till till-2 sub -i paris-1/till-2 -t pos/paris-1/till-2/ack -C 1 -W 20 &
    local other=$!
    logged "as paris-1/till-2 (" || return 1
    may till-1 pos/paris-1/till-1/status && as_till till-1 pub -i paris-1/till-2 -t pos/paris-1/till-1/status -m online
    as_gateway pub -t pos/paris-1/till-2/ack -m x && wait "$other" &&
        ! new_log | grep -q 'Client paris-1/till-2 already connected'
}
# A positive control: what the two tests above would find in the log if an id could be taken over.
a_second_connection_of_a_till_closes_its_first() {
    from_here
    as_till till-1 sub -t pos/paris-1/till-1/commands -C 1 -W 20 >/dev/null 2>&1 &
    local first=$!
    logged "as paris-1/till-1 (" && may till-1 pos/paris-1/till-1/status &&
        logged 'Client paris-1/till-1 already connected, closing old connection'
    local result=$?
    # Kills mosquitto_sub itself, which would otherwise reconnect.
    pkill -P "$first"
    return "$result"
}
the_gateway_has_several_ids() {
    stays_connected comptoir-paris-1 as_gateway pub -i comptoir-check-1 -t pos/paris-1/till-1/ack -m x
}

# ---- limits ----

limits() { python3 -B deploy/test/operations/mqtt_limits.py "$tills_port" "$gateway_port" paris-1/till-1 "$(password_of paris-1/till-1)" \
    "$(sed -nE 's#.*//gateway:([^@]+)@.*#\1#p' "$secrets")" "$1"; }

# ---- TLS ----

over_tls() { # host, CA file
    mosquitto_pub -V 5 -h "$1" -p "$tls_port" --cafile "$2" -u paris-1/till-1 -P "$(password_of paris-1/till-1)" -q 1 \
        -t pos/paris-1/till-1/orders -m x
}
another_authority_is_refused() {
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout "$work/other.key" -out "$work/other.pem" 2>/dev/null
    ! over_tls localhost "$work/other.pem"
}
a_name_outside_the_local_network_is_refused() {
    local key="$folder/comptoir-tls/authority-key.pem" from="$folder/comptoir-tls/authority.pem"
    openssl req -new -newkey rsa:2048 -nodes -subj /CN=bank.example -keyout "$work/bank.key" -out "$work/bank.csr" 2>/dev/null
    openssl x509 -req -in "$work/bank.csr" -CA "$from" -CAkey "$key" -set_serial 7 -days 9 -out "$work/bank.pem" \
        -extfile <(printf 'subjectAltName=DNS:bank.example\n') 2>/dev/null
    (openssl verify -CAfile "$from" "$work/bank.pem" 2>&1 || true) | grep -i 'permitted subtree violation'
}
serial() { openssl x509 -in "$folder/comptoir-tls/server.pem" -noout -serial; }
renewed_before_it_expires() {
    local before after authority
    authority="$(sha256sum "$folder/comptoir-tls/authority.pem")"
    before="$(serial)"
    certificate && [[ "$(serial)" == "$before" ]] || return 1
    # The same authority and names, valid for one more day.
    openssl x509 -in "$folder/comptoir-tls/server.pem" -x509toreq -copy_extensions copyall \
        -signkey "$folder/comptoir-tls/server.pem" -out "$work/again.csr" 2>/dev/null
    openssl x509 -req -in "$work/again.csr" -CA "$folder/comptoir-tls/authority.pem" -copy_extensions copyall -days 1 \
        -CAkey "$folder/comptoir-tls/authority-key.pem" -set_serial 8 -out "$work/again.pem" 2>/dev/null
    openssl pkey -in "$folder/comptoir-tls/server.pem" >>"$work/again.pem"
    cat "$work/again.pem" >"$folder/comptoir-tls/server.pem"
    certificate
    after="$(serial)"
    printf '%s %s\n' "$before" "$after"
    [[ "$after" != "$before" && "$after" != serial=08 && "$(sha256sum "$folder/comptoir-tls/authority.pem")" == "$authority" ]] &&
        from_here && kill -HUP "$mosquitto" && logged 'Reloading config' &&
        over_tls localhost "$folder/comptoir-tls/authority.pem" && is_served "$after"
}
is_served() { # serial
    [[ "$(openssl s_client -connect "127.0.0.1:$tls_port" </dev/null 2>/dev/null | openssl x509 -noout -serial)" == "$1" ]]
}
a_certificate_of_one_s_own_stays() {
    local kept="$work/kept.pem"
    cp -p "$folder/comptoir-tls/server.pem" "$kept"
    cat "$work/other.pem" "$work/other.key" >"$folder/comptoir-tls/server.pem"
    certificate && cmp <(cat "$work/other.pem" "$work/other.key") "$folder/comptoir-tls/server.pem"
    local result=$?
    cp -p "$kept" "$folder/comptoir-tls/server.pem"
    return "$result"
}

# ---- revoking ----

revoke() {
    cp "$work/printed" "$work/stolen"
    cp "$secrets" "$work/stolen-secrets"
    cp "$folder/comptoir-tls/authority.pem" "$work/stolen.pem"
    install -m 0600 /dev/null "$installed/etc/ssh/ssh_host_ed25519_key"
    mkdir -p "$installed/var/lib/comptoir"
    touch "$installed"/var/lib/comptoir/journal{.db,-authority.pem,-authority.crt,-certificate.pem}
    terminal revoke --all >"$work/printed" && kill -HUP "$mosquitto"
    [[ "$(cut -d ' ' -f 1 "$work/printed" | xargs)" == "paris-1/till-1 paris-1/till-2 simulator" ]] &&
        [[ -s "$installed/etc/ssh/ssh_host_ed25519_key" && "$(ls "$installed/var/lib/comptoir")" == journal.db ]] || return 1
    for _ in {1..50}; do
        ! may till-1 pos/paris-1/till-1/status || break
        sleep 0.1
    done
    may till-1 pos/paris-1/till-1/status && as_gateway pub -t pos/paris-1/till-1/ack -m x &&
        over_tls localhost "$folder/comptoir-tls/authority.pem" && ! over_tls localhost "$work/stolen.pem" || return 1
    # The stolen credentials no longer work.
    ! mosquitto_pub -V 5 -h 127.0.0.1 -p "$tills_port" -u paris-1/till-1 -P "$(sed -n 's|^paris-1/till-1 ||p' "$work/stolen")" \
        -q 1 -t pos/paris-1/till-1/status -m x &&
        ! as_stolen_gateway
}
as_stolen_gateway() {
    mosquitto_pub -V 5 -h 127.0.0.1 -p "$gateway_port" -u gateway -q 1 -t pos/paris-1/till-1/ack -m x \
        -P "$(sed -nE 's#.*//gateway:([^@]+)@.*#\1#p' "$work/stolen-secrets")"
}

if ! has mosquitto || ! has mosquitto_pub || ! has mosquitto_passwd; then
    skip "Mosquitto is not installed" "mosquitto and mosquitto-clients"
elif ((EUID != 0)) || ! getent group mosquitto >/dev/null; then
    skip "Mosquitto: the scripts that manage its users need root rights"
else
    try "comptoir-terminal setup, add, add-any" set_up
    cp "$work/log" "$work/printed"
    try "comptoir-terminal setup a second time changes nothing" set_up_again_changes_nothing
    try "keys and passwords are for root and Mosquitto only" modes
    try "an upgrade moves the gateway to its own listener" upgrade_of_secrets
    try "a configuration of one's own stays" own_configuration_stays
    try "Mosquitto starts with the packaged configuration" start_mosquitto
    for topic in orders payments deliveries status; do
        try "a till may publish its $topic" may till-1 "pos/paris-1/till-1/$topic"
        try "a till may not publish another till's $topic" may_not till-1 "pos/paris-1/till-2/$topic"
    done
    try "a till may not publish acknowledgements" may_not till-1 pos/paris-1/till-1/ack
    try "a till may not publish commands" may_not till-2 pos/paris-1/till-2/commands
    try "a client without a password may not publish" may_not_anonymous
    try "the gateway may publish acknowledgements" as_gateway pub -t pos/paris-1/till-2/ack -m x
    try "a till cannot take the gateway's client id" a_till_with_the_gateway_s_id
    try "a till cannot take another till's client id" a_till_with_another_till_s_id
    try "a second connection of a till closes its first" a_second_connection_of_a_till_closes_its_first
    try "comptoir-check does not close the gateway's connection" the_gateway_has_several_ids
    for limit in packet qos connections queue; do
        try "limit in force: $limit" limits "$limit"
    done
    try "MQTT over TLS, with the local authority's certificate" over_tls localhost "$folder/comptoir-tls/authority.pem"
    try "MQTT over TLS to an address" over_tls 127.0.0.1 "$folder/comptoir-tls/authority.pem"
    try "a client that trusts another authority does not connect" another_authority_is_refused
    try "the authority cannot vouch for names of the internet" a_name_outside_the_local_network_is_refused
    try "the certificate is renewed before it expires, by the same authority" renewed_before_it_expires
    try "a certificate of one's own is not replaced" a_certificate_of_one_s_own_stays
    try "comptoir-terminal revoke --all makes stolen passwords and keys worthless" revoke
fi
