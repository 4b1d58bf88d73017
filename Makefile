.PHONY: help run cluster page setup test prove fuzz bench docs
.DEFAULT_GOAL := help

# The newest of the ffmpegs that scripts/setup installs, for the tests of Enhanced RTMP.
FFMPEG9 = $(firstword $(wildcard $(CURDIR)/target/venv/lib/python3*/site-packages/imageio_ffmpeg/binaries/ffmpeg-*))
# Loom explores faster with optimised code; optimising across crates would take longer than it saves.
LOOM = RUSTFLAGS="--cfg loom" CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=target/loom

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1 \2/p' $(MAKEFILE_LIST) | while read -r make name about; do printf 'make %-7s %s\n' "$$name" "$$about"; done

run: ## Start a node: rtmp://localhost/live/…, http://localhost:8080/watch/live/… (ARGS="--config FILE")
	@scripts/page || true
	cargo run --release --package weir-server -- $(ARGS)

cluster: setup ## Start origins, edges, etcd and a balancer here; show them, and break them (ARGS="--edges 3")
	@scripts/page || true
	cargo build --release --package weir-server --package weir-cluster
	target/release/weir-cluster --publish 1 $(ARGS)

page: ## Build the page /watch/…, which goes into the program (other targets do it where npm is there)
	@scripts/page

setup:
	@scripts/setup

test: setup page ## Check everything (installs what the tests use, the first time)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	WEIR_FFMPEG9="$(FFMPEG9)" cargo test --workspace
	$(LOOM) cargo test --package weir-media --test loom --release
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

prove: setup page ## Run the tests that take longer than a minute
	WEIR_FFMPEG9="$(FFMPEG9)" cargo test --release --package weir-cluster --package weir-server --package weir-hls -- --ignored --test-threads 1 --nocapture

fuzz: ## Fuzz every parser, SECONDS each (600); wants nightly and cargo-fuzz
	crates/fuzz/run $(or $(SECONDS),600)

bench: ## Measure the ring, then a node against the bare price of the kernel
	cargo bench --package weir-media
	cargo build --release --package weir-server --package weir-loadtest
	target/release/weir-loadtest pair --a weir:coalesce=40ms --b floor:coalesce=40ms

docs: ## Write docs/configuration.md anew
	cargo run --quiet --package weir-server -- reference > target/configuration.md
	mv target/configuration.md docs/configuration.md
