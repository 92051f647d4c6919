# Short targets; each does its own set-up on a fresh Debian 12 with git, make and Go.
GO     ?= go
CLIP   ?= portrait
SIZE   ?= 720x1280
LOCALE ?= en
FUZZ   ?= 10s
FOR    ?= 1h
CAPTURES ?= 1000
KIOSKS ?= 100000
IMAGES ?= 2000
KILLS  ?= 100
BIN    := bin
TRACE  ?= $(wildcard kiosk/trace/testdata/*.trace)
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo devel)
LINT   := $(GO) tool -modfile=.tools/golangci-lint.mod golangci-lint
export CGO_ENABLED = 1

# The packages that must build without cgo (kiosk/layers_test.go holds the rule).
PURE := ./kiosk/... ./camera ./camera/exposure ./camera/pixel ./camera/replay ./camera/trust ./inference ./inference/pad ./inference/quality ./inference/models/... \
        ./queue/... ./ui/screens ./ui/sound ./ui/text ./ui/theme ./systemd/... ./cmd/kioskctl ./cmd/guest ./buildroot/...

.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing: Debian packages, runtime, weights
	@.tools/setup

.PHONY: models
models: ## fetch and check the inference runtime and the weights
	@.tools/setup

.PHONY: build
build: ## build the programs into bin/
	@mkdir -p $(BIN)
	@$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN)/ ./cmd/...

# The architecture of the board, and what goes before commands that build or run
# for another one than this machine's.
BOARD := $(or $(ARCH),$(shell $(GO) env GOARCH))
ifneq ($(BOARD),$(shell $(GO) env GOARCH))
CROSS := .tools/$(BOARD)
endif

.PHONY: kioskd
kioskd: ## build what a board runs into bin/ARCH/ (ARCH=arm64)
	@.tools/setup $(if $(CROSS),cross)
	@mkdir -p $(BIN)/$(BOARD)
	$(CROSS) $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/$(BOARD)/ ./cmd/kioskd ./cmd/kioskctl

.PHONY: self-test
self-test: kioskd ## whether that works: models, golden vectors, a composed visitor (ARCH=arm64 under emulation)
	$(if $(CROSS),$(CROSS) run) $(BIN)/$(BOARD)/kioskd -self-test

# Rises with every commit.
DEB_VERSION ?= $(shell TZ=UTC git log -1 --format=0.%cd.%h --date=format-local:%Y%m%d.%H%M%S)
.PHONY: deb
deb: kioskd ## pack what a board runs as bin/kioskd_VERSION_ARCH.deb (ARCH=arm64)
	@.tools/deb $(BOARD) $(DEB_VERSION) $(BIN)

.PHONY: deb-test
deb-test: ## build the package of HEAD twice, install, use, upgrade and purge it on a bare Debian (root; WHOLE=1: nothing cached)
	@.tools/setup cross
	@.tools/deb-test $(if $(WHOLE),whole)

# What a board gets, and nothing that needs the network or a running system:
# users, device rules and units take effect by systemd-sysusers, udevadm and systemctl there.
DOC    := $(DESTDIR)/usr/share/doc/kioskd
SYSTEM := $(DESTDIR)/usr/lib
.PHONY: install
install: ## install what "make build" built below DESTDIR (empty: this system)
	install -D -m 755 -t $(DESTDIR)/usr/bin $(BIN)/kioskd $(BIN)/kioskctl
	install -D -m 644 -t $(SYSTEM)/systemd/system $(wildcard systemd/units/*.service systemd/units/*.path systemd/units/*.timer)
	install -D -m 644 -t $(SYSTEM)/sysusers.d systemd/sysusers.d/kioskd.conf
	install -D -m 644 -t $(SYSTEM)/tmpfiles.d systemd/tmpfiles.d/kioskd.conf
	install -D -m 644 -t $(SYSTEM)/udev/rules.d systemd/rules.d/60-kioskd.rules
	cd systemd/units && find *.d -type f -exec install -D -m 644 {} $(abspath $(DOC))/examples/{} \;
	cd systemd && find lockdown rauc sysupdate.d sysupdate.models.d sysupdate.rollout.d -type f -exec install -D -m 644 {} $(abspath $(DOC))/examples/{} \;
	install -D -m 644 -t $(DOC) LICENSE THIRD-PARTY-NOTICES.md README.md

.PHONY: demo
demo: setup build ## watch one whole session (CLIP=spoof, OFFLINE=1, RELAY=1, LIGHT=1, SIZE=1280x800, LOCALE=id)
	@$(BIN)/demo -clip $(CLIP) -size $(SIZE) -locale $(LOCALE) $(if $(OFFLINE),-offline) $(if $(RELAY),-relay) $(if $(LIGHT),-light)

.PHONY: run
run: setup build ## run the kiosk (ARGS='-camera=/dev/video0')
	@MALLOC_ARENA_MAX=2 GODEBUG=asyncpreemptoff=1 $(BIN)/kioskd $(ARGS)

.PHONY: test
test: setup pure replay-arm64 screens ## run all tests
	$(GO) test -race -timeout 18m ./...

.PHONY: pure
pure: setup ## build without cgo what must build without it, and test the deterministic core so
	CGO_ENABLED=0 $(GO) build $(PURE)
	CGO_ENABLED=0 $(GO) test ./kiosk/flow ./kiosk/guidance ./kiosk/trace ./inference/pad ./camera/pixel ./camera/trust

.PHONY: screens
screens: setup ## hold every picture of every screen against its reference (what differs: out/golden), and what a frame allocates
	$(GO) test -run '^TestScreensLookAsTheyShould$$' ./ui -every=1
	$(GO) test -run '^TestAFrameOfGuidanceAllocatesNothingOfItsOwn$$' ./ui/screens

.PHONY: replay-arm64
replay-arm64: ## the arm64 build replays recorded traces under emulation
	@.tools/setup arm64
	@mkdir -p $(BIN)
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build -o $(BIN)/kioskctl-arm64 ./cmd/kioskctl
	qemu-aarch64-static $(BIN)/kioskctl-arm64 replay $(TRACE)

.PHONY: lint
lint: ## run the linters
	@.tools/setup lint
	shellcheck .ci/run .tools/setup .tools/fuzz .tools/arm64 .tools/deb .tools/deb-test systemd/debian/p* systemd/rauc/bundle systemd/rauc/rauc-p*-install buildroot/test/image/build buildroot/test/image/debian buildroot/test/image/boot buildroot/fetch.sh buildroot/board/common/post-build.sh buildroot/board/qemu/post-image.sh
	$(LINT) run --allow-parallel-runners ./...
	$(LINT) fmt --diff ./...
	$(GO) mod tidy -diff
	$(GO) mod verify >/dev/null

.PHONY: fmt
fmt: ## format the sources
	$(LINT) fmt ./...

.PHONY: fuzz
fuzz: setup ## fuzz every decoder for FUZZ each
	@.tools/fuzz $(FUZZ)

.PHONY: bench
bench: setup ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-inference
bench-inference: setup ## what quality and the rest of the analysis cost beside the bare networks, in turns, as medians
	$(GO) test -run '^$$' -bench Share -benchtime 400x ./inference

.PHONY: quality-report
quality-report: setup ## compose 50 variations of each scene and see which hints they provoke: out/quality/report.md and .png
	@mkdir -p out/quality
	$(GO) test -count=1 -timeout 30m -run '^TestScenes$$' ./inference -variations 50 -report $(CURDIR)/out/quality
	@cat out/quality/report.md

.PHONY: walk-ups
walk-ups: setup ## walk 200 simulated visitors up to the kiosk, on composed pictures: out/walk-ups/report.md
	@rm -rf out/walk-ups && mkdir -p out/walk-ups
	$(GO) test -count=1 -timeout 40m -run '^TestWalkUps$$' ./kiosk/guidance/guidancetest -pictures 200 -report $(CURDIR)/out/walk-ups
	@cat out/walk-ups/report.md

.PHONY: bench-outbox
bench-outbox: setup ## store captures in the outbox, in SQLite, in plain files and over preallocated bytes: one table
	$(GO) test -tags compare -run '^$$' -bench Compare -benchtime 300x ./queue

.PHONY: bench-camera
bench-camera: setup ## frame to preview beside libjpeg-turbo, Go and ffmpeg: one table (TABLE=camera/BENCHMARKS.md)
	@.tools/setup bench
	$(GO) test -tags compare -run '^$$' -bench Compare -benchtime 1x ./camera $(if $(TABLE),-table $(abspath $(TABLE)))

.PHONY: storm
storm: ## deliver CAPTURES captures through killed connections and processes (SEED=)
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ ./cmd/storm
	@$(BIN)/storm -captures $(CAPTURES) $(if $(SEED),-seed $(SEED))

.PHONY: crash
crash: setup ## start the outbox from IMAGES disks as a power cut could have left them, and kill it KILLS times (root)
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ ./cmd/crash
	@$(BIN)/crash -images $(IMAGES) -kills $(KILLS) $(if $(SEED),-seed $(SEED))

.PHONY: crash-long
crash-long: ## the same with 20,000 disks and 1,000 kills
	@$(MAKE) --no-print-directory crash IMAGES=20000 KILLS=1000

.PHONY: guest
guest: ## run the guest tests in an emulated machine with virtual devices (ARCH=arm64, PKG=./camera/v4l2, RUN=)
	@.tools/setup guest
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ ./cmd/guest
	@$(BIN)/guest $(if $(ARCH),-arch $(ARCH)) $(if $(RUN),-run '$(RUN)') $(PKG)

.PHONY: image
image: setup build ## make the disk and the updates of an emulated board with Debian 13: out/image (root; see buildroot/test/image/README.md)
	@.tools/setup image
	buildroot/test/image/build out/image

.PHONY: image-guest
image-guest: image ## boot that board, hang and lock it, update it to a good and a bad version, cut its power CUTS=3 times (root; SEED=, RUN=)
	$(GO) test -tags image -count=1 -v -timeout 6h -parallel 2 -run '$(or $(RUN),^TestImage$$)' ./buildroot/test/image -cuts $(or $(CUTS),3) $(if $(LONG),-long) $(if $(SEED),-seed $(SEED))

.PHONY: image-guest-long
image-guest-long: ## the same with 50 power cuts
	@$(MAKE) --no-print-directory image-guest CUTS=50 LONG=1

.PHONY: update-test
update-test: ## have Debian 13's systemd-sysupdate write a disk, refuse what it must, and be killed 50 times (root)
	@.tools/setup image
	$(GO) test -tags sysupdate -count=1 -v -run '^TestSysupdate' ./systemd/update

.PHONY: soak
soak: setup build ## sessions, outages and restarts in a loop for FOR; memory and descriptors stay flat
	@$(BIN)/storm soak -for $(FOR)

.PHONY: drain
drain: ## drain an outbox beside a bare client that keeps no state, and compare
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ ./cmd/storm
	@$(BIN)/storm drain

.PHONY: fleet-sim
fleet-sim: ## simulate KIOSKS kiosks after an outage: out/fleet
	$(GO) run ./cmd/fleetsim -kiosks $(KIOSKS)

.PHONY: storybook
storybook: setup build ## draw the storybook of the README
	$(BIN)/kioskd -story -sheet kiosk/storybook.png -locale en -scheme LIGHT_MODE -columns 8 -shrink 5 \
		-states '^([a-z_]+|guiding-(near|starting|move_left)|again-ask|desk-listing|consent-large)$$'

.PHONY: golden
golden: setup build ## rewrite golden traces and pictures: look at the diff
	$(GO) test ./kiosk/flow ./ui -update
	for clip in portrait spoof; do $(BIN)/demo -patient -clip $$clip -out out/golden-$$clip || exit 1; done
	cp out/golden-portrait/state/traces/*.trace kiosk/trace/testdata/portrait.trace
	$(BIN)/demo -patient -light -out out/golden-light
	cp out/golden-spoof/state/traces/*.trace kiosk/trace/testdata/print.trace
	cp out/golden-light/state/traces/*.trace kiosk/trace/testdata/light.trace
	chmod 644 kiosk/trace/testdata/*.trace
