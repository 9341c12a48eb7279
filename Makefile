# Every command of the project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
# Programs that cargo installs for the checks, outside the checkout and pinned.
TOOLS_ROOT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/trilby/cargo
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS_ROOT)/bin/cargo-deny-$(CARGO_DENY_VERSION)
# Binaries and how fast they are to build: `ci` for the cluster, `release` for images.
SERVICES := -p trilby-operator -p trilby-injector -p trilby-sentry -p trilby-placement -p trilby-sidecar
# The cluster of the demo: `own` makes a one-node Kubernetes, `current` uses the one kubectl points to.
CLUSTER ?= own
REGISTRY ?=

start := $(shell date +%s)
step = @printf '\n==> %s (%ss)\n' "$(1)" "$$(( $$(date +%s) - $(start) ))"

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

.PHONY: demo
demo: ## install what is needed, build, start Kubernetes, show the main path, leave it running
	@CLUSTER='$(CLUSTER)' REGISTRY='$(REGISTRY)' e2e/demo.sh up

.PHONY: demo-down
demo-down: ## remove every trace of the demo
	@CLUSTER='$(CLUSTER)' REGISTRY='$(REGISTRY)' e2e/demo.sh down

.PHONY: test
test: packages tools peers fmt scripts clippy generated deny build unit charts docs ## everything that must pass, on a clean checkout
	$(call step,all checks passed)

.PHONY: packages
packages: ## Debian packages that the tests use (root)
	$(call step,packages from Debian)
	@e2e/packages.sh

.PHONY: tools
tools: ## Kubernetes' programs and Consul, built once into a cache
	$(call step,Kubernetes' programs and Consul)
	@e2e/tools.sh >/dev/null
	@e2e/consul/build.sh >/dev/null

.PHONY: peers
peers: ## SDKs and servers of the tests, installed once into a cache
	$(call step,SDKs and servers of the tests)
	@e2e/peers.sh

.PHONY: fmt
fmt: ## formatting
	$(call step,formatting)
	@$(CARGO) fmt --all --check

.PHONY: scripts
scripts: ## shell scripts
	$(call step,shell scripts)
	@shellcheck .ci/run $$(git ls-files '*.sh')

.PHONY: clippy
clippy: ## lints, warnings are errors
	$(call step,clippy)
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: generated
generated: ## generated files are up to date
	$(call step,generated files)
	@$(CARGO) run --quiet --locked -p trilby-crds --bin crdgen -- --check

.PHONY: generate
generate: ## write the generated files
	@$(CARGO) run --quiet -p trilby-crds --bin crdgen
	@UPDATE_GOLDEN=1 $(CARGO) test --quiet -p trilby-proto --test contract
	@UPDATE_GOLDEN=1 $(CARGO) test --quiet -p trilby-sidecar --test reference --test catalogue

.PHONY: deny
deny: $(CARGO_DENY) ## licences, sources, banned crates, one crypto provider
	$(call step,cargo deny)
	@$(CARGO_DENY) --log-level error check bans licenses sources

$(CARGO_DENY):
	$(call step,installing cargo-deny $(CARGO_DENY_VERSION))
	@$(CARGO) install --quiet --locked --root $(TOOLS_ROOT) cargo-deny --version $(CARGO_DENY_VERSION)
	@mv $(TOOLS_ROOT)/bin/cargo-deny $(CARGO_DENY)

.PHONY: build
build: ## the five services, optimised for the cluster of the tests and the demo
	$(call step,services)
	@$(CARGO) build --locked --profile ci --bins $(SERVICES)

.PHONY: release
release: ## the five services as images ship them
	@$(CARGO) build --locked --release --bins $(SERVICES)

.PHONY: unit
unit: ## every test: beside the code, of processes, of the cluster
	$(call step,tests)
	@CARGO='$(CARGO)' e2e/tests.sh

.PHONY: charts
charts: tools ## the Helm chart: lint, golden rendering
	$(call step,Helm chart)
	@charts/check.sh

.PHONY: docs
docs: ## API documentation builds without a warning
	$(call step,documentation)
	@RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' $(CARGO) doc --workspace --no-deps --locked --document-private-items --quiet

.PHONY: bench
bench: ## figures of docs/performance.md
	@e2e/bench.sh
