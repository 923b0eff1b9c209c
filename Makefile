# The two commands: `make study` runs the SUMix ablation on real images, `make test` checks everything.
# Each sets up what it needs on a fresh machine: a virtual environment from constraints.txt, and CIFAR-10.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
UV ?= $(shell command -v uv)
BIN := .venv/bin
INSTALLED := .venv/.installed
CIFAR10 := $(BIN)/python -c "from pathlib import Path; from trainables.datasets import DATASETS; DATASETS['cifar10'].prepare(Path('data'))"

LONGEST := tests/mixlab/test_two_machines.py tests/studies/test_end_to_end.py tests/mixlab/test_losses.py \
    tests/docker/test_topology.py tests/studies/test_every_study.py tests/mixlab/cluster/test_packing.py \
    tests/mixlab/cluster/test_several_gpus.py tests/test_notebooks.py tests/mixlab/test_slurm.py \
    tests/mixlab/test_outages.py tests/mixlab/test_failures.py tests/analysis/test_evaluation_on_ray.py
SLOW := $(sort $(shell grep -rl --include='test_*.py' 'mark\.slow' tests))

# Each file is compiled once for all processes, also where the environment says otherwise.
FAST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

.PHONY: study test test-images test-gpu fast lint docs debian bench setup clean

# As much of the study as decides something within ten minutes on two processors.
study: $(INSTALLED)
	$(BIN)/python studies/ablation_cifar100.py --preset quick --dataset cifar10 --mixers cutmix \
	    --arms "raw pass,+ lam" --seeds 8

# The slow tests three at a time, the longest first: they wait for servers and clusters as long as they compute. Each of
# the three processes reads only the files that have slow tests.
test: $(INSTALLED) lint debian
	$(CIFAR10)
	$(FAST)
	$(BIN)/python -m pytest -m slow -n 3 --dist loadfile --no-loadscope-reorder $(LONGEST) $(filter-out $(LONGEST),$(SLOW))

# For the tests of pages, of the LaTeX tables, of two machines, of SLURM and of the compose file, which are skipped where
# these are missing.
debian:
	(command -v chromium && command -v pdflatex && command -v ip && command -v sbatch && command -v munged \
	    && command -v docker-compose) \
	    || timeout 600 sh -c 'apt-get update -q && apt-get install -yq --no-install-recommends \
	    chromium texlive-latex-recommended iproute2 slurm-wlm munge docker-compose' \
	    || echo "no chromium, pdflatex, ip, sbatch, munged or docker-compose: their tests will be skipped"

# A quarter of an hour, as root on Debian: builds the image and runs a study and a job in it. STORE=DIR keeps its layers.
test-images: $(INSTALLED)
	$(CIFAR10)
	$(BIN)/python tests/docker/image.py $(if $(STORE),--store $(STORE))

# A few minutes on a GPU; the other tests see none, also where there is one.
test-gpu: $(INSTALLED)
	TEST_ON_GPU=1 $(BIN)/python -m pytest -n 8 tests/gpu

fast: $(INSTALLED)
	$(FAST)

# While mypy has one processor, the other compiles the tests and reads the libraries from the disk, the first time.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	test -d tests/__pycache__ || PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -q > /dev/null & \
	    $(BIN)/mypy && wait

# The pages of docs/, in site/; a broken link is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# 20 minutes on two cores that do nothing else: results/bench.json, and the table and figure of docs/performance.md.
bench: $(INSTALLED)
	$(CIFAR10)
	$(BIN)/python tests/benchmarks

# About 3 minutes and 7 GB, most of which are torch's CUDA libraries; a minute with uv, which is used where it is there.
setup: $(INSTALLED)

$(INSTALLED): constraints.txt pyproject.toml
	@echo "Setting up .venv: about 3 minutes and 7 GB"
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
else
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
endif
	touch $@

clean:
	rm -rf .venv
