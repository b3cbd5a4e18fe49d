#!/usr/bin/env bash
# Builds the till for an ESP32-C3. Prints the sizes to standard error and the image's path to standard output.
set -euo pipefail

readonly board="${BASH_SOURCE[0]%/*}/esp32c3"
readonly target=riscv32imc-unknown-none-elf
# The size of the program's partition, and the chip's data memory minus 64 KiB for the stack.
readonly limit_flash=$((2 * 1024 * 1024)) limit_ram=$(((313 - 64) * 1024))

# shellcheck source=firmware/boards/bare-metal.sh
source "${BASH_SOURCE[0]%/*}/bare-metal.sh"

build core,alloc
# Code that runs while the flash is busy (trap, rwtext) counts twice: it is copied from flash to RAM, as data is.
if command -v readelf >/dev/null; then
    check_sizes "$(bytes_of '^[.](flash[.]appdesc|rodata|text|trap$|rwtext|data)')" "$limit_flash" \
        "$(bytes_of '^[.](trap$|rwtext|data|bss$|noinit$)')" "$limit_ram"
fi
printf '%s\n' "$image"
