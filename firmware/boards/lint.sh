#!/usr/bin/env bash
# Checks the boards' packages, which are outside the workspace: formatting of all packages, and Clippy with warnings as errors
# for each package whose target is available. Skipped packages are reported.
set -euo pipefail

boards="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
for manifest in "$boards"/*/Cargo.toml; do
    cargo fmt --check --manifest-path "$manifest"
done

# In a subshell, because each board's Rust needs its own environment.
clippy() ( # BOARD TARGET STANDARD_CRATES
    readonly board="$boards/$1" target="$2"
    # shellcheck source=firmware/boards/bare-metal.sh
    source "$boards/bare-metal.sh"
    lint "$3"
)

clippy qemu-riscv riscv32imac-unknown-none-elf core
clippy esp32c3 riscv32imc-unknown-none-elf core,alloc
