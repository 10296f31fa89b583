# Perdure's tasks. `make` alone lists them; docs/dependencies.md says why these tools.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The one place where versions of tools are pinned. Each must build with the Go of go.mod.
GOLANGCI_LINT_VERSION := v2.15.0
WORKFLOWCHECK_VERSION := v0.6.0

TEST_TIMEOUT := 40m
FUZZTIME ?= 1m
TESTFLAGS ?=
ARGS ?=

# The flags of the Temporal server's build. Whatever compiles devserver/ uses -trimpath, so that all share one build
# cache: without it, 1,800 packages would be compiled a second time.
TEMPORAL_BUILD := go build -trimpath -ldflags "-s -w"

# Folders stand beside the files, so that a file that is gone counts as a change.
sources = $(shell find $(1) \( -name node_modules -o -name testdata \) -prune -o \
	\( -type d -o -type f ! -name '*_test.go' ! -name '.*' \) -print)
PERDURE_SOURCES  := go.mod go.sum $(call sources,activities cmd config contract internal starter worker workflows)
TEMPORAL_SOURCES := $(call sources,devserver)

GOLANGCI_LINT := bin/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)
WORKFLOWCHECK := bin/tools/workflowcheck-$(WORKFLOWCHECK_VERSION)

# npm writes this file last, so it is there only after an installation that succeeded.
NPM_INSTALLED         := internal/e2e/npm/node_modules/.package-lock.json
CONFORMANCE_INSTALLED := internal/conformance/npm/node_modules/.package-lock.json

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: dev
dev: bin/perdure bin/perdure-temporal ## Run everything on this machine; ARGS="--http 127.0.0.1:9000" passes flags on
	@exec bin/perdure dev $(ARGS)

.PHONY: build
build: bin/perdure bin/perdure-temporal ## Build bin/perdure and bin/perdure-temporal

# The search attributes that runs set while they run: not every test begins with a "perdure migrate" of the namespace.
TEST_ATTRIBUTES = --search-attribute PerdureStatus=Keyword --search-attribute PerdureModel=Keyword

# One Temporal server serves all packages of a test run. The nested module has its own tests, without the race detector:
# the server's code is not ours.
.PHONY: test
test: export PERDURE_TEMPORAL_BINARY = $(abspath bin/perdure-temporal)
test: bin/perdure-temporal $(NPM_INSTALLED) $(CONFORMANCE_INSTALLED) ## Run all tests; TESTFLAGS="-run Name" passes flags on
	bin/perdure-temporal --listen 127.0.0.1:0 --ui off $(TEST_ATTRIBUTES) -- go test -race -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...
	cd devserver && go test -trimpath -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./...

