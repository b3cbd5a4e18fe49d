#!/usr/bin/env bash
# Runs an emulated till with Mosquitto, the gateway and its dashboard.
#
#   demo-qemu-riscv.sh GATEWAY IMAGE
#
# Environment: MQTT_PORT (default 18830), HTTP_PORT (default 8080), and KILL_EVERY (default 20): the number of seconds after
# which the emulator is killed and restarted with the same flash; 0: never.
set -euo pipefail

readonly gateway="$1" image="$2"
readonly mqtt_port="${MQTT_PORT:-18830}" http_port="${HTTP_PORT:-8080}" kill_every="${KILL_EVERY:-20}"

fail() {
    printf 'firmware-demo: %s\n' "$*" >&2
    exit 1
}

PATH="$PATH:/usr/sbin:/usr/local/sbin"
command -v mosquitto >/dev/null || fail "mosquitto was not found: install Debian's mosquitto"
command -v qemu-system-riscv32 >/dev/null || fail "qemu-system-riscv32 was not found: install Debian's qemu-system-misc"

folder="$(mktemp -d)"
declare -a children=()
end() {
    ((${#children[@]} == 0)) || kill "${children[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' INT TERM

printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$mqtt_port" >"$folder/mosquitto.conf"
mosquitto -c "$folder/mosquitto.conf" >"$folder/mosquitto.log" 2>&1 &
children+=($!)
COMPTOIR_STORE=paris-1 COMPTOIR_MQTT__URL="mqtt://127.0.0.1:$mqtt_port" COMPTOIR_JOURNAL__PATH="$folder/journal.db" \
    COMPTOIR_HTTP__LISTEN="127.0.0.1:$http_port" COMPTOIR_HTTP__OPEN=true "$gateway" run >"$folder/gateway.log" 2>&1 &
children+=($!)

# Erased flash with the settings in the middle.
head -c $((32 << 20)) /dev/zero | tr '\0' '\377' >"$folder/flash.img"
printf 'store=paris-1;device=till-7;port=%s;pace=700;seed=%s' "$mqtt_port" "$RANDOM" |
    dd of="$folder/flash.img" bs=1M seek=16 conv=notrunc status=none

printf 'firmware-demo: the dashboard is at http://127.0.0.1:%s/ ; press Ctrl-C to stop\n' "$http_port"
while true; do
    qemu-system-riscv32 -machine virt -m 16 -nographic -monitor none -serial stdio -bios "$image" \
        -drive "if=pflash,unit=1,format=raw,file=$folder/flash.img" \
        -netdev user,id=n0 -device virtio-net-device,netdev=n0 </dev/null &
    board=$!
    children[2]=$board
    if ((kill_every == 0)); then
        wait "$board"
        break
    fi
    sleep "$kill_every" &
    wait $!
    printf 'firmware-demo: power cut\n'
    kill -KILL "$board"
    wait "$board" 2>/dev/null || true
done
