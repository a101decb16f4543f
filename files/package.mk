# SPDX-License-Identifier: MIT
# What the package owsync is and holds, and how its binary is compiled. A buildroot (openwrt.mk) and `make ipk` (ipk.mk)
# read the same, so they make the same package.

PKG_NAME:=owsync
PKG_VERSION:=2.0.0
PKG_RELEASE:=1

PKG_MAINTAINER:=The owsync maintainers <owsync@example.org>
PKG_LICENSE:=MIT
PKG_LICENSE_FILES:=LICENSE

define Package/owsync
  SECTION:=net
  CATEGORY:=Network
  SUBMENU:=File Transfer
  TITLE:=Keeps the configuration of routers in sync
  URL:=https://github.com/pgaufillet/owsync
  DEPENDS:=$(RUST_ARCH_DEPENDS)
endef

define Package/owsync/description
  owsync keeps the configuration of several OpenWrt routers, or any directories on several machines, in sync. A change on
  one is on the others within a second, verified and in force; the previous version is kept.
endef

# sysupgrade keeps these, although they are not files of the package: key, identity, database and history.
define Package/owsync/conffiles
/etc/config/owsync
/etc/owsync/
endef

define Package/owsync/install
	$(INSTALL_DIR) $(1)/usr/bin $(1)/etc/config $(1)/etc/init.d $(1)/etc/uci-defaults $(1)/etc/owsync $(1)/usr/share/owsync/hooks
	chmod 0700 $(1)/etc/owsync
	$(INSTALL_BIN) $(PKG_INSTALL_DIR)/bin/owsync $(1)/usr/bin/owsync
	$(INSTALL_CONF) files/owsync.config $(1)/etc/config/owsync
	$(INSTALL_BIN) files/owsync.init $(1)/etc/init.d/owsync
	$(INSTALL_BIN) files/owsync-rollback.init $(1)/etc/init.d/owsync-rollback
	$(INSTALL_DATA) files/owsync.uci-defaults $(1)/etc/uci-defaults/90-owsync
	$(INSTALL_BIN) files/hooks/mail files/hooks/master-only $(1)/usr/share/owsync/hooks/
endef

# The compiler's flags for an architecture, and for directories whose names stay out of the binary (a panic's message
# names source files): call owsync_rustflags,ARCHITECTURE,DIRECTORY=NAME ...
# The AES instructions of aarch64 are used only when asked for.
owsync_rustflags = $(if $(findstring aarch64,$(1)),--cfg aes_armv8 --cfg polyval_armv8) $(addprefix --remap-path-prefix=,$(2))
