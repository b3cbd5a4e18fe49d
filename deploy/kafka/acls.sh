#!/usr/bin/env bash
# Sets the Kafka ACLs of a chain of shops: each shop gets only the rights that its gateway needs, and only head office
# may send commands. Uses the tools of Apache Kafka. Every subcommand can be repeated.
#
#   acls.sh office          creates the topics, and head office's user with its rights; password from standard input
#   acls.sh shop STORE      creates the user shop-STORE with its rights; password from standard input
#   acls.sh remove STORE    removes the user shop-STORE and its rights
#   acls.sh list            prints all rights
#
# A password has at least 16 characters out of A-Z a-z 0-9 . _ ~ -, for example: openssl rand -hex 16 | acls.sh shop paris-1
#
# Environment:
# BOOTSTRAP        address of a Kafka broker, host:port; required
# COMMAND_CONFIG   client properties of the administrator (TLS, SASL); none by default
# KAFKA_BIN        folder of kafka-acls.sh, kafka-configs.sh and kafka-topics.sh; PATH by default
# TOPIC_PREFIX     kafka.topic_prefix of the gateways; empty by default
# OFFICE_USER      user of head office (head-office)
# PARTITIONS       partitions of the topics (3)
# REPLICATION      replicas of the topics; the brokers' default if it is empty
# SCRAM_MECHANISM  SCRAM-SHA-512 or SCRAM-SHA-256 (SCRAM-SHA-512)
#
# The brokers need a listener with SASL/SCRAM over TLS, allow.everyone.if.no.acl.found=false, and
# authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer.
set -euo pipefail

readonly here="${BASH_SOURCE[0]}"
usage() { sed -n '/^set/q; 2,$s/^# \{0,1\}//p' "$here"; }
fail() {
    printf 'acls.sh: %s\n' "$*" >&2
    exit 1
}

