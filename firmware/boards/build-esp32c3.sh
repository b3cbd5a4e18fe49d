#!/usr/bin/env bash
# Builds the bare-metal till for an ESP32-C3 and prints the image's path, then its sizes on standard error.
set -euo pipefail

readonly board="${BASH_SOURCE[0]%/*}/esp32c3"
readonly target=riscv32imc-unknown-none-elf
# The program's partition, and the chip's memory for data without 64 KiB for the stack.
readonly limit_flash=$((2 * 1024 * 1024)) limit_ram=$(((313 - 64) * 1024))

# shellcheck source=firmware/boards/bare-metal.sh
source "${BASH_SOURCE[0]%/*}/bare-metal.sh"

build core,alloc
# Code that runs while the flash is busy (trap, rwtext) is in flash and is copied to RAM, as data is.
if command -v readelf >/dev/null; then
    check_sizes "$(bytes_of '^[.](flash[.]appdesc|rodata|text|trap$|rwtext|data)')" "$limit_flash" \
        "$(bytes_of '^[.](trap$|rwtext|data|bss$|noinit$)')" "$limit_ram"
fi
printf '%s\n' "$image"
