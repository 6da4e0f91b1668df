# What developers and CI run; `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BINARY := bin/analytics
BUILD := go build -tags nomsgpack -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

LINTER := .tools/golangci-lint
LINTER_VERSION := 2.15.0
SCANNER := .tools/govulncheck
SCANNER_VERSION := 1.9.0
K6 := .tools/k6
K6_VERSION := 1.8.1
# The database of known vulnerabilities.
VULNDB ?= https://vuln.go.dev

# What the page and the TypeScript client of the API are made of, each as its
# package-lock.json pins it.
API_TOOLS := .tools/api/node_modules
SWAGGER_UI := $(API_TOOLS)/swagger-ui-dist
CLIENT := clients/typescript
# What other people's generators make of the description of the API.
CODEGEN := .tools/codegen
OAPI_CODEGEN := go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
NPM_CI := npm ci --no-audit --no-fund --ignore-scripts

GENERATED := ports/mocks api/docs $(CLIENT)/src/schema.ts

# The race detector watches all but SQLite itself, which is C translated to Go: it
# would find nothing there, and its tests would take three times as long.
RACE := -race -gcflags='modernc.org/sqlite/lib=-race=false' -gcflags='modernc.org/libc/...=-race=false'

# Test support and generated mocks are no part of what is covered.
COVERED = $(shell go list ./... | grep -vE '/(ports/mocks|test)(/|$$)')
# Suites that take long and run code that others run too.
COVER_SKIPS := ^Test(Timescale.*|.*BehindPgBouncer|MergingStore|MergesInPart|MergerStepByStep|EventsCountOnce.*Dies)$$
COVER_DOMAIN ?= 95
COVER_APP ?= 95
COVER_WHOLE ?= 85

FUZZ ?= FuzzBatch
FUZZTIME ?= 60s
BENCH ?= .
SEARCH ?= 60s
BATCHES ?= 20000
KILLS ?= 50
FAULTS ?= 100
SOAK ?= 15m
SUSTAINED ?= 60s
BURST ?= 10s
# Measurements are written into the document; ARGS='-write=' prints them only.
MEASURE := -measure -write=$(CURDIR)/docs

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build the binary as bin/analytics
	$(BUILD) -o $(BINARY) ./bootstrap/analytics

.PHONY: run
run: build ## build, then serve on the embedded store in ./data (stop with Ctrl-C)
	@exec $(BINARY) serve

.PHONY: test
test: servers ## run all tests with the race detector
	go test $(RACE) -timeout=30m ./...

.PHONY: cover
cover: ## show coverage; fail below 95 % of domain or app or 85 % of the whole
	@go test -timeout=30m -skip='$(COVER_SKIPS)' -coverpkg=$$(tr ' ' ',' <<<'$(strip $(COVERED))') -coverprofile=coverage.out $(COVERED) | sed 's/\tcoverage: .*//'
	@awk -v domain=$(COVER_DOMAIN) -v app=$(COVER_APP) -v whole=$(COVER_WHOLE) -f .ci/coverage.awk coverage.out

.PHONY: chaos
chaos: ## kill processes and servers at random moments of a long load; BATCHES, KILLS, FAULTS and SEED vary it
	go test -count=1 -v -timeout=30m -run='^TestKilled' ./test/chaos -args \
		-batches=$(BATCHES) -kills=$(KILLS) -faults=$(FAULTS) $(if $(SEED),-seed=$(SEED))

.PHONY: soak
soak: ## load the program evenly for SOAK (15m); fail when memory, files, latency, queue or disk grow
	go test -count=1 -v -timeout=0 ./test/soak -args -soak=$(SOAK)

.PHONY: loadtest
loadtest: k6 ## send 100 requests a second for SUSTAINED (60s) and 1,000 for BURST (10s) by k6; demand right answers and counts
	go test -count=1 -v -timeout=30m ./test/load -args -k6=$(CURDIR)/$(K6) -sustained=$(SUSTAINED) -burst=$(BURST)

.PHONY: hostile
hostile: ## attack the program in full strength
	go test -count=1 -v -timeout=30m ./test/hostile -args -full