store=
case "${1:-}" in
office | list) (($# == 1)) || { usage >&2; exit 2; } ;;
shop | remove)
    (($# == 2)) || { usage >&2; exit 2; }
    store="$2"
    [[ "$store" =~ ^[a-z0-9][a-z0-9-]{0,31}$ ]] ||
        fail "\"$store\" is not the name of a store: a-z, 0-9 and -, at most 32 characters, for example paris-1"
    ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 2
    ;;
esac
[[ -n "${BOOTSTRAP:-}" ]] || fail "BOOTSTRAP is not set; write the address of a Kafka broker, for example BOOTSTRAP=kafka-1:9093"
readonly prefix="${TOPIC_PREFIX:-}" office="${OFFICE_USER:-head-office}" mechanism="${SCRAM_MECHANISM:-SCRAM-SHA-512}"
readonly events=(orders payments deliveries) dead_letters=dead-letters audit=audit closings=closings commands=commands gateways=gateways
# The topics of one shop. Gateways of earlier versions shared one watermark topic, which a gateway reads once after its
# upgrade.
readonly shared_watermarks=comptoir-watermarks own_commands="commands.$store" own_watermarks="comptoir-watermarks.$store"
[[ "$office" != shop-* ]] || fail "OFFICE_USER=$office could be the user of a shop; choose a name that does not begin with shop-"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
tool() { # name, arguments...
    local name="$1"
    shift
    local command="${KAFKA_BIN:+$KAFKA_BIN/}$name"
    local -a config=()
    [[ -z "${COMMAND_CONFIG:-}" ]] || config=(--command-config "$COMMAND_CONFIG")
    "$command" --bootstrap-server "$BOOTSTRAP" "${config[@]}" "$@"
}
allow() { # user, arguments...
    local user="$1"
    shift
    tool kafka-acls.sh --add --allow-principal "User:$user" "$@" >/dev/null
}
# Grants the rights to several topics in one call, because each call of a tool takes seconds.
allow_topics() { # user, operations (comma-separated), topics...
    local user="$1" item
    local -a operations arguments=()
    IFS=, read -ra operations <<<"$2"
    shift 2
    for item in "${operations[@]}"; do arguments+=(--operation "$item"); done
    for item; do arguments+=(--topic "$prefix$item"); done
    allow "$user" "${arguments[@]}"
}
set_password() { # user
    local password
    IFS= read -r password || true
    [[ "$password" =~ ^[A-Za-z0-9._~-]{16,}$ ]] ||
        fail "standard input has no valid password: at least 16 characters out of A-Z a-z 0-9 . _ ~ -"
    # The password goes through a file, because the process list shows arguments to everybody.
    (umask 077 && printf '%s=iterations=8192,password=%s\n' "$mechanism" "$password" >"$work/credentials")
    tool kafka-configs.sh --alter --entity-type users --entity-name "$1" --add-config-file "$work/credentials" >/dev/null
}
create_topic() { # name, partitions, settings...
    local -a arguments=(--create --if-not-exists --topic "$prefix$1" --partitions "$2")
    shift 2
    [[ -z "${REPLICATION:-}" ]] || arguments+=(--replication-factor "$REPLICATION")
    local setting
    for setting; do arguments+=(--config "$setting"); done
    tool kafka-topics.sh "${arguments[@]}" >/dev/null
}

# The same settings as when the gateway creates the topics.
create_topics() {
    local partitions="${PARTITIONS:-3}" append=message.timestamp.type=LogAppendTime topic
    for topic in "${events[@]}"; do
        create_topic "$topic" "$partitions" "$append" cleanup.policy=delete max.message.bytes=1048588
    done
    create_topic "$audit" "$partitions" "$append" cleanup.policy=delete max.message.bytes=1048588
    create_topic "$closings" "$partitions" "$append" cleanup.policy=delete retention.ms=-1 max.message.bytes=1048588
    create_topic "$dead_letters" "$partitions" "$append" cleanup.policy=delete max.message.bytes=4194304
    create_topic "$commands" "$partitions"
    create_topic "$gateways" 1 "$append" cleanup.policy=compact segment.bytes=1048576 segment.ms=3600000 \
        min.cleanable.dirty.ratio=0.1
}
create_shop_topics() {
    create_topic "$own_commands" 1
    create_topic "$own_watermarks" 1 message.timestamp.type=LogAppendTime cleanup.policy=compact \
        max.message.bytes=1048588 segment.bytes=1048576 segment.ms=86400000 min.cleanable.dirty.ratio=0.1
}

case "$1" in
office)
    set_password "$office"
    create_topics
    allow_topics "$office" Read,Describe,DescribeConfigs "${events[@]}" "$dead_letters" "$audit" "$closings" \
        "$gateways"
    allow_topics "$office" Write,Read,Describe,DescribeConfigs "$commands"
    allow "$office" --group "$prefix$office" --resource-pattern-type prefixed --operation Read --operation Describe
    printf 'acls.sh: %s may read the events and write %s\n' "$office" "$prefix$commands"
    ;;
shop)
    user="shop-$store"
    id="${prefix}comptoir-$store"
    set_password "$user"
    create_shop_topics
    # Read, because a gateway that has lost its watermark searches for its own last record.
    allow_topics "$user" Write,Read,Describe,DescribeConfigs "${events[@]}" "$dead_letters" "$audit" "$closings" \
        "$own_watermarks"
    allow_topics "$user" Write,Describe,DescribeConfigs "$gateways"
    allow_topics "$user" Read,Describe,DescribeConfigs "$commands" "$own_commands"
    allow_topics "$user" Read,Describe "$shared_watermarks"
    allow_topics "$office" Write,Read,Describe,DescribeConfigs "$own_commands"
    # Literal names: a prefix would also cover the store $store-2.
    allow "$user" --transactional-id "$id" --operation Write --operation Describe
    allow "$user" --group "$id" --group "$id-commands" --operation Read --operation Describe
    cat <<END
acls.sh: $user has the rights of the gateway with store = "$store". In its gateway.toml:

[kafka.properties]
"security.protocol" = "sasl_ssl"
"sasl.mechanism" = "$mechanism"
"sasl.username" = "$user"

and in its secrets.env: COMPTOIR_KAFKA__PROPERTIES__SASL_PASSWORD=…
END
    ;;
remove)
    user="shop-$store"
    id="${prefix}comptoir-$store"
    topics=()
    for topic in "${events[@]}" "$dead_letters" "$audit" "$closings" "$gateways" "$commands" "$own_commands" \
        "$own_watermarks" "$shared_watermarks"; do topics+=(--topic "$prefix$topic"); done
    tool kafka-acls.sh --remove --force --allow-principal "User:$user" "${topics[@]}" --transactional-id "$id" \
        --group "$id" --group "$id-commands" >/dev/null
    tool kafka-configs.sh --alter --entity-type users --entity-name "$user" --delete-config "$mechanism" >/dev/null
    printf 'acls.sh: %s is removed; its open connections end when they authenticate again\n' "$user"
    ;;
list) tool kafka-acls.sh --list ;;
esac
