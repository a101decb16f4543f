# SPDX-License-Identifier: MIT
# The OpenWrt package: read by the top-level Makefile inside a buildroot or SDK.

include $(TOPDIR)/rules.mk

PKG_NAME:=owsync
PKG_VERSION:=2.0.0
PKG_RELEASE:=1

PKG_MAINTAINER:=owsync contributors <owsync@example.org>
PKG_LICENSE:=MIT
PKG_LICENSE_FILES:=LICENSE

PKG_BUILD_DEPENDS:=rust/host
PKG_BUILD_PARALLEL:=1
PKG_CONFIG_DEPENDS:=CONFIG_OWSYNC_ENABLE_ENCRYPTION

# Read when it is used, so that the option's value is known.
RUST_PKG_FEATURES=$(if $(CONFIG_OWSYNC_ENABLE_ENCRYPTION),encryption)

# The sources lie beside this package's Makefile.
OWSYNC_SOURCE:=$(CURDIR)

include $(INCLUDE_DIR)/package.mk
# In the packages feed the Rust rules lie beside us; from any other feed they lie there.
include $(firstword $(wildcard ../../lang/rust/rust-package.mk $(TOPDIR)/feeds/packages/lang/rust/rust-package.mk))

# rust-package.mk sets these, so they are changed after it. The profile is our own because the build overrides
# [profile.release] and would choose panic=unwind and opt-level=z.
CARGO_PKG_ARGS+=--no-default-features
CARGO_PKG_PROFILE:=openwrt
# The AES instructions of aarch64 are used only when asked for.
ifneq ($(findstring aarch64,$(ARCH)),)
  CARGO_PKG_VARS+=RUSTFLAGS="$(CARGO_RUSTFLAGS) --cfg aes_armv8 --cfg polyval_armv8"
endif

define Package/owsync
  SECTION:=net
  CATEGORY:=Network
  SUBMENU:=File Transfer
  TITLE:=Keeps the configuration of routers equal
  URL:=https://github.com/pgaufillet/owsync
  DEPENDS:=$(RUST_ARCH_DEPENDS)
endef

define Package/owsync/description
  owsync keeps directories equal on several machines, first of all the configuration of OpenWrt routers that stand in
  for each other. Change one, and within a second the others have it, checked and in force, with the former state kept.
endef

define Package/owsync/config
	source "$(SOURCE)/files/Config.in"
endef

define Package/owsync/conffiles
/etc/config/owsync
/etc/owsync/
endef

define Build/Prepare
	mkdir -p $(PKG_BUILD_DIR)
	$(CP) $(OWSYNC_SOURCE)/Cargo.toml $(OWSYNC_SOURCE)/Cargo.lock $(OWSYNC_SOURCE)/LICENSE $(OWSYNC_SOURCE)/src $(PKG_BUILD_DIR)/
endef

define Package/owsync/install
	$(INSTALL_DIR) $(1)/usr/bin $(1)/etc/config $(1)/etc/init.d $(1)/etc/uci-defaults $(1)/etc/owsync
	$(INSTALL_BIN) $(PKG_INSTALL_DIR)/bin/owsync $(1)/usr/bin/owsync
	$(INSTALL_CONF) ./files/owsync.config $(1)/etc/config/owsync
	$(INSTALL_BIN) ./files/owsync.init $(1)/etc/init.d/owsync
	$(INSTALL_DATA) ./files/owsync.uci-defaults $(1)/etc/uci-defaults/90-owsync
	chmod 0700 $(1)/etc/owsync
endef

$(eval $(call RustBinPackage,owsync))
$(eval $(call BuildPackage,owsync))
