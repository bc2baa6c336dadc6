# flow: everything a person or CI does with this checkout. `make` alone lists it.

SHELL       := bash
BIN         := bin/flow
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.release=$(VERSION)
GOBIN       := $(shell $(GO) env GOPATH)/bin
GOLANGCI    := v2.15.0
SEEDS       ?= 20000
FUZZTIME    ?= 60s
export CGO_ENABLED ?= 0

.PHONY: help demo build install test deps check fmt vet lint race fuzz sim soak bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

demo: build ## build flow, install the tools, align and call variants of a real genome
	workflows/demo.sh

build: ## build bin/flow, one static binary
	$(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/flow

install: build ## install flow into /usr/local/bin, or PREFIX/bin
	install -D -m 0755 $(BIN) $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/flow

deps: ## install the tools and the data that the tests and examples need
	.ci/deps.sh

test: deps ## install what the tests need, and run them
	$(GO) test -timeout 20m ./...

check: fmt vet lint test race ## all that a change must pass

fmt: ## fail if a file is not formatted
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt differs:"; echo "$$out"; exit 1; }

vet: ## go vet, for Linux and macOS
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...

lint: ## golangci-lint, with the short list of .golangci.yml
	@test -x $(GOBIN)/golangci-lint && $(GOBIN)/golangci-lint version --short 2>/dev/null | grep -q $(GOLANGCI:v%=%) || \
	  GOFLAGS=-mod=mod $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	$(GOBIN)/golangci-lint run ./...

race: ## the tests of the parts with goroutines, under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./engine -sim.seeds=40
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./executor/... ./state ./cmd/flow/internal/...
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 $(GO) test -race -timeout 20m ./cmd/flow -kills=4 -batch.kills=20

sim: ## simulate SEEDS random worlds (default 20000), each twice
	$(GO) test ./engine -run Simulation -sim.seeds=$(SEEDS) -timeout 60m -v

soak: ## an hour of simulation and of killing the real binary
	$(GO) test ./engine -run Simulation -sim.seeds=200000 -timeout 90m
	$(GO) test ./cmd/flow -run KilledAnywhere -kills=1000 -batch.kills=10000 -timeout 60m

fuzz: ## every fuzz target for FUZZTIME (default 60s)
	@for t in $$(grep -rhoE '^func (Fuzz[A-Za-z]+)' --include='*_test.go' . | awk '{print $$2}'); do \
	  pkg=$$(dirname $$(grep -rlE "func $$t\(" --include='*_test.go' .)); \
	  echo "$$pkg $$t"; $(GO) test $$pkg -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) || exit 1; done

bench: build ## 10,000 tasks beside xargs and make, and the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchtime 1x ./cmd/flow ./engine ./executor/... ./state ./dsl

clean: ## remove what was built
	rm -rf bin
