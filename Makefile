.DEFAULT_GOAL := help
.PHONY: help local demo test test-aws check bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

local: bin/local ## run everything on this machine, with a simulated provider: http://127.0.0.1:8787 (ARGS="-addr HOST:PORT -data FOLDER -live")
	exec bin/local $(ARGS)

demo: bin/local ## with `make local` running: make a picture, edit it, print the files (same ARGS as there)
	bin/local demo $(ARGS)

# Four packages at a time, even on two cores: many tests wait for sockets and the disk.
# The second line runs the mutants, most random histories and the months of reconcile, five times as fast as the detector would.
test: ## run every test, with the race detector
	go test -race -p 4 -timeout 30m ./...
	go test ./shared/lifecycle/prooftest ./local/ops/ledger
	@test -n "$$AWS_ENDPOINT_URL" || echo "skipped: tests that need a stand-in of AWS (DynamoDB, S3, Secrets Manager); make test-aws runs them"

# Runs without the race detector; make test runs some histories with it.
.PHONY: proof
proof: CHECKS ?= 20000
proof: MUTANTS ?= 10000
proof: AGENTS ?= 100
proof: ## check many random histories of tasks, with all faults, against the invariants (CHECKS=20000), read records in many undocumented shapes (MUTANTS=10000), and let agents order over a bad network (AGENTS=100); prints the seed of a failure
	go test -count=1 -timeout 2h -run '^TestProof$$' -v ./shared/lifecycle/prooftest -rapid.checks=$(CHECKS) $(ARGS)
	go test -count=1 -run '^TestMutants$$' -v ./shared/nanobanana -mutants=$(MUTANTS)
	go test -count=1 -timeout 1h -run '^TestNoisyAgent$$' -v ./functions/mcp -agents=$(AGENTS)
	BURST=full go test -count=1 -timeout 1h -run '^TestBurst$$' -v ./shared/lifecycle/bursttest
	LISTS=full go test -count=1 -timeout 1h -run '^TestLists$$' -v ./shared/taskbolt

# Only the packages that use the stand-in.
test-aws: ## run the tests that need AWS against a stand-in on loopback, with the binaries as deployed
	AWS_TESTS=required local/aws/run go test -race -count=1 ./shared/aws/... ./functions/...
	AWS_TESTS=required LISTS=full local/aws/run go test -count=1 -timeout 1h -run '^TestLists$$' -v ./shared/aws/taskdb
	@git cat-file -e "$$(sed -n 's/^const previous = "\(.*\)"/\1/p' functions/deployed/release_test.go)" 2>/dev/null || echo "NOT RUN: the tests of the previous release's binaries. This clone does not have their commit: git fetch --unshallow"

.PHONY: test-web
test-web: export REDOCLY_TELEMETRY = off
test-web: export REDOCLY_SUPPRESS_UPDATE_NOTICE = true
test-web: bin/local ## lint openapi.yaml, compile the client in frontend/ with it, run the client, the receiver of notices and the studio page against bin/local, and read the marks of pictures with exiftool; needs Node 20.19 or newer, PostgreSQL, exiftool and Chromium (CHROMIUM=its path, by default /usr/bin/chromium)
	EXIFTOOL=required go test -count=1 -run Exiftool ./shared/lifecycle
	cd frontend/test && npm ci --no-audit --no-fund --no-update-notifier --ignore-scripts && npm run --silent lint && npm run --silent build && npm run --silent test

.PHONY: test-mcp
test-mcp: bin/local ## run the official MCP clients in local/mcp against /mcp, of bin/local and then of the binaries as deployed; needs npm, curl, Chromium and python3 3.11 or newer with venv
	local/mcp/app/build --check
	local/venv .clients/mcp local/mcp/requirements.txt
	cd local/mcp && npm ci --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel=error && ./run
	cd local/mcp/signin && npm ci --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel=error && node --test-reporter=spec signin.test.js
	MCP_TESTS=required AWS_TESTS=required local/aws/run go test -race -count=1 -v -run '^TestMCPClients$$' ./functions/deployed

.PHONY: test-clients
test-clients: bin/local ## make clients from openapi.yaml with three generators and run them against bin/local and the binaries as deployed; needs python3 3.11 or newer with venv
	local/clients/run
	CLIENT_TESTS=required AWS_TESTS=required local/aws/run go test -race -count=1 -v -run '^TestGeneratedClients$$' ./functions/deployed

.PHONY: supply
supply: ## what the functions contain (CycloneDX, in bin/supply), their licences, two builds of each with one hash, and known vulnerabilities where their databases can be reached
	CGO_ENABLED=0 GOFLAGS="$(BUILDFLAGS)" go run ./local/supply

.PHONY: drill
drill: export DRILL = on
drill: ## play the faults that an operator is paged for, for hours in a simulated time and with the binaries as deployed: the alarm rings, stuck shows it, the runbook's command mends it, nothing is lost
	go test -count=1 -v -run '^TestHours$$' ./local/drilltest
	AWS_TESTS=required local/aws/run go test -count=1 -v -run '^TestDrill$$' ./functions/deployed

