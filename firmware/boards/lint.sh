#!/usr/bin/env bash
# What `cargo fmt --all` and Clippy do not see from the workspace: the boards' packages. Formatting of all; Clippy for
# qemu-riscv, with warnings as errors.
set -euo pipefail

boards="$(cd "${BASH_SOURCE[0]%/*}" && pwd)"
for manifest in "$boards"/*/Cargo.toml; do
    cargo fmt --check --manifest-path "$manifest"
done

readonly board="$boards/qemu-riscv"
readonly target=riscv32imac-unknown-none-elf

# shellcheck source=firmware/boards/bare-metal.sh
source "$boards/bare-metal.sh"

lint core
