#!/usr/bin/env bash
# What `cargo fmt --all` and Clippy do not see from the workspace: the boards' packages. Formatting of all, and Clippy, with
# warnings as errors, for each whose target is to be had; what is left out is said.
set -euo pipefail

boards="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
for manifest in "$boards"/*/Cargo.toml; do
    cargo fmt --check --manifest-path "$manifest"
done

# Each in a shell of its own: what one board's Rust needs set is nothing for the other's.
clippy() ( # board, target, crates that come with Rust
    readonly board="$boards/$1" target="$2"
    # shellcheck source=firmware/boards/bare-metal.sh
    source "$boards/bare-metal.sh"
    lint "$3"
)

clippy qemu-riscv riscv32imac-unknown-none-elf core
clippy esp32c3 riscv32imc-unknown-none-elf core,alloc
