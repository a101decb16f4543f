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
# In the packages feed the Rust rules lie beside us, from anywhere else in that feed. Where they are in neither place, make
# names the file that is missing.
OWSYNC_RUST:=$(TOPDIR)/feeds/packages/lang/rust/rust-package.mk
include $(firstword $(wildcard ../../lang/rust/rust-package.mk $(OWSYNC_RUST)) $(OWSYNC_RUST))

# They set these, so what is ours comes after them. The profile is our own because [profile.release] is overridden by their
# environment, which has panic=unwind, and opt-level=z for the cryptography too.
CARGO_PKG_ARGS+=--no-default-features
CARGO_PKG_PROFILE:=openwrt
CARGO_RUSTFLAGS+=$(call owsync_rustflags,$(ARCH),$(TOPDIR)=openwrt $(TOPDIR)/build_dir=build $(CARGO_HOME)=cargo $(PKG_BUILD_DIR)=owsync)

define Package/owsync/config
	source "$(SOURCE)/files/Config.in"
endef

# The sources lie beside the Makefile: nothing but crates is downloaded.
define Build/Prepare
	mkdir -p $(PKG_BUILD_DIR)
	$(CP) Cargo.toml Cargo.lock LICENSE README.md build.rs src $(PKG_BUILD_DIR)/
endef
