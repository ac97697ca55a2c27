# The interface for a visitor: `make reproduce`. Needs cargo, a C compiler and make, nothing else.
PIPELINE ?= pipelines/fig1.yaml
CARGO    ?= cargo
# The same profile as the tests, so that polars and candle compile once.
BINARY   := target/debug/layerwise
# What `make test-s3` tries; garage takes a quarter of an hour to build.
SERVERS  ?= seaweed
# How long `make fuzz` tries each target.
SECONDS  ?= 60

.PHONY: help reproduce archive paper build test test-paper test-data test-figures test-s3 test-slurm test-archive sanitize torture fuzz simulate bench bench-kernels bench-engine bench-slurm bench-pytorch bench-fig1 check-probes clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

reproduce: build ## run PIPELINE (default pipelines/fig1.yaml), print its table, and write its report
	@$(BINARY) run $(PIPELINE)
	@$(BINARY) report $(PIPELINE)

archive: reproduce ## pack the results of PIPELINE, and all they were made from, into one file
	@$(BINARY) archive create $(PIPELINE)

# Those that take a minute are always made as published.
SHORT := fig1 fig8
FIGURES := fig2-mnist fig2-cifar10 fig3 fig4 fig6-9-10 fig11 fig12 fig14-17 fig15-18 table1 table2 table3
SCALE ?= paper

paper: build ## every figure and table, at SCALE=paper, day, evening, hour or minute; goes on where it was interrupted
	@for name in $(SHORT); do $(BINARY) run pipelines/$$name.yaml || exit 1; done
	@for name in $(FIGURES); do \
	  $(BINARY) run pipelines/$$name.yaml $(if $(filter-out paper,$(SCALE)),--scale $(SCALE)) || exit 1; \
	done

build:
	@$(CARGO) build --locked

test: ## all tests, a few minutes
	$(CARGO) test --locked

test-paper: ## the published numbers at full scale: minutes, unless `make reproduce` was run before
	$(CARGO) test --locked --test it paper -- --ignored

# Where what is needed cannot be had, the scripts say why and end with 77.
test-archive: build ## archives as others' validators see them: bagit and roc-validator, from PyPI
	@variables=$$(bash tests/services/validators.sh) || { code=$$?; [ $$code -eq 77 ] && exit 0 || exit $$code; }; \
	  eval "$$variables"; $(CARGO) test --locked --test it archive::validators

# The cluster's configuration is in SLURM_CONF.
SLURM_UP := bash tests/services/slurm-up.sh
SLURM_TESTS := $(CARGO) test --locked --test it -- --ignored --test-threads 1

test-slurm: build ## runs on a real Slurm cluster of two virtual nodes, with all that goes wrong there (root on Debian): minutes
	@$(SLURM_UP) start 2 || { code=$$?; [ $$code -eq 77 ] && exit 0 || exit $$code; }; \
	  eval $$($(SLURM_UP) env); $(SLURM_TESTS) slurm:: --skip accounting; code=$$?; $(SLURM_UP) stop; exit $$code
	@export SLURM_LAB=/tmp/layerwise-slurm-accounting SLURM_ACCT=1 SLURM_MINJOBAGE=2; \
	  $(SLURM_UP) start 2 || { code=$$?; [ $$code -eq 77 ] && exit 0 || exit $$code; }; \
	  eval $$($(SLURM_UP) env); $(SLURM_TESTS) accounting; code=$$?; $(SLURM_UP) stop; exit $$code

bench-slurm: build ## a thousand trivial stages as jobs beside a bare sbatch --array, in turn: minutes
	@bash tests/services/slurm-up.sh start 2 && eval $$(bash tests/services/slurm-up.sh env) && \
	  python3 benches/peers/slurm.py --layerwise $(BINARY); code=$$?; bash tests/services/slurm-up.sh stop; exit $$code

simulate: ## scheduler and follower with up to a million made-up jobs: minutes
	$(CARGO) bench --locked --profile dev --bench simulate

test-data: ## get CIFAR and Fashion-MNIST (410 MB, or from LAYERWISE_DATA), and check mean and std of their manifests
	$(CARGO) test --locked --test it datasets -- --ignored

test-figures: ## run the figures and tables on CIFAR-10 at scale minute, and look for missing cells: minutes
	$(CARGO) test --locked --test it figures -- --ignored

# Only this crate: nothing else has our kernels.
sanitize: ## kernels and links under AddressSanitizer (x86-64 Linux): minutes
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/rustc-address-sanitizer.sh $(CARGO) test --locked --lib nn::

test-s3: build ## remotes on real S3 servers on this machine, SERVERS (PyPI, and cargo for garage): a minute
	@for server in $(SERVERS); do \
	  variables="$$(bash tests/services/s3-up.sh start $$server)" && eval "$$variables" || { echo "SKIPPED: $$server cannot be had here"; continue; }; \
	  $(CARGO) test --locked --test it s3 -- --ignored; code=$$?; \
	  bash tests/services/s3-up.sh stop $$server; [ $$code = 0 ] || exit $$code; \
	done

torture: build ## kill runs at 200 random moments, and compare with an undisturbed one: minutes
	bash tests/torture.sh $(BINARY)

# The stable compiler serves: nothing that is looked for needs a sanitizer. The versions are those of the project's own lock. What is
# new goes into fuzz/found; a finding is an input in fuzz/artifacts, to be turned into a test.
fuzz: ## any bytes as pipelines, records, locks, indices, archives; SECONDS each (needs `cargo install cargo-fuzz`, C++)
	cp Cargo.lock fuzz/Cargo.lock
	for target in pipeline files archive; do \
	  mkdir -p fuzz/found/$$target; \
	  RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=8192 -max_len=8192 -dict=fuzz/words.dict -print_final_stats=1 || exit 1; \
	done

bench: ## time training and evaluation
	$(CARGO) bench --locked --profile dev --bench train

bench-kernels: ## how near the kernels come to the machine's peak
	$(CARGO) bench --locked --profile dev --bench kernels -- --threads 1
	$(CARGO) bench --locked --profile dev --bench kernels -- --threads 2

bench-engine: ## time the engine beside ninja, make and others on the same graphs, those that are installed
	$(CARGO) build --locked
	python3 benches/peers/engine.py --layerwise $(BINARY)

bench-pytorch: ## the same work beside PyTorch, in turn (needs python3 with torch)
	python3 benches/peers/compare.py

bench-fig1: build ## Figure 1, all of it, beside a script of PyTorch, times and numbers (needs python3 with torch, blake3): minutes
	python3 benches/peers/fig1.py

check-probes: ## recompute the probes of results/fig1 in PyTorch, from our checkpoints (needs python3 with torch)
	python3 benches/peers/check_probes.py results/fig1

clean: ## remove what was built; results and the store stay
	$(CARGO) clean
