# The front door. It holds no logic: it calls npm and the programs of the packages.

# Node 24 comes with the packages; whatever the machine has is used to install it alone.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Not `npm ci`: it refuses a lock file without the binaries of every other platform, which not all registries serve.
node_modules/.package-lock.json: package-lock.json package.json $(wildcard libs/*/package.json apps/*/package.json utils/*/package.json bench/package.json)
	npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

examples/digits/node_modules/.package-lock.json: examples/digits/package-lock.json
	npm ci --no-audit --no-fund --loglevel=error --prefix examples/digits
	@touch $@

.PHONY: install
install: node_modules/.package-lock.json examples/digits/node_modules/.package-lock.json ## Install what everything else needs

.PHONY: demo
demo: install ## Learn real digits with the whole platform on this machine, and show the leaderboard
	node examples/digits/demo/main.ts

.PHONY: up
up: install ## Start the platform on this machine and leave it running
	node apps/cli/src/main.ts up

.PHONY: check
check: install ## Check formatting, lint rules and types
	biome check --error-on-warnings
	tsc --noEmit

.PHONY: test
test: check ## Check everything and run all tests
	nx run-many --target=test --parallel=1 --output-style=stream
	cd examples/digits && ava

.PHONY: real-parts
real-parts: ## Get NSQ, PostgreSQL, MinIO and Docker onto this machine, for the tests that need them
	utils/real-parts/install/all

.PHONY: bench
bench: install ## Measure speed, each beside the plain tool, and print tables
	node bench/main.ts

.PHONY: format
format: install ## Format the sources, and mend what the linter can mend
	biome check --write
