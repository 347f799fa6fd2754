# Two commands do all: `make serve` and `make test`. Both create the environment and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
TORCH_STAMP := $(VENV)/.installed-torch
SHARED ?= ../shared
DATA ?= $(SHARED)/training
ENCODER ?= $(SHARED)/models/efficientnet-lite0-imagenet-encoder.npz
WORK ?= /tmp/bgone-model
MINUTES ?= 95
TRAIN := $(WORK)/venv/bin/python models/training
ARGS ?=
EXTRAS ?= cpu

.PHONY: serve test check format bench model clean pictures screenshots command-line docs package binary

serve: $(STAMP)
	$(BIN)/bgone serve $(ARGS)

test: check $(TORCH_STAMP)
	BGONE_SHARED="$(SHARED)" $(BIN)/python -m pytest $(ARGS)

check: $(DEV_STAMP)
	$(BIN)/ruff format --check src tests benchmarks docs models/training
	$(BIN)/ruff check src tests benchmarks docs models/training
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(MAKE) --no-print-directory package

# Wheel and source archive in dist/, checked as an index would. The same tree gives the same bytes, in every place.
package: $(DEV_STAMP)
	mkdir -p dist && rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --no-isolation --outdir dist . >dist/build.log 2>&1 || { cat dist/build.log; exit 1; }
	$(BIN)/twine --no-color check --strict dist/*.whl dist/*.tar.gz

# dist/bgone: one executable file, for machines with a Python like this one's. EXTRAS=cpu,postgres,redis puts more in.
binary: package
	$(BIN)/shiv --quiet --reproducible --console-script bgone --python '/usr/bin/env python3' --output-file dist/bgone \
		"$$(ls dist/*.whl)[$(EXTRAS)]"

format: $(DEV_STAMP)
	$(BIN)/ruff format src tests benchmarks docs models/training
	$(BIN)/ruff check --fix src tests benchmarks docs models/training

bench: $(DEV_STAMP)
	BGONE_SHARED="$(SHARED)" $(BIN)/python -m benchmarks $(ARGS)

# Builds the documentation site into build/site; a broken link is a failure.
docs: $(DEV_STAMP)
	$(BIN)/python docs/site.py

# Writes the reference of docs/command-line.md from the commands.
command-line: $(DEV_STAMP)
	$(BIN)/python docs/make_command_line.py

# Photographs the console anew for docs/console.md.
screenshots: $(DEV_STAMP)
	$(BIN)/python docs/make_screenshots.py

# Draws docs/pictures anew, one for each option.
pictures: $(STAMP)
	$(BIN)/python docs/make_pictures.py

# Trains the embedded net anew from the folders in DATA; hours on a CPU. Interrupted, it resumes from
# WORK/checkpoint.pt. See models/training/README.md; then put the new file's sha256 into src/bgone/matting/models.py.
model:
	test -x $(WORK)/venv/bin/python || $(PYTHON) -m venv $(WORK)/venv
	$(WORK)/venv/bin/pip install --quiet --requirement models/training/requirements.txt
	OMP_WAIT_POLICY=PASSIVE $(TRAIN)/train.py --data $(DATA) --encoder $(ENCODER) --work $(WORK) --minutes $(MINUTES)
	$(TRAIN)/export.py --work $(WORK) --out models/bgone-small-1.onnx
	$(TRAIN)/validate.py --data $(DATA) --work $(WORK) --model models/bgone-small-1.onnx --sheet $(WORK)/sheet.png
	$(TRAIN)/curves.py --work $(WORK) --out $(WORK)/curves.png
	$(TRAIN)/sources.py --data $(DATA) --out models/SOURCES.tsv

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("bgone needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu]'
	touch $@

$(DEV_STAMP): $(STAMP) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

# The build for CPUs where that index can be reached; PyPI's own brings gigabytes for GPUs along.
$(TORCH_STAMP): $(DEV_STAMP) models/training/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 0 \
		--extra-index-url https://download.pytorch.org/whl/cpu "$$(grep ^torch== models/training/requirements.txt)"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
