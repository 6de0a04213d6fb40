# Two commands set everything up: `make demo` and `make test`. They need Python 3.11 or newer and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread a process: the work is small, and spinning threads on two cores cost more than they bring.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
# What a test compares with and no extra installs (tools/install.sh does): missing, it fails here instead of being skipped.
export BACKSTAY_ORACLES ?= 1

.PHONY: help demo test prove lint types arrows docs bench bench-watch bench-learn data coverage coverage-report clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.demo  ## set up, then watch a model being adopted, lost, caught, replaced and rolled back
	$(BIN)/backstay demo

test: .venv/.dev  ## set up, then run the tests (no network, no outside data)
	$(BIN)/python -m $(if $(COVERAGE),coverage run -m )pytest -q

prove: .venv/.dev  ## the long statistical proofs and crash drills; results in docs/proofs
	BACKSTAY_PROVE_OUT=docs/proofs $(BIN)/python -m pytest -q -m "slow or prove"

data: .venv/.dev  ## the tests on real data sets: BACKSTAY_DATA names their folder
	$(BIN)/python -m pytest -q -m data

coverage: .venv/.dev  ## the tests, with lines and branches counted
	$(BIN)/python -m coverage erase
	$(MAKE) test COVERAGE=1
	$(MAKE) coverage-report

coverage-report:  ## what the last counted tests have run: 90% of all lines, everything in gate and release
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report --fail-under=90 --skip-covered
	$(BIN)/python -m coverage report --fail-under=100 --include='src/backstay/gate/*,src/backstay/release/*'

lint: .venv/.dev  ## style, arrows between packages, dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry src

types: .venv/.dev  ## mypy, strict, no exemption
	$(BIN)/mypy

docs: .venv/.dev  ## the generated pages, and every example in README and docs run
	$(BIN)/python -m pytest -q tests/docs

bench: .venv/.dev bench-watch  ## side-by-side measurements
	$(BIN)/python bench/serve.py
	$(BIN)/python bench/learn_threads.py

bench-learn: .venv/.dev  ## training on real data beside a plain loop; BACKSTAY_DATA names their folder
	$(BIN)/python bench/learn.py
	$(BIN)/python bench/learn_triplet.py
	$(BIN)/python bench/learn_few_shot.py
	$(BIN)/python bench/learn_unlabelled.py
	$(BIN)/python bench/learn_by_steps.py
	$(BIN)/python bench/learn_text.py
	$(BIN)/python bench/learn_tables.py
	$(BIN)/python bench/learn_small.py
	$(BIN)/python bench/learn_batches.py

bench-watch: .venv/.dev  ## those of watching alone: a look, large files, and the scoreboard of monitors (hours; goes on when stopped)
	$(BIN)/python bench/watch.py
	$(BIN)/python bench/watch_stream.py
	$(BIN)/python bench/scoreboard.py

clean:  ## everything that make made
	rm -rf .venv .peers demo-output .coverage* .pytest_cache .mypy_cache .ruff_cache

.venv/.pip: constraints.txt pyproject.toml tools/install.sh
	@test -n "$(PYTHON)" || { echo "Backstay needs Python 3.11 or newer on the PATH"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: .venv/.pip
	sh tools/install.sh $(BIN)/python demo
	@touch $@

.venv/.dev: .venv/.pip
	sh tools/install.sh $(BIN)/python dev
	@touch $@