.PHONY: worst-day
worst-day: servers ## send what the limits allow one address in a day, and demand exact answers and 100 MB at most
	go test -count=1 -v -timeout=2h -run='^TestWorstDayOfOneAddress$$' ./test/worstday -args -minutes=1440

.PHONY: privacy-audit
privacy-audit: servers ## send personal data everywhere and search all that is written for it
	go test -count=1 -v -timeout=5m ./test/privacy

.PHONY: fuzz
fuzz: ## fuzz the body decoder for FUZZTIME (60s)
	go test -run='^$$' -fuzz='^$(FUZZ)$$' -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x ./domain

.PHONY: mutate
mutate: ## break domain, app and the limiter in one place at a time; list what no test notices
	go build -o .tools/mutation ./test/mutation
	.tools/mutation -by ./app ./domain || [ $$? = 1 ]
	.tools/mutation ./app || [ $$? = 1 ]
	.tools/mutation -files '^limiter' ./adapters/memory || [ $$? = 1 ]
	.tools/mutation -files '^limiter' ./adapters/redis || [ $$? = 1 ]

.PHONY: dearest
dearest: ## search for the body that takes the most CPU time, for SEARCH (60s); SEED repeats a search
	go test -count=1 -v -timeout=30m -run='^TestDearestBody$$' ./domain -args -search=$(SEARCH) $(if $(SEED),-search-seed=$(SEED))

.PHONY: bench
bench: ## run the benchmarks that match BENCH (all)
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...

.PHONY: bench-ingest
bench-ingest: servers ## measure posts until they are durable and until they count, memory and starts; ARGS varies it
	go test -count=1 -v -timeout=1h -run='^Test(Ingest|Sustained|Visible|Life)Figures$$' ./test/benchmark -args $(MEASURE) $(ARGS)

.PHONY: bench-stats
bench-stats: servers ## measure reads, bytes at rest and bytes written on real-shaped data; ARGS varies it
	go test -count=1 -v -timeout=3h -run='^(TestStatisticsFigures|TestMergingWrites)$$' ./test/benchmark -args $(MEASURE) $(ARGS)

.PHONY: bench-worker
bench-worker: servers ## measure the worker beside COPY, its memory and the embedded store; ARGS varies it
	go test -count=1 -v -timeout=1h -run='^(TestWorkerFigures|TestWorkerMemory)$$' ./test/benchmark -args $(MEASURE) $(ARGS)
	go test -run='^$$' -bench='^BenchmarkSustained' ./test/benchmark

.PHONY: bench-cache
bench-cache: servers ## measure a cached statistic beside a handler that only reads; ARGS varies it
	go test -count=1 -v -timeout=30m -run='^TestCachedFigures$$' ./test/benchmark -args $(MEASURE) $(ARGS)
	go test -run='^$$' -bench='^BenchmarkCachedMiddleware' ./test/benchmark

.PHONY: client-test
client-test: $(CLIENT)/node_modules/installed ## run the tests of the TypeScript client against ANALYTICS_URL (make test starts one)
	cd $(CLIENT) && npm run --silent test

.PHONY: lint
lint: linter lint-api ## check style, import rules and the description of the API
	$(LINTER) run ./...

.PHONY: lint-api
lint-api: $(API_TOOLS)/installed ## check the description of the API
	$(API_TOOLS)/.bin/spectral lint --ruleset api/.spectral.yaml --fail-severity hint api/openapi.yaml

