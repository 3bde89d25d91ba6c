# scripts/*.sh do all the work; this file only calls them.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
comma := ,
.PHONY: help setup build test test-istio lint fmt mesh bench release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## get what building and testing needs (RETRY=1: also try again what could not be had)
	@scripts/setup.sh all

build: ## build the modules into dist/ (KEEP_NAMES=1: with function names; WASM_TOOLCHAIN=rustup|debian)
	@scripts/build.sh

test: ## all that CI runs: lint, unit tests, the same under Node, build, end-to-end tests, a short mesh
	@scripts/check.sh test

test-istio: ## tests in a cluster of real parts; the first time builds those from Go modules: 35 minutes of processor time (ISTIO=skip: not at all)
	@scripts/test-istio.sh

lint: ## formatting, clippy, licences and sources of dependencies
	@scripts/check.sh lint

fmt: ## format the code
	@cargo fmt --all

mesh: ## run Bookinfo with real Envoys on loopback (FOR=20s: end by itself; FAULT=file: with faults, SHADOW=file: with mirrors, see tools/local-mesh/faults/ and tools/local-mesh/shadows/; MIXER=file: with Mixer's configuration; ZIPKIN=host:port: send spans there)
	@MIXER="$(MIXER)" scripts/mesh.sh $(if $(FOR),--for $(FOR)) $(if $(FAULT),--fault $(FAULT)) $(if $(SHADOW),--shadow $(SHADOW)) $(if $(ZIPKIN),--zipkin $(ZIPKIN))

bench: ## measure CPU time per request, memory and latency (SHORT=1: a quick look; VARIANT=a,b and ROUNDS=n; LIST=1)
	@scripts/bench.sh $(if $(SHORT),--short) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LIST),--list) $(patsubst %,--variant %,$(subst $(comma), ,$(VARIANT)))

release: ## pack modules, `remixer`, images, EnvoyFilters and bill of materials into dist/release/ (IMAGES=registry.mine/remixer; PROGRAMS=x86_64: `remixer` for that machine alone)
	@PROGRAMS="$(PROGRAMS)" scripts/release.sh

clean: ## remove what was built (.tools/, what was fetched, stays)
	@rm -rf dist target
