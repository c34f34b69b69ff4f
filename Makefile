# `make test` checks and tests everything, `make demo` runs the demonstration. Both need Python 3.10
# or later, a C++ compiler and a package registry, and put all they install into .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
SOURCES := $(shell find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cmake' -o -name CMakeLists.txt)
CXX_SOURCES := $(filter %.h %.cpp %.cu,$(SOURCES))

# torch is chosen here, before anything that depends on it, so that no resolver picks another one.
# With a GPU: the newest, whose default build brings its CUDA runtime. Without: one fixed version,
# of which a registry or a folder of wheels may offer a CPU build (2.13.0+cpu); pip prefers that to
# the plain 2.13.0, and everybody tests with the same numbers. `make TORCH=...` overrides.
GPUS := $(shell nvidia-smi -L 2>/dev/null)
TORCH ?= $(if $(GPUS),torch,torch==2.13.0)

.PHONY: help install check test test-fast demo format clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

install: $(INSTALLED) ## .venv with gpbo (editable, compiled) and the tools

$(INSTALLED): pyproject.toml $(SOURCES)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "gpbo needs Python 3.10 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[dev,demo]'
	@touch $@

check: $(INSTALLED) ## formatting, lint, types, import floors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)

test: check ## check, then every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test-fast: $(INSTALLED) ## the tests that take seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow'

demo: $(INSTALLED) ## the demonstration
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.demo

format: $(INSTALLED) ## put sources into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_SOURCES)

clean: ## all that was made here
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
