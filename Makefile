# The front door. It holds no logic: it calls npm and the programs of the packages.

# Node 24 comes with the packages; whatever the machine has is used to install it alone.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# What Node compiled once is found at its next start, which takes half the time then.
export NODE_COMPILE_CACHE ?= $(CURDIR)/node_modules/.cache/node-compile

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Not `npm ci`: it refuses a lock file without the binaries of every other platform, which not all registries serve.
# No package runs a script of its own (.npmrc), but `node`, whose script fetches Node 24 for this machine.
node_modules/.package-lock.json: .npmrc package-lock.json package.json $(wildcard libs/*/package.json apps/*/package.json utils/*/package.json simulation/package.json chaos/package.json packaging/package.json bench/package.json)
	npm install --no-save --no-audit --no-fund --loglevel=error
	npm rebuild node --ignore-scripts=false --no-audit --no-fund --loglevel=error
	@touch $@

examples/digits/node_modules/.package-lock.json: examples/digits/package-lock.json
	npm ci --no-audit --no-fund --loglevel=error --prefix examples/digits
	@touch $@

programs/picture-trainer/node_modules/.package-lock.json: programs/picture-trainer/package-lock.json
	programs/picture-trainer/install

.PHONY: install
install: node_modules/.package-lock.json examples/digits/node_modules/.package-lock.json ## Install what everything else needs

.PHONY: demo
demo: install ## Learn real digits with the whole platform on this machine, and show the leaderboard
	node examples/digits/demo/main.ts

.PHONY: up
up: install ## Start the platform on this machine and leave it running
	node apps/cli/src/main.ts up

.PHONY: check
check: install programs/picture-trainer/node_modules/.package-lock.json ## Check formatting, lint rules and types
	biome check --error-on-warnings
	tsc --noEmit
	tsc --noEmit --project programs/picture-trainer

# Everything, or one package such as compute-api.
PACKAGE ?=
FOLDER = $(firstword $(wildcard apps/$(PACKAGE) libs/$(PACKAGE) utils/$(PACKAGE) $(PACKAGE)))

.PHONY: test
test: check ## Check everything and run all tests, or those of one package (PACKAGE=compute-api)
	node utils/real-parts/src/test-run/main.ts $(PACKAGE)

.PHONY: watch
watch: install ## Run the tests of one package again whenever a file is saved (PACKAGE=compute-api)
	@test -n "$(PACKAGE)" || { echo 'Which one? make watch PACKAGE=compute-api'; exit 2; }
	cd $(FOLDER) && ava --watch

.PHONY: soak
soak: check real-parts versitygw python-tensorflow ## Run all tests with their full sample sizes, and print their figures (PACKAGE=chaos)
	node utils/real-parts/src/test-run/main.ts --soak $(PACKAGE)

# FLAVOUR=gpu for a machine with an NVIDIA GPU.
FLAVOUR ?=
.PHONY: trainer
trainer: install ## Install the picture trainer with TensorFlow (FLAVOUR=gpu), which nothing else needs
	programs/picture-trainer/install $(FLAVOUR)

.PHONY: real-parts
real-parts: ## Get NSQ, PostgreSQL, MinIO, Docker, TensorFlow and all else onto this machine, for the tests that need them
	utils/real-parts/install/all

# A server of S3 that only make soak needs.
.PHONY: versitygw
versitygw:
	utils/real-parts/install/versitygw

SERVICES := compute-api compute-worker storage-api shepherd
DICEBOX := dicebox.sensoryservice dicebox.classificationservice dicebox.trainingprocessor
EXECUTABLES := $(foreach service,compute-api compute-worker storage-api dicebox,apps/$(service)/target/$(service)) \
  apps/shepherd-api/target/shepherd apps/cli/target/morpheo

.PHONY: all-bin morpheo dicebox $(SERVICES)
all-bin: $(EXECUTABLES) ## Make each program one executable file, apps/*/target/*; or one: make storage-api
compute-api: apps/compute-api/target/compute-api
compute-worker: apps/compute-worker/target/compute-worker
storage-api: apps/storage-api/target/storage-api
shepherd: apps/shepherd-api/target/shepherd
dicebox: apps/dicebox/target/dicebox
morpheo: apps/cli/target/morpheo

# What each is made from is written beside it when it is made.
-include $(wildcard apps/*/target/*.d)
$(EXECUTABLES): | install
	node packaging/src/executables/main.ts $(@F)

.PHONY: all-docker $(SERVICES:%=%-docker) $(DICEBOX:%=%-docker)
all-docker: $(SERVICES:%=%-docker) $(DICEBOX:%=%-docker) ## Make the images morpheo/<service>; or one: make storage-api-docker
$(SERVICES:%=%-docker): %-docker: %
	packaging/images/make $*
dicebox.sensoryservice-docker dicebox.classificationservice-docker: %-docker: dicebox
	packaging/images/make $*
dicebox.trainingprocessor-docker: %-docker: compute-worker
	packaging/images/make $*

.PHONY: dev
dev: install ## Start the platform in containers from these sources, which are watched
	node packaging/src/dev/main.ts up

.PHONY: dev-images
dev-images: all-docker ## The same, from the images of `make all-docker`
	node packaging/src/dev/main.ts up --images

.PHONY: dev-logs
dev-logs: install ## What the services of `make dev` say, until Ctrl-C
	node packaging/src/dev/main.ts logs

.PHONY: dev-down
dev-down: install ## Stop what `make dev` started, and remove all that it kept
	node packaging/src/dev/main.ts down

.PHONY: demo-dev
demo-dev: install ## The demonstration on the platform of `make dev`
	node examples/digits/demo/main.ts --home .morpheo/dev

.PHONY: chaos
chaos: install real-parts ## Break the real parts while orders come in, and judge (SEED=7 ORDERS=500 MINUTES=10)
	node chaos/src/main.ts $(if $(SEED),--seed $(SEED)) $(if $(ORDERS),--orders $(ORDERS)) $(if $(MINUTES),--minutes $(MINUTES))

.PHONY: simulate
simulate: install ## Live through simulated worlds full of faults (SEED=7 for one with its trace, COUNT=100000)
	node simulation/src/main.ts $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

# TensorFlow for Python, beside which trainings are measured.
.PHONY: python-tensorflow
python-tensorflow:
	utils/real-parts/install/python-tensorflow

.PHONY: bench
bench: install trainer python-tensorflow ## Measure speed, each beside the plain tool, and print tables
	node bench/main.ts

.PHONY: gpu-proof
gpu-proof: install ## Run all that needs a real GPU, and print what was seen; without one, what was left out
	node bench/src/gpu-proof/main.ts

.PHONY: format
format: install ## Format the sources, and mend what the linter can mend
	biome check --write
