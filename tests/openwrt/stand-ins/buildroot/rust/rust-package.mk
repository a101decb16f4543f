# A stand-in of the packages feed's rust-package.mk, and of the rust-values.mk that it reads.
RUST_ARCH_DEPENDS:=@(aarch64||x86_64)
CARGO_HOME:=$(DL_DIR)/cargo
CARGO_RUSTFLAGS+=-Ctarget-feature=-crt-static
CARGO_PKG_CONFIG_VARS= \
	CARGO_HOME=$(CARGO_HOME) \
	CARGO_PROFILE_RELEASE_PANIC=unwind \
	RUSTFLAGS="$(CARGO_RUSTFLAGS)"
CARGO_PKG_PROFILE:=release

CARGO_PKG_VARS=$(CARGO_PKG_CONFIG_VARS) CC=cc
CARGO_PKG_ARGS=--locked

define Build/Compile
	+$(CARGO_PKG_VARS) cargo install -v \
		--profile $(CARGO_PKG_PROFILE) \
		$(if $(strip $(RUST_PKG_FEATURES)),--features "$(strip $(RUST_PKG_FEATURES))") \
		--root $(PKG_INSTALL_DIR) \
		--path "$(PKG_BUILD_DIR)" \
		$(CARGO_PKG_ARGS)
endef

define RustBinPackage
  ifndef Package/$(1)/install
    $$(error the package has an installation of its own)
  endif
endef
