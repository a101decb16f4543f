# SPDX-License-Identifier: MIT
#
# Inside an OpenWrt buildroot or SDK this file is the package owsync; anywhere else it builds for this machine:
#
#   make                          build target/release/owsync and print its size
#   make demo                     see the main job done on three nodes on this machine
#   make check                    what daily work needs, in 3 minutes: format, lints, spelling, unit tests
#   make test                     install what the tests need, and run all of them
#   make test-long                what does not fit half an hour: many random histories, repeated runs
#   make install DESTDIR= PREFIX=/usr/local
#   make format                   format every source file
#   make ipk                      the OpenWrt package for routers of this machine's architecture, in dist/
#   make luci-ipk                 the package with the pages in LuCI, for any router, in dist/
#   make bench                    measure what docs/benchmarks.md states
#
# Options: ENABLE_ENCRYPTION=0 (plain_mode only), DEBUG=1, MAX_MESSAGE_SIZE=N (files up to N/2 bytes by default).

# A buildroot looks for packages by the words `call BuildPackage` in a Makefile, and reads them again when these change:
SCAN_DEPS=files/*.mk

ifneq ($(if $(TOPDIR),$(wildcard $(TOPDIR)/rules.mk)),)
include files/openwrt.mk
$(eval $(call RustBinPackage,owsync))
$(eval $(call BuildPackage,owsync))
else

CARGO ?= cargo
PREFIX ?= /usr/local
ENABLE_ENCRYPTION ?= 1
DEBUG ?= 0
ARCH := $(shell uname -m)

FEATURES := $(if $(filter 0,$(ENABLE_ENCRYPTION)),--no-default-features)
PROFILE := $(if $(filter 0,$(DEBUG)),--release)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET_DIR)/$(if $(filter 0,$(DEBUG)),release,debug)/owsync

# Where systemd looks for the units of what is installed there, if this machine has it.
SYSTEMD ?= $(if $(wildcard /usr/lib/systemd/system /lib/systemd/system),$(if $(filter /usr,$(PREFIX)),/usr,/usr/local)/lib/systemd/system)

ifdef MAX_MESSAGE_SIZE
export OWSYNC_MAX_MESSAGE_SIZE := $(MAX_MESSAGE_SIZE)
endif

include files/package.mk
# The binary contains no name of a directory of this machine. The compiler cannot take one with a space in it.
ifeq ($(words x$(HOME) x$(CARGO_HOME) x$(RUSTUP_HOME) x$(CURDIR)),4)
DIRECTORIES := $(filter-out =% /=%,$(HOME)=~ $(RUSTUP_HOME)=rustup $(CARGO_HOME)=cargo $(CURDIR)=owsync)
endif

.PHONY: all build demo check test test-long install format bench clean

all: build
	@ls -l $(BINARY) | awk '{ printf "$(BINARY): %d KiB\n", ($$5 + 1023) / 1024 }'

build: export RUSTFLAGS := $(strip $(RUSTFLAGS) $(call owsync_rustflags,$(ARCH),$(DIRECTORIES)))
build:
	@tests/tools $(CARGO)
	$(CARGO) build --locked $(PROFILE) $(FEATURES)

demo:
	@tests/tools $(CARGO)
	@$(MAKE) --no-print-directory build DEBUG=0 ENABLE_ENCRYPTION=1
	@tests/demo/run $(TARGET_DIR)/release/owsync

check:
	@tests/run check

test:
	@tests/run

test-long:
	@tests/run long

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

include files/ipk.mk

endif
