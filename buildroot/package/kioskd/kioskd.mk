################################################################################
#
# kioskd
#
################################################################################

KIOSKD_VERSION = local
KIOSKD_SITE = $(BR2_EXTERNAL_LIVEKIOSK_PATH)/..
KIOSKD_SITE_METHOD = local
KIOSKD_LICENSE = Apache-2.0
KIOSKD_LICENSE_FILES = LICENSE THIRD-PARTY-NOTICES.md
KIOSKD_DEPENDENCIES = host-pkgconf jpeg libegl libgles libxkbcommon wayland
KIOSKD_GOMOD = livekiosk
KIOSKD_BUILD_TARGETS = cmd/kioskd cmd/kioskctl
KIOSKD_TAGS = nox11 novulkan
KIOSKD_MODELS = $(call qstrip,$(BR2_PACKAGE_KIOSKD_MODELS))

# What "make install" of the sources puts on any board.
define KIOSKD_INSTALL_TARGET_CMDS
	$(TARGET_MAKE_ENV) $(MAKE) -C $(@D) install DESTDIR=$(TARGET_DIR) BIN=$(@D)/bin
	mkdir -p $(TARGET_DIR)/usr/lib/livekiosk/models $(TARGET_DIR)/etc/kioskd
	cd $(@D) && files=$$($(HOST_GO_HOST_ENV) CGO_ENABLED=0 $(GO_BIN) run -mod=vendor \
		./inference/models/fetch -dir $(KIOSKD_MODELS) -arch $(GO_GOARCH) -list) && \
		$(INSTALL) -m 0644 -t $(TARGET_DIR)/usr/lib/livekiosk/models $$files
endef

# The users of sysusers.d, whose numbers must not change with an update: the
# data partition belongs to them.
define KIOSKD_USERS
	kiosk 900 kiosk 900 * /var/lib/kioskd - - Kiosk daemon
	kiosk-display 901 kiosk-display 901 * - - - Kiosk display
	- -1 kiosk-staff 902 * - - - -
	- -1 gpio 903 * - - - -
endef

$(eval $(golang-package))
