#!/usr/bin/env bash
# Builds the till, writes it to a board on a USB port, and shows the board's serial line: flash-esp32c3.sh [PORT]
#
# The settings and the queue are kept: this writes the partition table, but not their partitions.
set -euo pipefail

readonly here="${BASH_SOURCE[0]%/*}" port="${1:-}"

PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
if ! command -v espflash >/dev/null; then
    printf "flash-esp32c3: espflash was not found: run 'cargo install espflash --locked'\n" >&2
    exit 1
fi
image="$("$here/build-esp32c3.sh")"
exec espflash flash --chip esp32c3 --partition-table "$here/esp32c3/partitions.csv" --monitor \
    ${port:+--port "$port"} "$image"
