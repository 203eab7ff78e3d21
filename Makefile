# Every target sets up what it needs and can be run again at any time.
PYTHON ?= python3
JOBS ?= 2
# make LOCK= installs the newest releases that pyproject.toml allows.
LOCK ?= -c constraints.txt
SITE := _build/html/index.html
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One thread each, so that several processes run side by side and sums come out equal.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# Notebooks are checked on the default data: their stored outputs come from it.
NBVAL := env -u TML_DATA_DIR pytest --nbval --nbval-cell-timeout 300 --nbval-kernel-startup-timeout 180 -p no:cacheprovider

.PHONY: help setup book serve test test-all luck mutants test-gpu full-data lab notebooks register exercises grade bench claims lint clean

help:
	@echo "make book       build the book               make test       run every check that needs no GPU"
	@echo "make serve      read it at localhost:8000    make test-gpu   run the kernels' checks on a GPU"
	@echo "make lab        open the lectures            make bench      measure, peers as columns"
	@echo "make notebooks  run what people edit         make claims     every claim under other seeds"
	@echo "make exercises  write the students' files    make lint       ruff, mypy, twins"
	@echo "make register   write the lists that are     make full-data  fetch what the weekly"
	@echo "                made from the sources                        run tests in full"
	@echo "make grade ASSIGNMENT=h1_distillation        make test-all   the slow tests, too"
	@echo "make luck       other keys, other seeds      make mutants   change the library, see who notices"
	@echo "make clean      remove what was built"

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or later: run make PYTHON=python3.11, or install it."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "This Python cannot make environments: install the Debian package python3-venv."; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "Setting up .venv: about 3 GB, some minutes the first time."
	@# torch first and alone: another package's open range must not pick a build of its own
	@python -m pip install --quiet $(LOCK) setuptools wheel torch || \
	  { echo "Installing failed: is a package index reachable, and 4 GB of disk free? Then run make again."; exit 1; }
	@python -m pip install --quiet $(LOCK) --no-build-isolation -e '.[all]' || \
	  { echo "Installing failed: is a package index reachable, and 4 GB of disk free? Then run make again."; exit 1; }
	@# alone, without what they ask for: two peers (one pins an old requests, the other a plotting server) and ISLP, a
	@# course's package that ships the table of bike rentals and asks for many others
	@python -m pip install --quiet $(LOCK) --no-deps torchattacks adv-lib ISLP || \
	  { echo "Installing failed: is a package index reachable? Then run make again."; exit 1; }
	@touch $@

book: setup
	jupyter-book build . --toc book/_toc.yml --all -W -n --keep-going || \
	  { echo "The book was not built: every warning above is an error; mend it and run make book again."; exit 1; }
	@echo "The book is at $(CURDIR)/$(SITE): open it in a browser, or run make serve."

serve:
	@test -f $(SITE) || $(MAKE) book
	@echo "The book is at http://127.0.0.1:8000 until you press Ctrl-C."
	@python -m http.server --bind 127.0.0.1 --directory _build/html 8000

test: setup
	$(ONE_THREAD) python tools/suite.py --jobs $(JOBS)

test-all: setup
	$(ONE_THREAD) python tools/suite.py --jobs $(JOBS) --all

full-data: setup
	python tools/full_data.py

test-gpu: setup
	pytest --noconftest -m gpu tests/test_kernels_gpu*.py
	$(NBVAL) lectures/09_kernels

lab: setup
	jupyter lab

notebooks: setup
	python tools/notebooks.py

register: setup
	python tools/register.py

exercises: setup
	@for folder in solutions/*/; do tml release $$(basename $$folder) || exit 1; done

grade: setup
	tml grade $(or $(ASSIGNMENT),$(error name the assignment, as make grade ASSIGNMENT=h1_distillation))

bench: setup
	python benchmarks/distillation.py
	python benchmarks/attacks.py
	python benchmarks/ball_step.py
	python benchmarks/superpixels.py
	python benchmarks/explanations.py
	python benchmarks/grading.py
	@if python -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then python benchmarks/gpu.py; \
	  else echo "No GPU here: benchmarks/gpu.py was left out."; fi

claims: setup
	$(ONE_THREAD) python tools/claims.py --jobs $(JOBS)

luck: setup
	@for folder in solutions/*/; do $(ONE_THREAD) python tools/luck.py $$(basename $$folder) || exit 1; done
	$(ONE_THREAD) python tools/chance.py

mutants: setup
	$(ONE_THREAD) python tools/mutants.py

lint: setup
	tools/lint

clean:
	rm -rf _build .pytest_cache .hypothesis .mypy_cache .ruff_cache
