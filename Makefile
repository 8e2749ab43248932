# `make help` lists what there is to make. Everything a target needs is built from the Go module proxy into .tools/bin.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO      ?= go
TOOLS   := .tools/bin
LINT    := $(TOOLS)/golangci-lint

# Packages whose tests run code of several goroutines or processes at once.
CONCURRENT := ./blobstore/... ./export/... ./fetch/... ./gc/... ./internal/clone ./internal/flock \
              ./manifest/tags/... ./quarantine/... ./cmd/... .

# Arguments of `make bench`, such as BENCH='-rounds 1 -only "far|cut"' (-h lists them).
BENCH ?=

# The time each fuzz target gets in `make fuzz`.
FUZZTIME ?= 20s

# The commands that `make soak` runs; a third as many where locks do nothing.
ROUNDS ?= 3000

export PATH := $(CURDIR)/$(TOOLS):$(PATH)

.PHONY: help build demo test race lint fmt vet fuzz bench crash interop soak ci tools clean
.NOTPARALLEL:

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the command as bin/mstore
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/mstore ./cmd/mstore

demo: build tools ## push, pull, verify, export and collect a model against a real registry, and say what happens
	@$(GO) run ./internal/demo -mstore bin/mstore -registry $(TOOLS)/registry -model testdata/tiny-llama

test: tools ## run every test, with the real registry and foreign clients
	$(GO) test ./...

# Without GORACE each of the many short processes that tests start would wait a second at its end.
race: tools ## run the tests of concurrent packages under the race detector
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test -race $(filter-out ./fetch/...,$(CONCURRENT))
	CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(GO) test -race -short ./fetch/...

lint: $(LINT) ## check format and style with golangci-lint
	$(LINT) run

fmt: $(LINT) ## format the code as the linter wants it
	$(LINT) fmt

vet: ## check formatting, and type-check for every platform
	@test -z "$$(gofmt -l $(GOFILES))" || { echo "not formatted (make fmt):"; gofmt -l $(GOFILES); exit 1; }
	@for os in linux darwin windows; do GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... || exit 1; done

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@for pkg in $$($(GO) list ./...); do \
	  for name in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$name"; $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; \
	done

bench: build tools $(TOOLS)/bench.stamp ## measure beside the peers and print tables, as in spec/measurements.md
	@bash tools/bench/debian
	@$(GO) build -o $(TOOLS)/bench ./internal/bench
	@$(TOOLS)/bench $(BENCH)

interop: tools ## hundreds of megabytes through real foreign clients, registries and twenty kills; gc's model in millions of states
	MSTORE_INTEROP=large $(GO) test -count=1 -timeout 30m -run Interop ./internal/interop
	MSTORE_INTEROP=large $(GO) test -count=1 -v -run Interop .
	MSTORE_MODELCHECK=large $(GO) test -count=1 -run 'TestModel' ./gc
	MSTORE_RACES=large $(GO) test -count=1 -v -run TestPublishesBesideCollections ./gc

soak: tools ## thousands of commands in sixteen processes at once, some killed, one store; and with locks that do nothing
	MSTORE_SOAK=$(ROUNDS) $(GO) test -count=1 -v -timeout 60m ./internal/soak

crash: tools ## kill mstore before and after each step of each command, and let each step fail
	MSTORE_CRASH=large $(GO) test -count=1 -v -timeout 60m ./internal/crash

ci: ## what CI runs: cheapest failure first, the tests last
	@bash .ci/run

tools: $(TOOLS)/peers.stamp ## build the registry and the foreign clients that tests talk to

clean: ## remove what was built
	rm -rf bin .tools

GOFILES = $(shell git ls-files --cached --others --exclude-standard '*.go')

$(TOOLS)/peers.stamp: tools/peers/go.mod tools/peers/go.sum
	@mkdir -p $(TOOLS)
	CGO_ENABLED=0 $(GO) build -C tools/peers -trimpath -buildvcs=false -ldflags '-s -w' -o ../../$(TOOLS)/ tool
	@touch $@

# Peers that only the bench needs.
$(TOOLS)/bench.stamp: tools/bench/go.mod tools/bench/go.sum
	@mkdir -p $(TOOLS)
	CGO_ENABLED=0 $(GO) build -C tools/bench -trimpath -buildvcs=false -ldflags '-s -w' -o ../../$(TOOLS)/ tool
	@touch $@

$(LINT): tools/lint/go.mod tools/lint/go.sum
	@mkdir -p $(TOOLS)
	CGO_ENABLED=0 $(GO) build -C tools/lint -trimpath -buildvcs=false -ldflags '-s -w' -o ../../$(TOOLS)/ tool
	@touch $@
