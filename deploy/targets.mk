# Targets for the shop's computer: cross builds, packages, the image. Included by the top Makefile.

.PHONY: arm package image flash test-image test-package reproducible operations
# For `make arm` and `make package`.
ARM ?= arm64 armv7
PACKAGES ?= arm64

# Only building the image and testing packages need root rights. sudo keeps the caller's cache.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=HOME,XDG_CACHE_HOME,COMPTOIR_CACHE,COMPTOIR_MIRROR,$\
	COMPTOIR_IMAGE_FOLDER,COMPTOIR_IMAGE_PACK,COMPTOIR_XZ_LEVEL,CARGO_TARGET_DIR)

arm: pages ## cross compile gateway and pos-sim for the Raspberry Pi, and run them under QEMU: make arm ARM=arm64
	deploy/install-dependencies.sh arm
	deploy/arm/build.sh $(ARM)

package: ## build the Debian package: make package PACKAGES="amd64 arm64 armhf" (after make arm)
	deploy/install-dependencies.sh package
	for architecture in $(PACKAGES); do deploy/debian/build.sh "$$architecture"; done

test-package: pages ## install, upgrade, restore, remove and purge the arm64 package in an emulated Debian
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/debian/test.sh "$$package"

image: pages ## build comptoir-arm64.img.xz for Pi 3, 4, 400, 5 and Zero 2 W
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/image/build.sh "$$package"

flash: ## write the image to a card: make flash DEVICE=/dev/sdX
	deploy/install-dependencies.sh flash
	deploy/image/flash.sh $(if $(DEVICE),"$(DEVICE)")

# Builds the image from the working tree, because an existing one may be old. It stays uncompressed, because compression
# would double the time.
test-image: export COMPTOIR_IMAGE_PACK := no
test-image: kafka pages ## boot the image in QEMU as a Pi 3, a Pi 4 and in a shop: sell, update, cut the power, audit Kafka
	deploy/install-dependencies.sh image
	deploy/arm/build.sh arm64
	cargo build --release $(LOCKED) -p comptoir-sim --bin pos-sim
	package="$$(deploy/debian/build.sh arm64)"; $(AS_ROOT) deploy/image/build.sh "$$package"; \
		$(AS_ROOT) python3 -B deploy/image/test --package "$$package"

reproducible: ## build the Debian package twice and compare the bytes: make reproducible PACKAGES=amd64
	deploy/install-dependencies.sh package
	for architecture in $(PACKAGES); do deploy/test/reproducible.sh "$$architecture"; done

operations: ## check scripts, units, alerts, manifests, signatures and the MQTT broker's configuration
	deploy/install-dependencies.sh operations
	deploy/test/operations.sh
