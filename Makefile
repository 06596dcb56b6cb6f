# make demo   set up .venv and run the main job on a synthetic release     make test      set up and run the tests
# make lint   ruff, mypy, import contracts                                 make test-all  the campaigns too, as CI does
# make bench  measure against peers                                        make docs      write docs/settings.md, and the site to site/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

DEMO := demo
DEMO_PARTICIPANTS ?= 360
DEMO_SEED ?= 1337
DEMO_MM := $(BIN)/mm --study $(DEMO)/study

WORKERS ?= logical
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

.PHONY: install demo test test-all lint docs bench clean

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	rm -rf $(DEMO)
	$(BIN)/mm synth ukb $(DEMO)/release --participants $(DEMO_PARTICIPANTS) --seed $(DEMO_SEED) --voxel-mm 3
	$(DEMO_MM) init --source $(DEMO)/release --set 'volumes.sides=[128,64,32]' --set 'augment.sides=[32]' \
		--set 'salt=a-demo-needs-no-secret' --set train.side=32 --set train.epochs=24 --set train.patience=24 \
		--set train.batch_size=16 --set train.learning_rate=1e-3 --set train.schedule=cosine
	$(DEMO_MM) ingest ukb
	$(DEMO_MM) precompute-augs --copies 2
	$(DEMO_MM) train --target age
	$(DEMO_MM) status

test: $(READY)
	$(PYTEST) -m 'not slow'

test-all: $(READY)
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python docs/make_settings.py
	$(BIN)/mkdocs build

bench: $(READY)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) $(DEMO)
