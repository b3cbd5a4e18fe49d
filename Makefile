# Developer tasks. `make` without a target lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run run-office pages check test lint types fmt bench soak office-scale firmware firmware-demo flash-board clean kafka

# Appends rustup's folder to the PATH, because a shell that is not a login shell may lack it.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

# The folder in which install-dependencies.sh installs Node.js if the system's is too old.
export PATH := $(or $(COMPTOIR_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/comptoir)/node/node_modules/.bin:$(PATH)

# LOCKED=--locked makes an outdated Cargo.lock an error, as in .ci/run.
LOCKED ?=
# Cargo for builds that stay on this machine. Where it has OpenSSL 3, they link it, instead of the bundled one that takes
# minutes to compile. Releases, packages and images always have the bundled one.
DEV_CARGO = OPENSSL_NO_VENDOR=$$(pkg-config --exists 'openssl >= 3' && echo 1 || echo 0) cargo
# For `make soak` and `make office-scale`. ONLY=bare_metal runs that test only.
MINUTES ?= 10
KILLS ?= 50
# For the firmware: qemu-riscv or esp32c3, and the board's serial port (default: espflash finds it).
BOARD ?= qemu-riscv
PORT ?=

# Measure for three minutes what an almost idle connection costs. They run beside the last tests of the pages. Those of
# `--project ui` need the whole processor for the page under load.
UPLINK_TESTS := uplink::a_shop_pays_for_its_own_events_and_not_for_those_of_others \
	uplink::a_metered_shop_sends_its_events_together

# The claims often wait for other programs. On two processors they took 821 s with two at a time, and 497 s with three.
TEST_THREADS := $(shell echo $$(($$(nproc) + 1)))

# What the pages are built from.
PAGE_SOURCES := $(shell find web/office web/public web/scripts web/src -type f) $(wildcard web/*.html web/*.json web/*.ts web/*.js)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# SQLite, zstd and librdkafka take a third of the compile time at -O2; -O1 is fast enough for a few simulated tills.
run: ## install what is missing, build and start the demo: MQTT broker, in-memory Kafka, tills, pages
	deploy/install-dependencies.sh run
	$(MAKE) web/dist/index.html
	@echo "Building the demo. The first build compiles several hundred packages, which takes some minutes; later builds take seconds."
	CFLAGS="-O1 -g0 $${CFLAGS:-}" $(DEV_CARGO) build --profile demo $(LOCKED) -p comptoir-gateway --bin gateway
	"$${CARGO_TARGET_DIR:-target}/demo/gateway" demo $(ARGS)

run-office: kafka pages ## start a demo of head office: Kafka, PostgreSQL, twenty simulated shops, two of them in trouble
	deploy/install-dependencies.sh test
	$(DEV_CARGO) build $(LOCKED) -p comptoir-office --bin office --example chain
	"$${CARGO_TARGET_DIR:-target}/debug/examples/chain"

pages: web/dist/index.html web/dist-office/index.html ## build the web pages for the gateway and the office

# Compiles the tests first, and with them the programs. `cargo build` would compile most packages once more, because the
# tests need other features of some dependencies. The browser tests use the pages as they were built.
test: kafka operations firmware pages ## run all tests, on a real Mosquitto, Kafka and browser, and an emulated till
	$(DEV_CARGO) test --workspace --no-run $(LOCKED)
	deploy/test/settings.sh
	$(DEV_CARGO) test --workspace $(LOCKED) -- --test-threads=$(TEST_THREADS) $(addprefix --skip ,$(UPLINK_TESTS))
	cd web && npm test && npx playwright test --project ui
	COMPTOIR_GATEWAY="$$(realpath "$${CARGO_TARGET_DIR:-target}")/debug/gateway"; export COMPTOIR_GATEWAY; \
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; pages=0; uplink=0; \
	$(DEV_CARGO) test --workspace --test claims $(LOCKED) -- $(UPLINK_TESTS) > "$$log" 2>&1 & \
	(cd web && npx playwright test --project office && npx playwright test --config playwright.demo.config.ts) || pages=$$?; \
	wait $$! || uplink=$$?; cat "$$log"; exit $$((pages || uplink))

lint: web/node_modules ## check formatting, Clippy, and the pages' types and linter; warnings are errors
	deploy/install-dependencies.sh lint
	cd web && npm run check && npm run lint
	cargo fmt --all --check
	$(DEV_CARGO) clippy --workspace --all-targets $(LOCKED) -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(DEV_CARGO) doc --workspace --no-deps --document-private-items $(LOCKED)
	deploy/test/dependencies.sh
	firmware/boards/lint.sh

check: ## the quick check: compile, and run the unit tests and the pages' tests
	$(DEV_CARGO) check --workspace --all-targets $(LOCKED)
	$(DEV_CARGO) test --workspace --lib $(LOCKED)
	cd web && npm run check && npm test

types: ## generate the pages' types and gateway/docs/interfaces from the code
	COMPTOIR_WRITE_TYPES=1 $(DEV_CARGO) test -p comptoir-gateway --lib -- http::api::dto
	COMPTOIR_WRITE_TYPES=1 $(DEV_CARGO) test -p comptoir-office --lib -- typescript_tests
	COMPTOIR_WRITE_INTERFACES=1 $(DEV_CARGO) test -p comptoir-gateway --test interfaces

web/node_modules: web/package-lock.json
	deploy/install-dependencies.sh run
	cd web && npm ci --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules $(PAGE_SOURCES)
	cd web && npm run build

web/dist-office/index.html: web/node_modules $(PAGE_SOURCES)
	cd web && npm run build:office

fmt: web/node_modules ## format the code
	deploy/install-dependencies.sh lint
	cargo fmt --all
	cd web && npm run format

bench: kafka firmware pages ## compare throughput, latency, CPU and memory with a bare relay: a table, and JSON
	cargo build --release --workspace --bins $(LOCKED)
	cargo bench $(LOCKED) -p comptoir-gateway --bench pipeline $(if $(ARGS),-- $(ARGS))

soak: kafka firmware pages ## test exactly-once delivery under random kills: make soak MINUTES=10 KILLS=50
	cargo build --release --workspace --bins $(LOCKED)
	COMPTOIR_SOAK_MINUTES=$(MINUTES) COMPTOIR_SOAK_KILLS=$(KILLS) \
		cargo test --release $(LOCKED) -p comptoir-gateway --test claims -- --ignored --nocapture --test-threads=1 $(ONLY)

office-scale: kafka ## test head office with 1,000 shops under kills: make office-scale MINUTES=10
	deploy/install-dependencies.sh test
	cargo build --release $(LOCKED) -p comptoir-office --bin office
	COMPTOIR_SCALE_MINUTES=$(MINUTES) \
		cargo test --release $(LOCKED) -p comptoir-office --test claims -- --ignored --nocapture --test-threads=1

firmware: ## build the till's firmware and print its sizes; BOARD=esp32c3 for the board with Wi-Fi
	deploy/install-dependencies.sh firmware $(BOARD)
	firmware/boards/build-$(BOARD).sh

firmware-demo: ## run the till's firmware in an emulator next to a gateway; cuts its power every KILL_EVERY=20 seconds
	deploy/install-dependencies.sh run
	deploy/install-dependencies.sh firmware
	$(MAKE) pages
	cargo build --release $(LOCKED) -p comptoir-gateway --bin gateway
	firmware/boards/demo-$(BOARD).sh "$${CARGO_TARGET_DIR:-target}/release/gateway" "$$(firmware/boards/build-$(BOARD).sh)"

flash-board: BOARD = esp32c3
flash-board: ## write the firmware to a board and show its serial line: make flash-board PORT=/dev/ttyACM0
	deploy/install-dependencies.sh firmware $(BOARD)
	firmware/boards/flash-$(BOARD).sh $(PORT)

# Downloads Kafka and the Python clients for the tests, the first time only.
kafka:
	deploy/install-dependencies.sh test
	gateway/harness/kafka/fetch.sh
	gateway/harness/python/fetch.sh

clean: ## delete all build results; Kafka's jars stay in the cache
	cargo clean

include deploy/targets.mk
