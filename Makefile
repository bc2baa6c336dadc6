# flow: everything a person or CI does with this checkout. `make` alone lists it.

SHELL       := bash
BIN         := bin/flow
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X main.release=$(VERSION)
# The elements of pages are functions that return a function. Written into each place that
# calls them, as the compiler would, they are 1.4 MB of the binary.
GCFLAGS     := maragu.dev/gomponents=-l
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
	$(GO) build -trimpath -buildvcs=false -gcflags '$(GCFLAGS)' -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/flow

install: build ## install flow into /usr/local/bin, or PREFIX/bin
	install -D -m 0755 $(BIN) $(DESTDIR)$(or $(PREFIX),/usr/local)/bin/flow

deps: ## install the tools and the data that the tests and examples need
	.ci/deps.sh

# Those that take longest, most of it waiting, begin first.
LONG := ./cmd/flow ./executor/local/endpoint/judges ./workflows

test: deps ## install what the tests need, and run them
	$(GO) test -timeout 20m $(LONG) ./...

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

# What the race detector looks at: the packages with goroutines. Not the engine and the model
# of AWS Batch, which have none, nor others that only compute; nor the tests of dsl, which
# evaluates a file in one goroutine; nor those (judges, workflows) whose programs run aside,
# where it sees nothing of them.
RACE = ./cmd/flow ./cmd/flow/internal/web ./cmd/flow/internal/notice ./cmd/flow/internal/service ./cmd/flow/internal/head $(shell $(GO) list ./executor/... ./state 2>/dev/null | \
	  grep -vxE 'flow/executor|flow/executor/(instances|whole|local/model|batch/(cost|where|capacity)|executortest.*|.*/judges)')

# What others wrote and only computes, SQLite translated from C and the compression of layers,
# is not instrumented: most of the time would go there, and its races would not be ours.
RACELESS = $(foreach p,modernc.org/sqlite/lib github.com/klauspost/compress/... compress/flate,-gcflags='$(p)=-race=false -d=checkptr=0')

# Much data, all of it in one goroutine; and of cmd/flow what is the work of packages whose own
# tests are looked at (images, doctor, infra, agent, transfers), commands that print and end, and
# what runs in other processes or containers (TestS3KilledAnywhere, TestBatchFromScratch: TestBatchKilledAnywhere
# drives runs here; TestScheduleHead, TestServicesShareSlots), simulations in one goroutine, and what looks at pages: the server's goroutines are in the tests of its package and in serve.
RACESKIP := TestPagesAreBounded|TestFilterManyStreams|TestLookupMany|TestImages|TestDoctor|TestInfra|TestWalk|TestAgent|TestLargeFile|TestS3|TestCanary|$\
InBrowser|TestPages$$|TestSchedulePages|TestSchedulePictures|TestScheduleDeploy|TestScheduleHead|TestScheduleNightly|TestServicesShareSlots|TestSimulation|TestBatchFromScratch|TestHostile|TestReport|TestLargeStateServed|TestRunPage|TestRoutesRefuse|TestExport|TestPictures|$\
TestScripts/(s3|batchs3|recovers3|infra|infraexport|infrapolicy|image|doctor|hostile|fmt|validate|graph|init|help|sensitive|secrets|list|outputs|files|items|edited|publish|plan|report|export|github|events|uitasks|uibatch)$$

# With -short, what tests do often they do a few times, with much they do with less, by the
# same code. vet has looked at all of it already. A process under the race detector waits a
# second before it ends, unless told otherwise, and the tests start thousands.
race: ## the tests of the parts with goroutines, under the race detector
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 $(GO) test -race -short -vet=off $(RACELESS) -skip '$(RACESKIP)' -timeout 20m $(RACE)

sim: ## simulate SEEDS random worlds (default 20000), each twice
	$(GO) test ./engine -run Simulation -sim.seeds=$(SEEDS) -timeout 60m -v

soak: ## an hour of simulation and of killing the real binary
	$(GO) test ./engine -run Simulation -sim.seeds=200000 -timeout 90m
	$(GO) test ./cmd/flow -run KilledAnywhere -kills=1000 -batch.kills=10000 -s3.kills=2000 -timeout 60m

fuzz: ## every fuzz target for FUZZTIME (default 60s)
	@for t in $$(grep -rhoE '^func (Fuzz[A-Za-z]+)' --include='*_test.go' . | awk '{print $$2}'); do \
	  pkg=$$(dirname $$(grep -rlE "func $$t\(" --include='*_test.go' .)); \
	  echo "$$pkg $$t"; $(GO) test $$pkg -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) || exit 1; done

bench: build ## 10,000 tasks beside xargs and make, 5 GB to S3 and back beside aws s3 cp, and the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchtime 1x ./cmd/flow ./engine ./executor/... ./state ./dsl

clean: ## remove what was built
	rm -rf bin
