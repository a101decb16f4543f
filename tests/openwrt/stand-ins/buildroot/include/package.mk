# A stand-in of a buildroot's include/package.mk. With DUMP=1 a package is described, else it is prepared, compiled and
# installed into $(TOPDIR)/installed.
all: $(if $(DUMP),describe,package)

PKG_BUILD_DIR ?= $(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)
PKG_INSTALL_DIR ?= $(PKG_BUILD_DIR)/ipkg-install

define Build/Prepare
	$(error nothing is downloaded here)
endef

# The recipes are expanded late, as there: what a package sets after the include counts.
define BuildPackage
  SOURCE:=$(patsubst $(TOPDIR)/%,%,$(CURDIR))
  $(eval $(Package/$(1)))
  $(foreach field,TITLE CATEGORY SECTION PKG_VERSION PKG_RELEASE PKG_MAINTAINER PKG_LICENSE,$(if $($(field)),,$(error $(1) has no $(field))))

  export DESCRIPTION=$$(Package/$(1)/description)
  export CONFIG=$$(Package/$(1)/config)
  export CONFFILES=$$(Package/$(1)/conffiles)

  describe:
	@echo 'Package: $(1)'
	@echo 'Version: $$(PKG_VERSION)-r$$(PKG_RELEASE)'
	@echo 'Section: $$(SECTION)'
	@echo 'Category: $$(CATEGORY)'
	@echo 'Submenu: $$(SUBMENU)'
	@echo 'Title: $$(TITLE)'
	@echo 'Depends: $$(strip $$(DEPENDS))'
	@echo 'Build-Depends: $$(PKG_BUILD_DEPENDS)'
	@echo 'Config-Depends: $$(PKG_CONFIG_DEPENDS)'
	@echo 'License: $$(PKG_LICENSE)'
	@echo 'License-Files: $$(PKG_LICENSE_FILES)'
	@echo 'Maintainer: $$(PKG_MAINTAINER)'
	@printf 'Description:\n%s\n' "$$$$DESCRIPTION"
	@printf 'Config:\n%s\n' "$$$$CONFIG"
	@printf 'Conffiles:\n%s\n' "$$$$CONFFILES"

  package:
	$$(Build/Prepare)
	$$(Build/Compile)
	rm -rf $(TOPDIR)/installed
	$$(call Package/$(1)/install,$(TOPDIR)/installed)
endef
