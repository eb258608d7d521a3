# `make help` lists what there is. Needs Python 3.11 or 3.12; everything else goes into .venv, pinned and hashed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell for p in python3 python3.11 python3.12; do if $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv
PY := $(VENV)/bin/python
SCALE ?= paper
SEED ?= 0
GIN ?=
RESULTS ?= results/laptop/demo
THREADS ?=
JAX ?= $(VENV)/exported/bin/python
QUICK ?=

# Make would ignore a misspelt variable. Those of make's command line are compared with all that are read here.
KNOWN := PYTHON VENV SHELL MAKEFLAGS SCALE SEED GIN MODEL_DIR THREADS SWEEP STORAGE WORKERS HOURS GROUPS RESULTS SHORTER QUICK MINUTES \
  TPU ZONE PROJECT BUCKET DATA MAX_HOURS MAX_RESTARTS EXPECTED_HOURS NAME PRICE CURRENCY SPOT YES DRY_RUN PARALLEL \
  EXPERIMENT OUTPUT BUNDLE JAX GPU DATA_DIR TARS TFDS RECORDS DUMP BOOKS VOCABULARY VOCAB_SIZE PASSES HELD_OUT PAIRS SHARDS BEAM

# Two processes share the two cores; TensorFlow's own threads would only get in each other's way.
PYTEST := $(PY) -m pytest -n 2 --dist loadfile

# A value as the shell takes it whole, whatever is in it; a flag for each variable that has a value; and whether one says
# yes: YES=0 does not.
quoted = '$(subst ','\'',$(1))'
flag = $(if $(2),$(call quoted,--$(1)=$(2)))
yes = $(filter 1 yes true on,$(1))

UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name))))
CLOSEST := import difflib, sys; print(*(f"; did you mean {name}?" for name in difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1)))
ifneq ($(UNKNOWN),)
$(error $(firstword $(UNKNOWN)): no such variable$(shell $(PYTHON) -c '$(CLOSEST)' $(call quoted,$(firstword $(UNKNOWN))) $(KNOWN)) (`make help` lists what there is))
endif

# What a TPU needs: TPU=v3-8 ZONE=europe-west4-a PROJECT=my-project BUCKET=my-bucket DATA=gs://my-bucket/text MAX_HOURS=12 PRICE=1 (USD a core-hour, or CURRENCY=EUR).
# NAME is taken from make's command line alone: some shells export one of their own.
ON_TPU = $(call flag,tpu,$(TPU)) $(call flag,zone,$(ZONE)) $(call flag,project,$(PROJECT)) $(call flag,bucket,$(BUCKET)) \
  $(call flag,data,$(DATA)) $(call flag,max_hours,$(MAX_HOURS)) $(call flag,max_restarts,$(MAX_RESTARTS)) \
  $(call flag,expected_hours,$(EXPECTED_HOURS)) $(if $(filter command,$(origin NAME)),$(call flag,name,$(NAME))) \
  $(call flag,price_per_core_hour,$(PRICE)) $(call flag,currency,$(CURRENCY)) $(call flag,seed,$(SEED)) \
  $(call flag,gin_param,$(GIN)) $(if $(call yes,$(SPOT)),--spot) $(if $(call yes,$(YES)),--yes) \
  $(if $(call yes,$(DRY_RUN)),--dry_run)

