# Every target sets up what it needs and can be run again at any time.
PYTHON ?= python3
JOBS ?= 2
# make LOCK= installs the newest releases that pyproject.toml allows.
LOCK ?= -c constraints.txt
SITE := _build/html/index.html
BUILD := build . --toc book/_toc.yml --all
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# One thread each, so that several processes run side by side and sums come out equal.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# Notebooks are checked on the default data: their stored outputs come from it.
NBVAL := env -u TML_DATA_DIR pytest --nbval --nbval-cell-timeout 300 --nbval-kernel-startup-timeout 180 -p no:cacheprovider

.PHONY: help setup book pdf serve test test-all luck mutants test-gpu full-data newest lab notebooks address register exercises grade bench claims lint clean

help:
	@echo "make book       build the book               make test       run every check that needs no GPU"
	@echo "make serve      read it at localhost:8000    make test-gpu   run the kernels' checks on a GPU"
	@echo "make lab        open the lectures            make bench      measure, peers as columns"
	@echo "make notebooks  run what people edit         make claims     every claim under other seeds"
	@echo "make exercises  write the students' files    make lint       ruff, mypy, twins"
	@echo "make register   write the lists that are     make full-data  fetch what the weekly"
	@echo "                made from the sources                        run tests in full"
	@echo "make pdf        print it to one PDF"
	@echo "make newest     the lectures with the newest releases, from the package alone"
	@echo "make book STRICT=1           a warning is an error"
	@echo "make address URL=https://host/me/course   where the course is on the web"
	@echo "make grade ASSIGNMENT=h1_distillation        make test-all   the slow tests, too"
	@echo "make luck       other keys, other seeds      make mutants   change the library, see who notices"
	@echo "make clean      remove what was built"

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or later: run make PYTHON=python3.11, or install it."; exit 1; }
	@$(PYTHON) tools/environment.py $(LOCK)
	@touch $@

# A warning is an error where STRICT is set, as in the tests and for authors. A reader's book is built in spite of it.
book: setup
	jupyter-book $(BUILD) $(if $(STRICT),-W -n --keep-going) || \
	  { echo "The book was not built: what is wrong stands above; mend it and run make book again."; exit 1; }
	@echo "The book is at $(CURDIR)/$(SITE): open it in a browser, or run make serve."

pdf: setup
	@test -f $(SITE) || $(MAKE) book
	@python tools/pdf.py

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

newest: setup
	python tools/newest.py

test-gpu: setup
	pytest --noconftest -m gpu tests/test_kernels_gpu*.py
	$(NBVAL) lectures/09_kernels

lab: setup
	jupyter lab

notebooks: setup
	python tools/notebooks.py

address: setup
	python tools/address.py $(or $(URL),$(error name the address, as make address URL=https://github.com/me/course))
	python tools/notebooks.py --words
	$(MAKE) exercises

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
	python benchmarks/clip_and_sum.py
	python benchmarks/privacy.py
	python benchmarks/grading.py
	@if python -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then python benchmarks/gpu.py; \
	  else echo "No GPU here: benchmarks/gpu.py was left out."; fi

claims: setup
	$(ONE_THREAD) python tools/claims.py --jobs $(JOBS)

luck: setup
	@for folder in solutions/*/; do tml luck $$(basename $$folder) || exit 1; done
	$(ONE_THREAD) python tools/chance.py

mutants: setup
	$(ONE_THREAD) python tools/mutants.py

lint: setup
	tools/lint

clean:
	rm -rf _build .pytest_cache .hypothesis .mypy_cache .ruff_cache
