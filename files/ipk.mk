# SPDX-License-Identifier: MIT
# `make ipk`: the package for routers of this machine's architecture, from a static binary, without a buildroot.
#
#   OPENWRT_ARCH=aarch64_cortex-a53          what the router calls its architecture: `opkg print-architecture`
#   IPK_TARGET=x86_64-unknown-linux-musl     another of Rust's targets, installed and with a linker that cargo knows

IPK_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
OPENWRT_ARCH ?= $(word 2,$(subst =, ,$(filter $(firstword $(subst -, ,$(IPK_TARGET)))=%,\
	aarch64=aarch64_generic i686=i386_pentium4 loongarch64=loongarch64_generic riscv64gc=riscv64_generic x86_64=x86_64)))

$(eval $(Package/owsync))
INSTALL_DIR := install -d -m 0755
INSTALL_BIN := install -m 0755
INSTALL_CONF := install -m 0600
INSTALL_DATA := install -m 0644
IPK_RUSTFLAGS = $(call owsync_rustflags,$(firstword $(subst -, ,$(IPK_TARGET))),$(DIRECTORIES)) -C target-feature=+crt-static
DIST ?= dist
IPK_ROOT := $(DIST)/root
PKG_INSTALL_DIR := $(DIST)/binary

# As include/package-pack.mk of a buildroot fills it. A static binary depends on nothing.
define IPK_CONTROL
Package: $(PKG_NAME)
Version: $(PKG_VERSION)-r$(PKG_RELEASE)
License: $(PKG_LICENSE)
LicenseFiles: $(PKG_LICENSE_FILES)
Section: $(SECTION)
URL: $(URL)
Maintainer: $(PKG_MAINTAINER)
Architecture: $(OPENWRT_ARCH)
endef

.PHONY: ipk
ipk: export CONTROL = $(IPK_CONTROL)
ipk: export DESCRIPTION = $(Package/owsync/description)
ipk: export CONFFILES = $(Package/owsync/conffiles)
ipk:
	@[ -n "$(OPENWRT_ARCH)" ] || { echo "what OpenWrt calls $(IPK_TARGET) is not known here: make ipk OPENWRT_ARCH=..." >&2; exit 1; }
	RUSTFLAGS="$(strip $(RUSTFLAGS) $(IPK_RUSTFLAGS))" $(CARGO) build --locked --profile openwrt --target $(IPK_TARGET) $(FEATURES)
	rm -rf $(IPK_ROOT) $(PKG_INSTALL_DIR)
	install -D -m 0755 $(TARGET_DIR)/$(IPK_TARGET)/openwrt/owsync $(PKG_INSTALL_DIR)/bin/owsync
	$(call Package/owsync/install,$(IPK_ROOT))
	files/ipk $(IPK_ROOT) $(DIST)/$(PKG_NAME)_$(PKG_VERSION)-r$(PKG_RELEASE)_$(OPENWRT_ARCH).ipk
	@rm -rf $(IPK_ROOT) $(PKG_INSTALL_DIR)

# The pages in LuCI, for every architecture. A buildroot makes the same from luci-app-owsync/Makefile with the rules of LuCI,
# which also make the scripts smaller.
LUCI_APP := luci-app-owsync

define LUCI_IPK_CONTROL
Package: $(LUCI_APP)
Version: $(PKG_VERSION)-r$(PKG_RELEASE)
Depends: luci-base, owsync
License: $(PKG_LICENSE)
Section: luci
URL: $(URL)
Maintainer: $(PKG_MAINTAINER)
Architecture: all
endef

define LUCI_IPK_DESCRIPTION
  The pages of owsync in LuCI: whether routers are in sync, since when, and if not why not; setting up, deciding, bringing back.
endef

.PHONY: luci-ipk
luci-ipk: export CONTROL = $(LUCI_IPK_CONTROL)
luci-ipk: export DESCRIPTION = $(LUCI_IPK_DESCRIPTION)
luci-ipk: export CONFFILES =
luci-ipk:
	rm -rf $(IPK_ROOT)
	install -d -m 0755 $(IPK_ROOT)/www $(IPK_ROOT)/etc/uci-defaults
	cp -R $(LUCI_APP)/htdocs/. $(IPK_ROOT)/www/
	cp -R $(LUCI_APP)/root/. $(IPK_ROOT)/
	install -m 0644 files/luci-app-owsync.uci-defaults $(IPK_ROOT)/etc/uci-defaults/90-luci-app-owsync
	chmod -R u=rwX,go=rX $(IPK_ROOT)
	files/ipk $(IPK_ROOT) $(DIST)/$(LUCI_APP)_$(PKG_VERSION)-r$(PKG_RELEASE)_all.ipk
	@rm -rf $(IPK_ROOT)
