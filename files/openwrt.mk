# SPDX-License-Identifier: MIT
# The package in an OpenWrt buildroot or SDK: read by the top-level Makefile there.

include $(TOPDIR)/rules.mk
include files/package.mk

PKG_BUILD_DEPENDS:=rust/host
PKG_BUILD_PARALLEL:=1
PKG_CONFIG_DEPENDS:=CONFIG_OWSYNC_ENABLE_ENCRYPTION

# Expanded when it is used: the option's value is known then.
RUST_PKG_FEATURES=$(if $(CONFIG_OWSYNC_ENABLE_ENCRYPTION),encryption)

include $(INCLUDE_DIR)/package.mk
# In the packages feed the Rust rules are in a directory beside this one, elsewhere in that feed. Where they are in neither
# place, make names the missing file.
OWSYNC_RUST:=$(TOPDIR)/feeds/packages/lang/rust/rust-package.mk
include $(firstword $(wildcard ../../lang/rust/rust-package.mk $(OWSYNC_RUST)) $(OWSYNC_RUST))

# The rules set these, so owsync's own values come after them. The profile is our own because [profile.release] is overridden by their
# environment, which has panic=unwind, and opt-level=z for the cryptography too.
CARGO_PKG_ARGS+=--no-default-features
CARGO_PKG_PROFILE:=openwrt
CARGO_RUSTFLAGS+=$(call owsync_rustflags,$(ARCH),$(TOPDIR)=openwrt $(TOPDIR)/build_dir=build $(CARGO_HOME)=cargo $(PKG_BUILD_DIR)=owsync)

define Package/owsync/config
	source "$(SOURCE)/files/Config.in"
endef

# The sources are beside the Makefile: only crates are downloaded.
define Build/Prepare
	mkdir -p $(PKG_BUILD_DIR)
	$(CP) Cargo.toml Cargo.lock LICENSE README.md build.rs src $(PKG_BUILD_DIR)/
endef
