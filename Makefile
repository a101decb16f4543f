# SPDX-License-Identifier: MIT
#
# Inside an OpenWrt buildroot or SDK this file is the package owsync; anywhere else it builds for this machine:
#
#   make                          build target/release/owsync and print its size
#   make demo                     see the main job done on three nodes on this machine
#   make test                     install what the tests need, and run all of them
#   make install DESTDIR= PREFIX=/usr/local
#   make format                   format every source file
#   make bench                    measure what README promises
#
# Options: ENABLE_ENCRYPTION=0 (plain_mode only), DEBUG=1, MAX_MESSAGE_SIZE=N (files up to N/2 bytes by default).

ifdef TOPDIR
include $(dir $(lastword $(MAKEFILE_LIST)))files/openwrt.mk
else

CARGO ?= cargo
PREFIX ?= /usr/local
ENABLE_ENCRYPTION ?= 1
DEBUG ?= 0
ARCH := $(shell uname -m)

FEATURES := $(if $(filter 0,$(ENABLE_ENCRYPTION)),--no-default-features)
PROFILE := $(if $(filter 0,$(DEBUG)),--release)
BINARY := target/$(if $(filter 0,$(DEBUG)),release,debug)/owsync

# Where this machine's systemd looks for units, if it has one.
SYSTEMD ?= $(firstword $(wildcard /usr/lib/systemd/system /lib/systemd/system))

ifdef MAX_MESSAGE_SIZE
export OWSYNC_MAX_MESSAGE_SIZE := $(MAX_MESSAGE_SIZE)
endif

# aarch64 uses its AES instructions only when asked.
ifeq ($(ARCH),aarch64)
export RUSTFLAGS := $(RUSTFLAGS) --cfg aes_armv8 --cfg polyval_armv8
endif

.PHONY: all build demo test install format bench clean

all: build
	@ls -l $(BINARY) | awk '{ printf "$(BINARY): %d KiB\n", ($$5 + 1023) / 1024 }'

build:
	$(CARGO) build --locked $(PROFILE) $(FEATURES)

demo:
	@$(MAKE) --no-print-directory build DEBUG=0 ENABLE_ENCRYPTION=1
	@tests/demo/run target/release/owsync

test:
	@tests/run

bench: build
	@tests/bench/run

install: $(if $(wildcard $(BINARY)),,build)
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/owsync
ifneq ($(SYSTEMD),)
	install -d $(DESTDIR)$(SYSTEMD)
	sed 's|@BINDIR@|$(PREFIX)/bin|' files/owsync.service >$(DESTDIR)$(SYSTEMD)/owsync.service
	chmod 0644 $(DESTDIR)$(SYSTEMD)/owsync.service
endif

format:
	$(CARGO) fmt

clean:
	$(CARGO) clean

endif
