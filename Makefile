# The interface for a visitor: `make reproduce`. Needs cargo, a C compiler and make, nothing else.
PIPELINE ?= pipelines/fig1.yaml
CARGO    ?= cargo
# The same profile as the tests, so that polars and candle compile once.
BINARY   := target/debug/layerwise

.PHONY: help reproduce build test test-paper bench bench-pytorch clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

reproduce: build ## run PIPELINE (default pipelines/fig1.yaml) and print its table
	@$(BINARY) run $(PIPELINE)

build:
	@$(CARGO) build --quiet --locked

test: ## all tests, a few minutes
	$(CARGO) test --locked

test-paper: ## the published numbers at full scale: minutes, unless `make reproduce` was run before
	$(CARGO) test --locked --test it paper -- --ignored

bench: ## time training and evaluation
	$(CARGO) bench --locked --bench train

bench-pytorch: ## the same work beside PyTorch, in turn (needs python3 with torch)
	benches/peers/compare.sh

clean: ## remove what was built; results and the store stay
	$(CARGO) clean
