# drgdip. `make demo` and `make test` set everything up by themselves; they need only python3 (3.11+) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := reference_tables grouper budget api benchmarks examples tests

.PHONY: help demo serve test test-long lint bench lock clean

help:  ## Show the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("drgdip needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## A synthetic city: its month grouped by DRG and DIP, its year paid, settled, cleared, on one page
	$(BIN)/python -m benchmarks.demo

serve: $(READY)  ## The service on this machine, without tokens, for trying out; its data in out/service
	$(BIN)/drgdip serve --data out/service --open-access

test: lint  ## Lint, types and tests
	$(BIN)/python -m pytest -m "not long" -n auto --dist worksteal

test-long: $(READY)  ## The long profile: 200,000 generated cases per pack against the oracle
	$(BIN)/python -m pytest -m long

lint: $(READY)  ## Style, types and floors
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## Measure the hot loop as ratios to baselines of the same run
	$(BIN)/python -m benchmarks.run

lock:  ## Pin every dependency anew, with hashes
	uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 -o requirements.lock

clean:  ## Remove everything that was built
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
