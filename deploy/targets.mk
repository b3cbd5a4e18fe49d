# The shop's computer: cross builds, packages, the image. Included by the Makefile at the top.

.PHONY: arm package image flash test-image test-package operations
# Of `make arm` and `make package`.
ARM ?= arm64 armv7
PACKAGES ?= arm64

# The image is made by root, the rest by whoever builds: sudo only where it is needed, and with the caller's cache.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=COMPTOIR_CACHE,XDG_CACHE_HOME,HOME)

arm: ## gateway and pos-sim for the Raspberry Pi, stripped and tried under QEMU: make arm ARM=arm64
	deploy/install-dependencies.sh arm
	deploy/arm/build.sh $(ARM)

package: ## the Debian package: make package PACKAGES="amd64 arm64 armhf" (after make arm)
	deploy/install-dependencies.sh package
	for architecture in $(PACKAGES); do deploy/debian/build.sh "$$architecture"; done

test-package: ## installs, upgrades, removes and purges the arm64 package in an arm64 Debian
	deploy/install-dependencies.sh image
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/debian/test.sh "$$package"

image: ## comptoir-arm64.img.xz for Pi 3 and 4
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/image/build.sh "$$package"

flash: ## writes the image to a card: make flash DEVICE=/dev/sdX
	deploy/image/flash.sh $(if $(DEVICE),"$(DEVICE)")

test-image: kafka ## boots the image in QEMU, sells through it, cuts its power, audits Kafka
	deploy/install-dependencies.sh image
	cargo build --release $(LOCKED) -p comptoir-sim --bin pos-sim
	$(AS_ROOT) deploy/image/test.py

operations: ## checks units, alerts, manifests and the MQTT broker's permissions
	deploy/test/operations.sh