# What takes too long for each change. Before a release, and each night.
.PHONY: nightly
nightly: ## make supply, make test-deploy, make test-clients and the whole make proof, with their seconds
	@.ci/steps 'make supply' 'make test-deploy' 'make test-clients' 'make proof'

check: ## modules as they were published, formatting, vet, staticcheck
	go mod verify
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

bench: ## measure whole requests over TLS against their goals (ARGS="-n 30"), then speed and memory of parts; on a machine at rest, and as root for the CPU of a Lambda
	go run ./local/bench $(ARGS)
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bin/local bin/ops
bin/local:
	go build -o $@ ./local

.PHONY: ops
ops: bin/ops ## build the operator's tool, bin/ops, for a stack (STACK=its name) or a local run: bin/ops -h

bin/ops:
	go build -o $@ ./local/ops/bootstrap

# The binaries contain nothing of the building machine or of the commit, so unchanged functions are not deployed again.
# They are built without HTTP/2, which nothing here uses: neither AWS's services nor, since our client does not offer it, the provider.
BUILDFLAGS = -trimpath '-ldflags=-s -w' -tags=lambda.norpc,nethttpomithttp2 -buildvcs=false
.PHONY: build deploy set-api-key
build deploy: export SET := $(SET)
build: ## build the functions for AWS with the SAM command line
	CGO_ENABLED=0 GOFLAGS="$(BUILDFLAGS)" sam build $(if $(SET),--parameter-overrides "$$SET") $(ARGS)

# Not `sam deploy` alone: it does not make new values of parameters live (local/aws/deploy).
deploy: ## build, and deploy code and settings (the first time with ARGS=--guided; SET="DailyQuota=50 LogLevel=debug" changes settings)
	@$(MAKE) --no-print-directory build ARGS=
	@local/aws/deploy $(if $(SET),--parameter-overrides "$$SET") $(ARGS)

set-api-key: bin/ops ## read the provider's API key from standard input and put it into a stack's secret (STACK=its name)
	@test -n "$(STACK)" || { echo "which stack? make set-api-key STACK=name"; exit 1; }
	@STACK="$(STACK)" bin/ops key set

.PHONY: redrive
redrive: bin/ops ## send again the notices that were given up (STACK=its name, SINCE=2026-03-14 for those since that day)
	@test -n "$(STACK)" || { echo "which stack? make redrive STACK=name"; exit 1; }
	@STACK="$(STACK)" bin/ops redrive -all $(if $(SINCE),-since "$(SINCE)")

.PHONY: service-token
service-token: bin/ops ## make a token for your own server, shown once (STACK=its name, or for the local run; ID=the token's name)
	@STACK="$(STACK)" bin/ops token add service $(ID)

.PHONY: token
token: bin/ops ## make a token that opens /mcp to a user's Claude Code, shown once (OWNER=user-id; STACK=its name, or for the local run; ID=the token's name)
	@test -n "$(OWNER)" || { echo "whose token? make token OWNER=user-id"; exit 1; }
	@STACK="$(STACK)" bin/ops token add personal "$(OWNER)" $(ID)

# The functions in SAM's containers, with stand-ins on this machine; SAM_LOCAL=off uses processes instead of containers.
.PHONY: sam-up sam-invoke sam-story sam-down sam-check
sam-up: ## start stand-ins of AWS and the provider for `sam local invoke`
	@local/aws/sam up

sam-invoke: ## invoke a function with an event by `sam local invoke` (FN=Submit EVENT=submit-words)
	@local/aws/sam invoke $(FN) $(EVENT)

sam-story: ## make a picture, function by function, and print its path
	@local/aws/sam story

sam-down: ## stop the stand-ins
	@local/aws/sam down

sam-check: ## lint template.yaml and build all functions with the SAM command line
	@local/aws/sam check

.PHONY: test-deploy
test-deploy: ## run the commands of docs/deploy.md, from the first deployment to the removal, and those of docs/RUNBOOK.md, with sam and aws against the stand-in of AWS
	@local/venv .aws/sam-venv local/aws/requirements-sam.txt
	@local/venv .aws/cli-venv local/aws/requirements-cli.txt
	DEPLOY_TESTS=required AWS_TESTS=required local/aws/run go test -count=1 -run '^Test(Deploy|Runbook)Page$$' ./functions/template

.PHONY: scan
scan: ## check template.yaml against checkov's rules; the exceptions and their reasons are in local/aws/checkov.yaml
	@local/venv .aws/scan-venv local/aws/requirements-scan.txt
	@.aws/scan-venv/bin/python local/aws/scan.py .aws/scan-venv/bin/checkov

.PHONY: verify-live
verify-live: bin/local ## check what no stand-in can prove, for about 20 credits: with NANOBANANA_API_KEY (and PUBLIC_URL, a tunnel), or with STACK=name and TOKEN
	exec bin/local verify $(ARGS)
