.DEFAULT_GOAL := help
.PHONY: help local demo test check bench

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

local: bin/local ## run everything here, with a simulated provider: http://127.0.0.1:8787 (ARGS="-addr HOST:PORT -data FOLDER -live")
	exec bin/local $(ARGS)

demo: bin/local ## against a running `make local`: make a picture, edit it, print the files (ARGS as given there)
	bin/local demo $(ARGS)

test: ## run every test, with the race detector
	go test -race ./...

check: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go tool staticcheck ./...

bench: ## measure speed and memory
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: bin/local
bin/local:
	go build -o $@ ./local
