# `make` lists the targets. Each installs the Debian packages that it needs when it runs as root on Debian, and names them
# elsewhere. Build output goes to $CARGO_TARGET_DIR (default: target).
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(CURDIR)/target
TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
RELEASE := $(CARGO_TARGET_DIR)/$(TRIPLE)/release

# What the linker and ring's assembler need; what the tests in network namespaces need; the servers that HTTP is compared with.
BUILD_PACKAGES := gcc libc6-dev
NETNS_PACKAGES := $(BUILD_PACKAGES) conntrack iproute2 iptables libcap2-bin nftables procps strace
# Node's own Debian package brings npm, and excludes Debian's.
NPM_PACKAGE := $(if $(shell command -v npm),,npm)
HTTP_PACKAGES := apache2-bin h2o haproxy nginx-light node-ws nodejs $(NPM_PACKAGE) python3-venv
LINT_PACKAGES := $(BUILD_PACKAGES) shellcheck

.DEFAULT_GOAL := help
.PHONY: help build demo test soak bench bench-redirect bench-injector lint images cluster cluster-down e2e

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

build: ## release binaries of everything, static
	@tests/packages $(BUILD_PACKAGES)
	cargo build --release --workspace --bins

demo: ## the main job without a cluster: pods as network namespaces (root). BACKEND=nft, iptables-nft, iptables-legacy
	@tests/packages $(NETNS_PACKAGES)
	cargo build --release --workspace --bins
	$(RELEASE)/demo

test: ## every test that needs no cluster (root)
	@tests/packages $(NETNS_PACKAGES) $(HTTP_PACKAGES)
	cargo build --release --workspace --bins
	cargo test --workspace

soak: ## what `make test` runs a part of, whole (root)
	@tests/packages $(NETNS_PACKAGES) $(HTTP_PACKAGES)
	cargo build --release --workspace --bins
	REMORA_SOAK=1 cargo test --workspace -- --nocapture

# Whoever of these cannot be had is named, and the others are measured.
bench: ## what carrying traffic costs, beside Envoy, HAProxy, nginx and no proxy (root). ARGUMENTS=--quick, --only bulk, --help
	@tests/packages $(NETNS_PACKAGES)
	-@tests/packages haproxy
	-@tests/packages nginx
	-@tests/packages python3-venv
	cargo build --release --workspace --bins
	$(RELEASE)/bench $(ARGUMENTS)

bench-redirect: ## what installing the rules costs, beside Istio's way (root)
	@tests/packages $(NETNS_PACKAGES)
	cargo build --release --workspace --bins
	$(RELEASE)/bench-redirect

bench-injector: ## what a review and a pod's creation cost, beside a webhook that allows at once. CLUSTER=kind: on a cluster, too
	@tests/packages $(BUILD_PACKAGES)
	tests/kind/cluster kubernetes
	cargo build --release --workspace --bins
	$(RELEASE)/bench-injector
	$(if $(CLUSTER),tests/kind/bench-injector)

lint: ## formatting, clippy, fuzz targets, documentation, layers and sizes, licences, shell scripts
	@tests/packages $(LINT_PACKAGES)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p injector --test admission -- -D warnings
	cargo check --quiet --manifest-path fuzz/Cargo.toml --locked
	cargo clippy -p tests --test cluster --test cluster_down --test control_plane --test images -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo test -p tests --test tidy
	cargo deny --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-deny@0.20.2
	cargo deny check licenses bans sources
	shellcheck -x tests/packages .ci/run tests/kind/cluster tests/kind/install tests/kind/images tests/kind/e2e tests/kind/bench-injector tests/kind/lib/*.sh

images: ## one archive an image, in $CARGO_TARGET_DIR/images
	tests/kind/images

cluster: images ## a kind cluster with our images and manifests, left running
	tests/kind/cluster up
	tests/kind/install

cluster-down: ## end the cluster and leave nothing behind
	tests/kind/cluster down

e2e: ## the end-to-end tests, on a kind cluster of their own. BACKEND as for demo
	tests/kind/e2e