# What the laptop's gin files read; not the prose, and what only fine-tuning reads for that alone.
LAPTOP_DATA = $(PY) -m data.laptop --data_dir=.data/laptop --images --manuals $(if $(filter sentences-%,$@),--services)
# bert-nigt, resnet-sgd and so on: one for each gin file of an experiment, whose first line says what it is.
GINS := $(wildcard configs/paper/*_*.gin configs/laptop/*_*.gin)
TRAINING := $(subst _,-,$(sort $(basename $(notdir $(GINS)))))
LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
SWEEPS := $(TRAINING:=-sweep)
.PHONY: help setup demo demo-results laptop-data bert-data imagenet-data $(TRAINING) $(SWEEPS) figure1 notebooks notebooks-run tensorboard dashboard bench soak theory study why claims export gpu-study tpu-check gpu-check postgresql test test-full wheel lint docs audit lock clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-18s %s\n", $$1, $$2}'
	@echo
	@echo 'Training; each has a sweep, as bert-nigt-sweep, over the grid or SWEEP=:'
	@for name in $(TRAINING); do printf '%-18s %s\n' $$name "$$(cat configs/{laptop,paper}/$${name//-/_}.gin 2> /dev/null | sed '1!d; s/^# //; s/ at .*//; s/[:(].*//')"; done
	@echo
	@echo 'Training takes SCALE=paper|laptop (default paper), GIN="eta0=0.02 beta=0.95",'
	@echo 'SEED=1, MODEL_DIR=runs/mine, THREADS=1; sweeps GIN, SEED, THREADS, WORKERS=2 and'
	@echo 'SWEEP="eta0=0.01,0.1 beta=0.9,0.99". On a TPU both take TPU=v3-8 ZONE=...'
	@echo 'PROJECT=... BUCKET=... DATA=gs://... MAX_HOURS=... PRICE=... (USD a core-hour,'
	@echo 'or CURRENCY=EUR) [SPOT=1 DRY_RUN=1 YES=1]: docs/tpu.md.'

setup: $(VENV)/.ready $(if $(call yes,$(GPU)),$(VENV)/.gpu) ## Build .venv, hash-locked; GPU=1: with CUDA for TensorFlow

$(VENV)/.ready: requirements/bootstrap.txt requirements/requirements.txt
	@test ! -L $(VENV) || { echo "setup: $(VENV) is a symbolic link, and the folder behind it would be emptied; remove the link (rm $(VENV)), then repeat the command" >&2; exit 2; }
	@test -n "$(PYTHON)" || { echo "setup: no Python 3.11 or 3.12 found; install one, or name it: make PYTHON=/path/to/python3.12 setup" >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "setup: $(PYTHON) -m venv failed; on Debian or Ubuntu install python3-venv" >&2; exit 2; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements/requirements.txt
	@touch $@

# They stay until .venv is built anew.
$(VENV)/.gpu: requirements/gpu.txt $(VENV)/.ready
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r $<
	@touch $@

# Said before anything is installed, so the order of the prerequisites counts.
demo: .demo-needs $(VENV)/.ready ## Six small runs, Figure 1, your numbers beside ours (20 min)
	@$(LAPTOP_DATA)
	@$(PY) -m scripts.demo $(call flag,shorter,$(SHORTER))

demo-results: .demo-needs $(VENV)/.ready ## The same, into results/laptop/demo: the committed numbers
	@$(LAPTOP_DATA)
	@$(PY) -m scripts.demo --results=results/laptop/demo

.PHONY : .demo-needs
.demo-needs:
	@echo 'demo: needs 4 GB of disk, of which .venv takes 3.5, 1.2 GB of memory for each of two runs, and 20 minutes on two slow cores;'
	@echo 'demo: .venv and the data are fetched where they are missing.'

laptop-data: $(VENV)/.ready ## Fetch and build the laptop's texts and images (.data/laptop)
	@$(PY) -m data.laptop --data_dir=.data/laptop

imagenet-data: $(VENV)/.ready ## The paper's images, from TARS=, TFDS= or RECORDS=folder
	@$(PY) -m data.imagenet $(call flag,data_dir,$(DATA_DIR)) $(call flag,tars,$(TARS)) $(call flag,tfds,$(TFDS)) \
	  $(call flag,records,$(RECORDS)) $(call flag,workers,$(WORKERS)) $(call flag,beam,$(BEAM))

bert-data: $(VENV)/.ready ## The paper's text, from DUMP=file (or TFDS=) and BOOKS=folder
	@$(PY) -m data.bert $(call flag,data_dir,$(DATA_DIR)) $(call flag,dump,$(DUMP)) $(call flag,tfds,$(TFDS)) \
	  $(call flag,books,$(BOOKS)) $(call flag,vocabulary,$(VOCABULARY)) $(call flag,vocab_size,$(VOCAB_SIZE)) \
	  $(call flag,dupe_factor,$(PASSES)) $(call flag,held_out,$(HELD_OUT)) $(if $(call yes,$(PAIRS)),--next_sentence) \
	  $(call flag,shards,$(SHARDS)) $(call flag,workers,$(WORKERS)) $(call flag,beam,$(BEAM)) \
	  $(if $(filter command line environment,$(origin SEED)),$(call flag,seed,$(SEED)))

ifdef TPU
ifeq ($(SCALE),laptop)
$(error TPU=$(TPU) runs the paper's scale; leave SCALE=laptop out)
endif
endif

# A run goes to runs/SCALE/NAME-sSEED, or with GIN to runs/SCALE/NAME-eta0=0.02-sSEED (trainers/names.py), unless MODEL_DIR
# says otherwise; the same command resumes it.
TRAIN = $(PY) -m trainers.train $(call flag,gin_file,configs/$(SCALE)/$(subst -,_,$@).gin) $(call flag,seed,$(SEED)) \
  $(call flag,model_dir,$(MODEL_DIR)) $(call flag,gin_param,$(GIN)) $(call flag,threads,$(THREADS))
$(TRAINING): $(VENV)/.ready
ifdef TPU
	@$(PY) -m scripts.tpu launch --experiment=$(subst -,_,$@) $(ON_TPU)
else
	@if [ $(call quoted,$(SCALE)) = laptop ]; then $(TRAIN) --check && $(LAPTOP_DATA); fi
	@$(TRAIN)
endif

# bert-nigt-sweep and so on: every point of configs/sweep/grid.gin, or of SWEEP="eta0=0.01,0.1 beta=0.9,0.99".
# WORKERS runs at a time here; with TPU=, one TPU a point, PARALLEL at a time.
SWEEPING = $(PY) -m scripts.sweep $(call flag,gin_file,configs/$(SCALE)/$(subst -,_,$(@:-sweep=)).gin) $(call flag,seed,$(SEED)) \
  $(call flag,axis,$(SWEEP)) $(call flag,gin_param,$(GIN)) $(call flag,storage,$(STORAGE)) \
  $(call flag,workers,$(WORKERS)) $(call flag,threads,$(THREADS))
ifdef TPU
$(SWEEPS): $(VENV)/.ready
	@$(PY) -m scripts.tpu sweep --experiment=$(subst -,_,$(@:-sweep=)) --phase=tune \
	  $(call flag,parallel,$(PARALLEL)) $(call flag,axis,$(SWEEP)) $(ON_TPU)
else
$(SWEEPS): $(VENV)/.ready
	@if [ $(call quoted,$(SCALE)) = laptop ]; then $(SWEEPING) --check && $(LAPTOP_DATA); fi
	@$(SWEEPING)
endif

study: $(VENV)/.ready ## NIGT beside its baselines, tuned alike; resumes when repeated
	@$(LAPTOP_DATA)
	@$(PY) -m scripts.study $(call flag,hours,$(HOURS)) $(call flag,groups,$(GROUPS)) $(call flag,workers,$(WORKERS))

why: $(VENV)/.ready ## The study's BERT runs seen from inside (docs/why.md)
	@$(PY) -m scripts.why

claims: $(VENV)/.ready ## The paper's claims with their verdicts; the README's table
	@$(PY) -m scripts.claims

figure1: $(VENV)/.ready ## Draw Figure 1 from RESULTS (default results/laptop/demo)
	@$(PY) -m scripts.figures.figure1 $(call flag,results,$(RESULTS))

notebooks: $(VENV)/.ready ## Open the notebooks in JupyterLab
	@$(PY) -m jupyterlab notebooks

notebooks-run: $(VENV)/.ready ## Run the notebooks and keep their figures in them
	@env -u NIGT_RESULTS -u NIGT_PARTIAL $(PY) -m nbconvert --to=notebook --execute --inplace \
	  --ExecutePreprocessor.record_timing=False notebooks/*.ipynb

tensorboard: $(VENV)/.ready ## Open TensorBoard on runs/
	@$(PY) -m tensorboard.main --logdir=runs

dashboard: $(VENV)/dashboard/.ready ## Open the points of a sweep (STORAGE=), only to read
	@$(PY) -m scripts.sweep.dashboard --storage=$(call quoted,$(or $(STORAGE),sqlite:///runs/$(SCALE)/sweep/optuna.db))

bench: $(VENV)/.ready $(VENV)/frameworks/.ready ## Time optimizers, resuming, data and slips (results/bench)
	@$(PY) -m scripts.bench
	@$(PY) -m scripts.bench.frameworks
	@$(PY) -m data.laptop --data_dir=.data/laptop --text
	@$(PY) -m scripts.bench.resume
	@$(PY) -m scripts.bench.input
	@$(PY) -m scripts.bench.bert_data
	@$(PY) -m scripts.bench.wikitext
	@$(PY) -m scripts.bench.slips

soak: $(VENV)/.ready ## Kill runs, fill disks, damage files for MINUTES (10); compare
	@$(PY) -m data.laptop --data_dir=.data/laptop
	@$(PY) -m scripts.soak $(call flag,minutes,$(MINUTES)) $(call flag,output,$(OUTPUT)) \
	  $(if $(filter command line environment,$(origin SEED)),$(call flag,seed,$(SEED)))

theory: $(VENV)/.ready ## Measure the theory (results/theory); QUICK=1: two minutes
	@$(PY) -m scripts.theory $(if $(call yes,$(QUICK)),--quick)

EXPORTED = $(call flag,gin_file,configs/$(SCALE)/$(subst -,_,$(EXPERIMENT)).gin) $(call flag,seed,$(SEED)) $(call flag,gin_param,$(GIN))
export: $(VENV)/exported/.ready ## EXPERIMENT=bert_nigt as files that train without TensorFlow
	@$(if $(EXPERIMENT),,echo 'export: EXPERIMENT is missing; name one as EXPERIMENT=bert_nigt' >&2; exit 2)
	@if [ $(call quoted,$(SCALE)) = laptop ]; then $(PY) -m trainers.train --check $(EXPORTED) && $(LAPTOP_DATA); fi
	@$(PY) -m scripts.exported.export $(EXPORTED) $(call flag,output,$(OUTPUT))

gpu-study: $(VENV)/exported/.ready ## BERT's 500,000 steps on a GPU, ten minutes a call
	@$(PY) -m scripts.exported.gpu_study $(call flag,python,$(JAX))

tpu-check: $(VENV)/tpu_check/.ready ## Compile the train steps for TPU v3, without one (20 minutes)
	@$(PY) -m scripts.tpu_check $(call flag,bundle,$(BUNDLE))

gpu-check: $(VENV)/tpu_check/.ready ## The same for an H100, without one
	@$(PY) -m scripts.tpu_check --target=h100 $(call flag,bundle,$(BUNDLE))

# What needs packages that training does not has an environment of its own.
$(VENV)/%/.ready: requirements/%.txt $(VENV)/.ready
	@$(VENV)/bin/uv venv --quiet --clear --python $(PY) $(@D)
	@$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --require-hashes -r $<
	@touch $@

postgresql: $(VENV)/.postgresql ## What sweeps with STORAGE=postgresql://... need

$(VENV)/.postgresql: requirements/postgresql.txt $(VENV)/.ready
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r $<
	@touch $@

test: $(VENV)/.ready $(VENV)/exported/.ready ## The tests (under 20 minutes on two cores)
	@$(PYTEST)

# In each environment the frameworks' own NIGT, and that of Keras 3 on each backend that is there.
FRAMEWORKS = -m pytest -n 2 --dist loadfile --confcutdir=tests/frameworks -o addopts="-q --strict-markers" tests/frameworks
test-full: .test-full-needs $(VENV)/.ready $(VENV)/.postgresql $(VENV)/dashboard/.ready $(VENV)/exported/.ready $(VENV)/tpu_check/.ready $(VENV)/frameworks/.ready $(VENV)/frameworks_oldest/.ready ## The heavy tests, and those of PyTorch, JAX and Keras 3
	@$(PYTEST) -m heavy
	@for name in frameworks frameworks_oldest; do $(VENV)/$$name/bin/python $(FRAMEWORKS) || exit; done
	@KERAS_BACKEND=tensorflow $(PY) $(FRAMEWORKS)
	@for backend in jax torch; do KERAS_BACKEND=$$backend $(VENV)/frameworks/bin/python $(FRAMEWORKS) || exit; done
	@KERAS_BACKEND=jax $(VENV)/frameworks_oldest/bin/python $(FRAMEWORKS)/test_keras.py

.PHONY : .test-full-needs
.test-full-needs:
	@ls /usr/lib/postgresql/*/bin/pg_ctl > /dev/null 2>&1 || { echo 'test-full: PostgreSQL is missing; install the package postgresql (apt-get install postgresql)' >&2; exit 2; }
	@command -v chromium > /dev/null || { echo 'test-full: Chromium is missing; install the package chromium (apt-get install chromium)' >&2; exit 2; }

wheel: $(VENV)/.ready ## Build the optimizer's wheel and sdist (dist/)
	@$(VENV)/bin/uv build --quiet --no-build-isolation --python $(PY) --out-dir dist

lint: $(VENV)/.ready ## ruff, types, imports, dependencies, the README's length
	@test $$(wc -l < README.md) -le 130 -a $$(wc -w < README.md) -le 1200 || { echo "lint: README.md has $$(wc -l < README.md) lines and $$(wc -w < README.md) words, more than 130 or 1,200; move some of it to docs/" >&2; exit 1; }
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo --no-cache
	@$(VENV)/bin/deptry . --config requirements/deptry.toml
	@$(VENV)/bin/deptry nigt

docs: $(VENV)/docs/.ready ## docs/ and the reference as a site: site/index.html
	@NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build

audit: $(VENV)/.ready ## Look for known vulnerabilities of the locked packages
	@$(VENV)/bin/uv venv --quiet --allow-existing --python $(PY) $(VENV)/audit
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/audit/bin/python --require-hashes -r requirements/audit.txt
	@for name in bootstrap requirements gpu postgresql dashboard exported tpu_check tpu_vm tpu_exported frameworks frameworks_oldest docs; do \
	  $(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements/$$name.txt || exit; done

lock: $(VENV)/.ready ## Rewrite the requirements files from requirements/*.in
	@for name in bootstrap requirements gpu audit postgresql dashboard exported tpu_check tpu_exported frameworks frameworks_oldest docs; do $(LOCK) requirements/$$name.in -o requirements/$$name.txt; done
	@$(LOCK) --override requirements/overrides/tpu_vm.txt --no-emit-package tensorflow requirements/tpu_vm.in \
	  -o requirements/tpu_vm.txt

clean: ## Remove .venv, site and the built data, not runs and results
	@rm -rf $(VENV) .data site
