# `make` alone prints what there is. Everything needs Go, make and a POSIX shell; the tests need bash, git and a C
# compiler, too, and PostgreSQL's programs (Debian: postgresql) or they skip what needs it.

GO ?= go
BIN := bin
TEST_TIMEOUT ?= 30m

# The tools are pinned here and run from the module cache: nothing to install.
GOFUMPT       := $(GO) run mvdan.cc/gofumpt@v0.12.0
STATICCHECK   := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
WORKFLOWCHECK := $(GO) run go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0
GOVULNCHECK   := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0
GOTESTSUM     := $(GO) run gotest.tools/gotestsum@v1.13.0

# Each is a module of its own.
MODULES := . sandbox sandbox/temporal

.DEFAULT_GOAL := help
.PHONY: help demo run build server test race histories check format vet lint generated vulnerabilities smoke bench clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## watch contacts reach a fake Rankr from a fake GHL, with Temporal and its UI (ONCE=1: end by itself)
	@ONCE=$(ONCE) $(BIN)/demo

run: build ## keep your GHL and Rankr in step; settings from the environment or .env, Temporal's files in ./data
	@$(BIN)/run

build: server ## build every program into ./bin
	@.ci/progress "building worker and starter" $(GO) build -o $(BIN)/ ./worker ./starter
	@.ci/progress "building the demo" $(GO) -C sandbox build -o ../$(BIN)/ ./demo ./run
	@.ci/progress "building the fakes" $(GO) -C sandbox build -o ../$(BIN)/rankrsync-fakes ./fakes

server: ## build the embedded Temporal server (minutes the first time, seconds after that)
	@.ci/progress "building the Temporal server, once (3 to 6 minutes on two cores)" \
		$(GO) -C sandbox/temporal build -ldflags '-s -w' -o ../../$(BIN)/rankrsync-temporal .

test: server race ## run all tests with the race detector, end to end too
	@$(GOTESTSUM) --format pkgname --raw-command -- .ci/test-json -race -timeout $(TEST_TIMEOUT)

# The programs that the end-to-end tests start, with the race detector; the server never has it.
race:
	@mkdir -p $(BIN)/race
	@.ci/progress "building worker and starter with the race detector" $(GO) build -race -o $(BIN)/race/ ./worker ./starter
	@$(GO) -C sandbox build -race -o ../$(BIN)/race/ ./run
	@ln -sf ../rankrsync-temporal $(BIN)/race/rankrsync-temporal

histories: server race ## record the histories that the replay tests read anew (only when a release may break old runs)
	@cd sandbox && $(GO) test -count=1 -run TestRecordHistoriesForReplay ./e2e -record

check: format vet lint generated vulnerabilities smoke test ## everything CI checks

format: ## fail on files that gofumpt would change
	@echo "format"
	@files=$$($(GOFUMPT) -l $$(git ls-files -co --exclude-standard '*.go')); \
		[ -z "$$files" ] || { echo "gofumpt would change these; run: $(GOFUMPT) -w ."; echo "$$files"; exit 1; }

vet: ## go vet
	@for module in $(MODULES); do echo "vet $$module"; $(GO) -C $$module vet ./... || exit 1; done

lint: ## staticcheck, and workflowcheck for what a workflow must not do
	@for module in $(MODULES); do echo "staticcheck $$module"; (cd $$module && $(STATICCHECK) ./...) || exit 1; done
	@echo "workflowcheck"
	@$(WORKFLOWCHECK) -config workflows/workflowcheck.config.yaml ./workflows/...

generated: ## fail when a generated file is stale
	@echo "generated files"
	@$(GO) generate ./app ./deploy
	@git diff --exit-code -- docs/configuration.md .env.example

vulnerabilities: ## govulncheck, where its database can be reached
	@if curl -sfo /dev/null --max-time 10 https://vuln.go.dev/index/db.json; then \
		echo "govulncheck" && $(GOVULNCHECK) ./...; \
	else echo "govulncheck skipped: https://vuln.go.dev can't be reached from here"; fi

smoke: build ## the demo, to its end
	@ONCE=1 $(BIN)/demo

bench: build ## measure; the figures go to docs/benchmarks.md
	@cd sandbox && $(GO) run ./bench

clean: ## remove the built programs (./data stays)
	@rm -rf $(BIN)
