# Two commands do all: `make serve` and `make test`. Both create the environment and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
SHARED ?= ../shared
DATA ?= $(SHARED)/training
ENCODER ?= $(SHARED)/models/efficientnet-lite0-imagenet-encoder.npz
WORK ?= /tmp/bgone-model
MINUTES ?= 150
ARGS ?=

.PHONY: serve test check format bench model clean

serve: $(STAMP)
	$(BIN)/bgone serve $(ARGS)

test: check
	BGONE_SHARED="$(SHARED)" $(BIN)/python -m pytest $(ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff format --check src tests benchmarks models/training
	$(BIN)/ruff check src tests benchmarks models/training
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(DEV_STAMP)
	$(BIN)/ruff format src tests benchmarks models/training
	$(BIN)/ruff check --fix src tests benchmarks models/training

bench: $(DEV_STAMP)
	BGONE_SHARED="$(SHARED)" $(BIN)/python -m benchmarks $(ARGS)

# Trains the embedded net anew; hours on a CPU. See models/training/README.md.
model:
	$(PYTHON) -m venv $(WORK)/venv
	$(WORK)/venv/bin/pip install --quiet -r models/training/requirements.txt
	cd models/training && $(WORK)/venv/bin/python train.py --data "$(abspath $(DATA))" --encoder "$(abspath $(ENCODER))" \
		--work "$(WORK)" --minutes $(MINUTES) $(ARGS)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("bgone needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu]'
	touch $@

$(DEV_STAMP): $(STAMP) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
