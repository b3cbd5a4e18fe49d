# The shop's computer: cross builds, packages, the image. Included by the Makefile at the top.

.PHONY: arm package image flash test-image test-package operations
# Of `make arm` and `make package`.
ARM ?= arm64 armv7
PACKAGES ?= arm64

# The image is made by root, the rest by whoever builds: sudo only where it is needed, and with the caller's cache.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=HOME,XDG_CACHE_HOME,COMPTOIR_CACHE,COMPTOIR_MIRROR,$\
	COMPTOIR_IMAGE_FOLDER,COMPTOIR_IMAGE_PACK,COMPTOIR_XZ_LEVEL,CARGO_TARGET_DIR)

arm: ## gateway and pos-sim for the Raspberry Pi, stripped and tried under QEMU: make arm ARM=arm64
	deploy/install-dependencies.sh arm
	deploy/arm/build.sh $(ARM)

package: ## the Debian package: make package PACKAGES="amd64 arm64 armhf" (after make arm)
	deploy/install-dependencies.sh package
	for architecture in $(PACKAGES); do deploy/debian/build.sh "$$architecture"; done

test-package: ## installs, upgrades, restores, removes and purges the arm64 package in an arm64 Debian
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/debian/test.sh "$$package"

image: ## comptoir-arm64.img.xz for Pi 3, 4, 400, 5 and Zero 2 W
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/image/build.sh "$$package"

flash: ## writes the image to a card: make flash DEVICE=/dev/sdX
	deploy/install-dependencies.sh flash
	deploy/image/flash.sh $(if $(DEVICE),"$(DEVICE)")

# Of what is in the tree now, not of an image that may be old; and not packed, which takes as long again.
test-image: export COMPTOIR_IMAGE_PACK := no
test-image: kafka ## boots the image in QEMU as a Pi 3, a Pi 4 and in a shop: sells, updates, cuts the power, audits Kafka
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	cargo build --release $(LOCKED) -p comptoir-sim --bin pos-sim
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/image/build.sh "$$package"; \
		$(AS_ROOT) python3 -B deploy/image/test --package "$$package"

operations: ## checks scripts, units, alerts, manifests, the image's settings and the MQTT broker's permissions
	deploy/install-dependencies.sh operations
	deploy/test/operations.sh