# Each target by itself, as the go command wants it. What one finds is written below testdata/fuzz of its package, and belongs into a commit.
.PHONY: fuzz
fuzz: ## Run every fuzz target, each for FUZZTIME=1m
	@grep -rlE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r package; do \
		grep -hoE '^func Fuzz[A-Za-z0-9]+' "$$package"/*_test.go | cut -d' ' -f2 | sort | while read -r target; do \
			echo "$$package $$target"; go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$package" || exit; \
		done; \
	done

# How many runs, how many processes are killed meanwhile, and what both are chosen by; 0 takes a seed at random.
RUNS ?= 300
KILLS ?= 100
SEED ?= 0

# The test has bounds of its own, which grow with KILLS. What is left out is a line for each run that is as it should be.
.PHONY: chaos
chaos: export PERDURE_TEMPORAL_BINARY = $(abspath bin/perdure-temporal)
chaos: bin/perdure-temporal ## Kill processes at random while runs are under way; RUNS=300 KILLS=100 SEED=1; see docs/reliability.md
	go test -race -count=1 -timeout 2h -v -run '^TestChaos$$' ./internal/e2e \
		-chaos.runs $(RUNS) -chaos.kills $(KILLS) -chaos.seed $(SEED) | grep -v --line-buffered -e '^=== ' -e '^ *--- PASS: TestChaos/'

# Both start a server of their own. What they write is in docs/pages.md.
.PHONY: bench-pages
bench-pages: export PERDURE_TEMPORAL_BINARY = $(abspath bin/perdure-temporal)
bench-pages: bin/perdure-temporal $(NPM_INSTALLED) ## Measure the first paint of each page with PAGE_RUNS=10000 runs; see docs/pages.md
	bin/perdure-temporal --listen 127.0.0.1:0 --ui off $(TEST_ATTRIBUTES) -- \
		go test -count=1 -timeout 1h -run '^TestFirstPaint$$' -v ./internal/e2e -paint.runs $(PAGE_RUNS) | grep -v -e '^=== ' -e '^ok'

PAGE_RUNS ?= 10000

.PHONY: screenshots
screenshots: export PERDURE_TEMPORAL_BINARY = $(abspath bin/perdure-temporal)
screenshots: bin/perdure-temporal $(NPM_INSTALLED) ## Write docs/screenshots: each page, in both themes, with demo data
	bin/perdure-temporal --listen 127.0.0.1:0 --ui off $(TEST_ATTRIBUTES) -- \
		go test -count=1 -run '^TestScreenshots$$' -v ./internal/e2e -screenshots $(abspath docs/screenshots) | grep -v '^=== '

.PHONY: conformance
conformance: $(CONFORMANCE_INSTALLED) ## Run MCP's conformance suite against the MCP client and its OAuth
	go test -count=1 -v ./internal/conformance

.PHONY: lint
lint: lint-go lint-modules lint-shell lint-compose ## Check style, determinism of workflows, modules, scripts, compose file

# golangci-lint checks formatting, too (see fmt). workflowcheck finds what would make a replay differ.
.PHONY: lint-go
lint-go: $(GOLANGCI_LINT) $(WORKFLOWCHECK)
	$(GOLANGCI_LINT) run
	$(GOLANGCI_LINT) fmt --diff devserver internal/e2e/goclient
	$(WORKFLOWCHECK) ./workflows/...
	cd devserver && go vet -trimpath ./...
	cd internal/e2e/goclient && go vet ./...

.PHONY: lint-modules
lint-modules:
	go mod tidy -diff
	cd devserver && go mod tidy -diff
	cd internal/e2e/goclient && go mod tidy -diff

# Optional programs are not optional in CI: .ci/run installs them.
.PHONY: lint-shell
lint-shell:
	@if command -v shellcheck >/dev/null; then set -x; shellcheck .ci/run deploy/temporal/*.sh; \
	else echo "shellcheck is not installed: scripts are not checked"; fi

.PHONY: lint-compose
lint-compose:
	@if docker compose version >/dev/null 2>&1; then set -x; docker compose config --quiet; \
	elif command -v docker-compose >/dev/null; then set -x; docker-compose config --quiet; \
	else echo "docker compose is not installed: docker-compose.yml is not checked"; fi

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the Go code of all modules
	$(GOLANGCI_LINT) fmt . devserver internal/e2e/goclient

.PHONY: generate
generate: ## Run the go:generate directives
	go generate ./...

.PHONY: bench-run
bench-run: bin/perdure bin/perdure-temporal ## Measure the latency of a run beside a bare loop and a bare workflow; see bench/README.md
	PERDURE_TEMPORAL_BINARY=$(abspath bin/perdure-temporal) go run ./bench run $(ARGS)

.PHONY: bench-stream
bench-stream: bin/perdure bin/perdure-temporal ## Measure the way from a model's byte to a client's, and idle streams; see bench/README.md
	PERDURE_TEMPORAL_BINARY=$(abspath bin/perdure-temporal) go run ./bench stream $(ARGS)

# Before it 1,000 bare children run of each kind; ARGS="-bare 5000" for another number.
LINES ?= 2000

.PHONY: bench-batch
bench-batch: bin/perdure bin/perdure-temporal ## Measure a batch of LINES=2000 lines beside bare child workflows; see bench/README.md
	go run ./bench batch -lines $(LINES) $(ARGS)

bin/perdure: $(PERDURE_SOURCES)
	go build -trimpath -ldflags "-s -w" -o $@ ./cmd/perdure

# A line for each package would be 1,800 lines: a terminal sees a count in place, a log one line for every 200.
bin/perdure-temporal: $(TEMPORAL_SOURCES)
	@[ -e $@ ] || echo "Building the Temporal development server: about five minutes on two cores, this once."
	@cd devserver && $(TEMPORAL_BUILD) -v -o ../$@ . 2>&1 | awk -v tty="$$(test -t 2 && echo 1)" ' \
		/ / { print; next } \
		{ n++ } \
		tty { printf "\r  %d packages", n; fflush(); next } \
		n % 200 == 0 { print "  " n " packages"; fflush() } \
		END { if (tty && n) print "" }'

$(GOLANGCI_LINT):
	@echo "Building golangci-lint $(GOLANGCI_LINT_VERSION), once: about a minute."
	@$(call install-tool,golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION))

$(WORKFLOWCHECK):
	@$(call install-tool,workflowcheck,go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK_VERSION))

# The version is in the file's name, so that a new version is a new file.
define install-tool
mkdir -p bin/tools && GOFLAGS=-trimpath GOBIN=$(abspath bin/tools) go install $(2) && mv bin/tools/$(1) $@
endef

$(NPM_INSTALLED) $(CONFORMANCE_INSTALLED): %/node_modules/.package-lock.json: %/package.json %/package-lock.json %/.npmrc
	cd $* && npm ci --no-progress
	@touch $@
