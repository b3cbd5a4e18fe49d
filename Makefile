# One word each for what people do. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test lint types fmt bench soak firmware firmware-demo flash-board clean kafka

# rustup's own place, last: a shell that is not a login shell may not have it on its PATH.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# Where install-dependencies.sh puts a newer Node.js than the system's, if it has to.
export PATH := $(or $(COMPTOIR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/comptoir)/node/node_modules/.bin:$(PATH)

# LOCKED=--locked makes a Cargo.lock that does not fit an error; `.ci/run` does.
LOCKED ?=
# Of the soak. ONLY=bare_metal leaves out the rest.
MINUTES ?= 10
KILLS ?= 50
# Of the firmware: qemu-riscv or esp32c3. The port that a board is on; espflash looks for it otherwise.
BOARD ?= qemu-riscv
PORT ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, and start the demo: MQTT, Kafka in memory, terminals, pages
	deploy/install-dependencies.sh run
	cargo run --release $(LOCKED) -p comptoir-gateway --bin gateway -- demo $(ARGS)

test: kafka operations firmware web/node_modules ## all tests, on a real Mosquitto, a real Kafka, a real browser and an emulated till
	cargo build --workspace --bins $(LOCKED)
	cargo test --workspace $(LOCKED)
	cd web && npm test
	cd web && npm run e2e

lint: web/node_modules ## formatting, Clippy, the pages' types and linter; warnings are errors
	deploy/install-dependencies.sh lint
	cd web && npm run check && npm run lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings
	firmware/boards/lint.sh

types: ## write the pages' types (web/src/lib/api/types.ts) from the gateway's
	COMPTOIR_WRITE_TYPES=1 cargo test -p comptoir-gateway --lib -- dashboard::dto

web/node_modules: web/package-lock.json
	deploy/install-dependencies.sh run
	cd web && npm ci --no-audit --no-fund
	@touch $@

fmt: ## format the code
	deploy/install-dependencies.sh lint
	cargo fmt --all

bench: kafka firmware web/node_modules ## rates, latencies, CPU and memory beside a bare relay's: one table, and JSON
	cargo build --release --workspace --bins $(LOCKED)
	cargo bench $(LOCKED) -p comptoir-gateway --bench pipeline $(if $(ARGS),-- $(ARGS))

soak: kafka firmware ## exactly once under kills, for as long as asked: make soak MINUTES=10 KILLS=50
	cargo build --release --workspace --bins $(LOCKED)
	COMPTOIR_SOAK_MINUTES=$(MINUTES) COMPTOIR_SOAK_KILLS=$(KILLS) \
		cargo test --release $(LOCKED) -p comptoir-gateway --test claims -- --ignored --nocapture --test-threads=1 $(ONLY)

firmware: ## the till on bare metal: build the image, print its sizes; BOARD=esp32c3 is the one with Wi-Fi
	deploy/install-dependencies.sh firmware $(BOARD)
	firmware/boards/build-$(BOARD).sh

firmware-demo: ## that till in an emulator beside a gateway, its plug pulled every KILL_EVERY=20 seconds
	deploy/install-dependencies.sh run
	deploy/install-dependencies.sh firmware
	cargo build --release $(LOCKED) -p comptoir-gateway --bin gateway
	firmware/boards/demo-$(BOARD).sh "$${CARGO_TARGET_DIR:-target}/release/gateway" "$$(firmware/boards/build-$(BOARD).sh)"

flash-board: BOARD = esp32c3
flash-board: ## write that till to a board on the USB port and show its serial line: make flash-board PORT=/dev/ttyACM0
	deploy/install-dependencies.sh firmware $(BOARD)
	firmware/boards/flash-$(BOARD).sh $(PORT)

# What the tests run on. The fetch is the first time's only.
kafka:
	deploy/install-dependencies.sh test
	gateway/harness/kafka/fetch.sh
	gateway/harness/python/fetch.sh

clean: ## delete what was built; Kafka's jars stay in the cache
	cargo clean

include deploy/targets.mk
