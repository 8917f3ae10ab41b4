# The targets a person needs; "make help" lists them.

export PATH := $(PATH):/usr/sbin:/sbin

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# What "make test" runs: make test PKG=./internal/lab ARGS='-run Capture'
PKG  ?= ./...
ARGS ?=

# What "make chaos" plays: make chaos SEED=7 FAULTS=200 ONLY='tap|MTU'
SEED   ?= $(shell date +%s)
FAULTS ?= 100
KILLS  ?= 100
ONLY   ?=

# The race detector needs a C compiler, which Go looks for itself.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

# Git refuses root a checkout that is somebody else's; then the version is left out.
NOVCS = $(if $(shell git rev-parse HEAD 2>/dev/null),,-buildvcs=false)

.PHONY: help build man setup test chaos lint demo bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/ofdvr
	go build $(NOVCS) -o bin/ofdvr ./cmd/ofdvr

man: build ## write manual pages to bin/man
	bin/ofdvr man bin/man

setup: ## install what the demo and the tests need, if it is missing
	@scripts/setup.sh

test: ## run every test, on a real Open vSwitch where this machine can
	@scripts/setup.sh --tests
	@go build -buildvcs=false -o bin/testsum ./internal/testsum
	@bin/testsum -o bin/test-summary $(RACE) -count=1 $(ARGS) $(PKG)

chaos: setup ## break things under traffic, chosen by SEED, and report what came of it
	go test $(RACE) -count=1 -timeout=0 -v ./internal/lab/chaos -seed=$(SEED) -faults=$(FAULTS) -kills=$(KILLS) -only='$(ONLY)'

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	go vet ./... && go run $(STATICCHECK) ./...
	cd bench && go vet ./... && go run $(STATICCHECK) ./...

demo: setup build ## show a router inside the switch, on a real Open vSwitch
	@go build $(NOVCS) -o bin/demo ./internal/demo
	@OFDVR_BINARY=bin/ofdvr bin/demo

bench: setup build ## measure side by side with peers and limits, and write docs/benchmarks.md
	cd bench && OFDVR_BINARY=../bin/ofdvr go run . -report ../docs/benchmarks.md

clean: ## remove what was built
	rm -rf bin
