# The targets a person needs; "make help" lists them.

export PATH := $(PATH):/usr/sbin:/sbin

# Without the Go that go.mod asks for, no target starts. The script says how to get it.
ifneq ($(shell scripts/go.sh),ok)
$(error Go is missing or too old)
endif

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.52.0

# nfpm makes the Debian package. Nothing else needs it.
NFPM_VERSION := v2.45.2
NFPM         := $(CURDIR)/bin/nfpm-$(NFPM_VERSION)

# gotestsum runs go test. At the end it repeats the failures; scripts/summary.sh prints the last line.
GOTESTSUM_VERSION := v1.13.0
GOTESTSUM         := $(CURDIR)/bin/gotestsum-$(GOTESTSUM_VERSION)
SUM    = $(GOTESTSUM) --no-color --format=testname --format-hide-empty-pkg --jsonfile-timing-events=bin/$@.json --post-run-command=scripts/summary.sh
GOTEST = $(SUM) -- -count=1

# The package that "make deb" makes: make deb VERSION=1.2.3 ARCH=arm64
VERSION ?= $(shell scripts/version.sh)
ARCH    ?= $(shell go env GOARCH)

# The tests that "make test" runs: make test PKG=./test/lab ARGS='-run Capture'
# The slowest packages come first, so that no processor is idle at the end.
PKG  ?= ./test/e2e ./contrib/deb ./test/differential ./...
ARGS ?=

# The environments of "make compatibility": make compatibility ONLY=forky-kernel
# The seed of the attacks: make hostile SEED=7
# The faults of "make chaos": make chaos SEED=7 FAULTS=200 ONLY='tap|MTU'
SEED   ?= $(shell date +%s)
FAULTS ?= 100
KILLS  ?= 100
ONLY   ?=

# The race detector needs a C compiler, which Go finds itself.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# Git refuses root a checkout of another user; then the build has no version.
NOVCS = $(if $(shell git rev-parse HEAD 2>/dev/null),,-buildvcs=false)

.PHONY: help build man deb setup prepare test test-full test-neutron test-kernel compatibility chaos hostile lint docs demo demo-hosts page-pictures bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ofdvr
	go build $(NOVCS) -o bin/ofdvr ./cmd/ofdvr

man: build ## write manual pages to bin/man
	bin/ofdvr man bin/man

deb: export NOVCS := $(NOVCS)
deb: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
deb: $(NFPM) ## make the Debian package bin/ofdvr_VERSION_ARCH.deb
	@scripts/deb.sh "$(VERSION)" "$(ARCH)" $(NFPM)

$(NFPM):
	GOBIN=$(CURDIR)/bin go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	@mv bin/nfpm $@

$(GOTESTSUM):
	GOBIN=$(CURDIR)/bin go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	@mv bin/gotestsum $@