.PHONY: codegen-check
codegen-check: $(CODEGEN)/installed ## generate from the description of the API with other people's tools, and use the result
	@cp test/codegen/*.go test/codegen/*.ts test/codegen/tsconfig.json test/codegen/go.* api/openapi.yaml $(CODEGEN)/
	@cd $(CODEGEN) && mkdir -p client server && \
		$(OAPI_CODEGEN) -generate types,client -package client -o client/client.go openapi.yaml && \
		$(OAPI_CODEGEN) -generate types,gin -package server -o server/server.go openapi.yaml && \
		go vet ./... && go test -count=1 ./...
	@cd $(CODEGEN) && npx --no-install openapi-ts --input openapi.yaml --output heyapi --silent && \
		npx --no-install openapi-typescript openapi.yaml --output openapi-typescript/schema.ts >/dev/null && \
		npx --no-install tsc
	@echo 'oapi-codegen, hey-api and openapi-typescript generate what compiles'

.PHONY: vulncheck
vulncheck: ## fail on known vulnerabilities that the program can reach; VULNDB is their database
	@if problem=$$(curl -fsS --max-time 20 -o /dev/null '$(VULNDB)/index/db.json' 2>&1); then \
		$(MAKE) --no-print-directory scanner; \
		$(SCANNER) -db '$(VULNDB)' -tags nomsgpack ./...; \
	else \
		echo "not run: vulncheck, as $(VULNDB) cannot be reached ($$problem)"; \
	fi

.PHONY: fmt
fmt: linter ## format the code
	$(LINTER) fmt ./...

.PHONY: generate
generate: swagger-ui $(CLIENT)/node_modules/installed ## write the generated files again
	go generate ./...
	cd $(CLIENT) && npm run --silent generate

.PHONY: swagger-ui
swagger-ui: $(API_TOOLS)/installed ## take Swagger UI over into api/docs
	@for file in swagger-ui-bundle.js swagger-ui.css; do \
		zcat -f api/docs/$$file.gz | cmp -s - $(SWAGGER_UI)/$$file || gzip -9nc $(SWAGGER_UI)/$$file >api/docs/$$file.gz; \
	done
	@cp $(SWAGGER_UI)/swagger-ui-bundle.js.LICENSE.txt api/docs/
	@cp $(SWAGGER_UI)/LICENSE api/docs/swagger-ui-LICENSE.txt
	@cp $(SWAGGER_UI)/NOTICE api/docs/swagger-ui-NOTICE.txt

.PHONY: verify
verify: ## fail when generated files or go.mod are stale
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	cp -r --parents $(GENERATED) "$$before"; \
	$(MAKE) --no-print-directory generate; \
	stale=; for path in $(GENERATED); do diff -ru "$$before/$$path" "$$path" || stale=1; done; \
	[ -z "$$stale" ] || { echo 'Generated files were stale and are new now: commit them.'; exit 1; }
	go mod tidy -diff

.PHONY: ci
ci: ## do all that CI does
	.ci/run

.PHONY: clean
clean: ## remove what was built; ./data stays
	rm -rf bin coverage.out $(CLIENT)/build $(CLIENT)/dist

# The race detector needs a C compiler, and the tests start servers of their own.
.PHONY: servers
servers:
	@.ci/install

.PHONY: linter
linter:
	@[ "$$($(LINTER) version --short 2>/dev/null)" = $(LINTER_VERSION) ] || \
		GOBIN=$(CURDIR)/.tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINTER_VERSION)

$(API_TOOLS)/installed: api/package.json api/package-lock.json
	@mkdir -p .tools/api && cp $^ .tools/api
	@cd .tools/api && $(NPM_CI)
	@touch $@

$(CODEGEN)/installed: test/codegen/package.json test/codegen/package-lock.json
	@mkdir -p $(CODEGEN) && cp $^ $(CODEGEN)
	@cd $(CODEGEN) && $(NPM_CI)
	@touch $@

$(CLIENT)/node_modules/installed: $(CLIENT)/package.json $(CLIENT)/package-lock.json
	@cd $(CLIENT) && $(NPM_CI)
	@touch $@

.PHONY: k6
k6:
	@$(K6) version 2>/dev/null | grep -q '^k6 v$(K6_VERSION) ' || \
		GOBIN=$(CURDIR)/.tools go install go.k6.io/k6@v$(K6_VERSION)

.PHONY: scanner
scanner:
	@go version -m $(SCANNER) 2>/dev/null | grep -q 'golang.org/x/vuln	v$(SCANNER_VERSION)	' || \
		GOBIN=$(CURDIR)/.tools go install golang.org/x/vuln/cmd/govulncheck@v$(SCANNER_VERSION)
