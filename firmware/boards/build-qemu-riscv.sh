#!/usr/bin/env bash
# Builds the till for the emulator. Prints the sizes to standard error and the image's path to standard output.
set -euo pipefail

readonly board="${BASH_SOURCE[0]%/*}/qemu-riscv"
readonly target=riscv32imac-unknown-none-elf
readonly limit_flash=$((256 * 1024)) limit_ram=$((128 * 1024))

# shellcheck source=firmware/boards/bare-metal.sh
source "${BASH_SOURCE[0]%/*}/bare-metal.sh"

build core
# Flash holds code, constants and initial data; RAM holds data and bss.
if command -v readelf >/dev/null; then
    check_sizes "$(bytes_of '^[.](text|init[.]rust|rodata|data$)')" "$limit_flash" \
        "$(bytes_of '^[.](data|bss)$')" "$limit_ram"
fi
printf '%s\n' "$image"