# etcd is for tests. It is a module of its own.
ETCD := $(CURDIR)/bin/etcd
$(ETCD): $(wildcard test/etcd/*)
	cd test/etcd && CGO_ENABLED=0 go build -buildvcs=false -trimpath -o $@ .

setup: ## install what the demo and the tests need and is missing
	@scripts/setup.sh

prepare: $(NFPM) $(GOTESTSUM) $(ETCD) ## install and download what all targets for tests need
	@scripts/setup.sh --tests
	@scripts/setup.sh --neutron
	@scripts/setup.sh --kernel

# Compilers and tests collect garbage less often, which saves up to a fifth of their CPU time. The limit counts because
# the race detector needs three times as much memory as the heap had at most. Programs that tests start in the lab have
# Go's defaults, see lab.Isolate.
test test-full test-neutron test-kernel: export GOGC ?= 400
test test-full test-neutron test-kernel: export GOMEMLIMIT ?= 400MiB

test: $(NFPM) $(GOTESTSUM) $(ETCD) ## run every test, on a real Open vSwitch where this machine can
	@scripts/setup.sh --tests
	@$(SUM) --raw-command -- scripts/gotest.sh -count=1 $(RACE) -timeout=45m -p=$(shell nproc) $(ARGS) -- $(PKG)

test-full: $(NFPM) $(GOTESTSUM) $(ETCD) ## run all rounds of the tests of which "make test" runs a part
	@scripts/setup.sh --tests
	@OFDVR_LAB_FULL=true $(GOTEST) -timeout=60m -run '^(TestDamage|TestPlanProperties|TestMemoryOfYAML|TestReproducible|TestJunk|TestKills)$$' $(ARGS) ./controller/store ./controller/etcd ./ovsdb ./routing/topology ./contrib/deb

test-neutron: $(GOTESTSUM) ## run the tests with a real Neutron: its server, its agents and ofdvr's extension
	@scripts/setup.sh --neutron
	@$(GOTEST) $(RACE) -timeout=30m -tags neutron $(ARGS) ./test/neutron

# The tests with an Open vSwitch. It leaves out tests that do not depend on the datapath but need a fast processor,
# not an emulated one. It also leaves out test/differential, because there Linux is no plain router: the openvswitch
# module makes it track connections and reassemble fragments.
test-kernel: PKG = ./test/lab ./test/e2e ./internal/namespace ./controller/reconcile
test-kernel: ARGS = -skip '^(TestPage|TestEtcd|TestPrometheus|TestCountersOfManyFlows|TestSilentConnections)'
test-kernel: $(GOTESTSUM) ## run the tests on the datapath of a Linux kernel, in a virtual machine
	@scripts/setup.sh --kernel
	@go build -buildvcs=false -o bin/ ./test/guest
	@CGO_ENABLED=0 go build $(NOVCS) -trimpath -o bin/ofdvr ./cmd/ofdvr
	@if bin/guest -check; then \
		failed=0; \
		$(GOTEST) -tags kernel ./test/guest || failed=1; \
		CGO_ENABLED=0 OFDVR_LAB_DATAPATH=system OFDVR_BINARY=$(CURDIR)/bin/ofdvr \
			$(GOTEST) -tags kernel -p=1 -exec $(CURDIR)/bin/guest -timeout=60m $(ARGS) $(PKG) || failed=1; \
		exit $$failed; \
	elif [ "$$CI" = true ]; then exit 1; else echo "test-kernel: skipped"; fi

docs: ## write the generated parts of docs/*.md: flags, keys, metrics, commands
	go test -count=1 -run '^TestGeneratedDocs$$' ./cmd/ofdvr -update

compatibility: ## test on each available Open vSwitch and datapath, and write docs/compatibility.md
	@scripts/setup.sh --kernel
	@go build -buildvcs=false -o bin/ ./test/guest
	@CGO_ENABLED=0 go build $(NOVCS) -trimpath -o bin/ofdvr ./cmd/ofdvr
	@go run ./test/compat -only='$(ONLY)'

chaos: setup $(ETCD) ## inject faults under traffic, chosen by SEED, and report the results
	go test $(RACE) -count=1 -timeout=0 -v ./test/chaos -seed=$(SEED) -faults=$(FAULTS) -etcd=$(FAULTS) -kills=$(KILLS) -only='$(ONLY)'

lint: ## gofmt, go vet, staticcheck, deadcode
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet -tags neutron,kernel ./... && go run $(STATICCHECK) -tags neutron,kernel ./...
	cd bench && go vet ./... && go run $(STATICCHECK) ./...
	cd test/etcd && go vet ./...
	@dead=$$(go run $(DEADCODE) -test -tags neutron,kernel ./...) || exit 1; \
		dead=$$(echo "$$dead" | grep -v ': Example$$'); if [ -n "$$dead" ]; then echo "deadcode: $$dead"; exit 1; fi

demo: setup build ## show a router inside the switch, on a real Open vSwitch
	@go build $(NOVCS) -o bin/demo ./test/demo
	@OFDVR_BINARY=bin/ofdvr bin/demo

demo-hosts: setup build ## show networks that span three hosts, each with its own Open vSwitch
	@go build $(NOVCS) -o bin/demo ./test/demo
	@OFDVR_BINARY=bin/ofdvr bin/demo hosts

page-pictures: build ## take the pictures of docs/page.md, in a headless Chromium
	@scripts/setup.sh --tests
	@PAGE_SHOTS=$(CURDIR)/docs go test -count=1 -run '^TestPagePictures$$' ./test/e2e

bench: build ## measure side by side with peers and limits, and write docs/benchmarks.md
	@scripts/setup.sh --bench
	@scripts/setup.sh --kernel
	@go build -buildvcs=false -o bin/ ./test/guest
	cd bench && OFDVR_BINARY=../bin/ofdvr go run . -report ../docs/benchmarks.md

hostile: setup build ## attack a daemon as chosen by SEED, and write the costs to docs/benchmarks.md
	cd bench && OFDVR_BINARY=../bin/ofdvr go run . -only hostile -seed $(SEED) -report ../docs/benchmarks.md

clean: ## remove all build results
	rm -rf bin
