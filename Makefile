# One word each for what people do. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test lint fmt bench soak firmware firmware-demo clean kafka

# rustup's own place, last: a shell that is not a login shell may not have it on its PATH.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# LOCKED=--locked makes a Cargo.lock that does not fit an error; `.ci/run` does.
LOCKED ?=
# Of the soak.
MINUTES ?= 10
KILLS ?= 50
# Of the firmware.
BOARD ?= qemu-riscv

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing, build, and start the demo: MQTT, Kafka in memory, terminals, dashboard
	deploy/install-dependencies.sh run
	cargo run --release $(LOCKED) -p comptoir-gateway --bin gateway -- demo $(ARGS)

test: kafka ## all tests, on a real Mosquitto and a real Kafka
	cargo build --workspace --bins $(LOCKED)
	cargo test --workspace $(LOCKED)

lint: ## formatting and Clippy; warnings are errors
	deploy/install-dependencies.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings

fmt: ## format the code
	deploy/install-dependencies.sh lint
	cargo fmt --all

bench: kafka ## rates, latencies, CPU and memory beside a bare relay's: one table, and JSON
	cargo build --release --workspace --bins $(LOCKED)
	cargo bench $(LOCKED) -p comptoir-gateway --bench pipeline $(if $(ARGS),-- $(ARGS))

soak: kafka ## exactly once under kills, for as long as asked: make soak MINUTES=10 KILLS=50
	cargo build --release --workspace --bins $(LOCKED)
	COMPTOIR_SOAK_MINUTES=$(MINUTES) COMPTOIR_SOAK_KILLS=$(KILLS) \
		cargo test --release $(LOCKED) -p comptoir-gateway --test claims -- --ignored --exact --nocapture soak::exactly_once_under_kills

firmware: ## the till on bare metal: build the image, print its sizes
	deploy/install-dependencies.sh firmware
	firmware/boards/build-$(BOARD).sh

firmware-demo: ## that till in an emulator beside a gateway, its plug pulled every KILL_EVERY=20 seconds
	deploy/install-dependencies.sh run
	deploy/install-dependencies.sh firmware
	cargo build --release $(LOCKED) -p comptoir-gateway --bin gateway
	firmware/boards/demo-$(BOARD).sh "$${CARGO_TARGET_DIR:-target}/release/gateway" "$$(firmware/boards/build-$(BOARD).sh)"

# What the tests run on. The fetch is the first time's only.
kafka:
	deploy/install-dependencies.sh test
	deploy/install-dependencies.sh firmware
	gateway/harness/kafka/fetch.sh

clean: ## delete what was built; Kafka's jars stay in the cache
	cargo clean
