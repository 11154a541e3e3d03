# make demo: the whole library on real data in a few minutes.   make test: the suite.
PYTHON ?= python3
BIN = .venv/bin
INSTALLED = .venv/installed

.PHONY: demo test test-all lint benchmark clean

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(INSTALLED)
	@$(BIN)/python launch/demo.py --output=demo

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy rlvm

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --maxprocesses=4 -m 'not slow and not realdata'

test-all: $(INSTALLED) lint
	$(BIN)/python -m pytest -n auto --maxprocesses=4 --cov=rlvm --cov-report=term:skip-covered --cov-fail-under=90

benchmark: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[benchmark]'
	$(BIN)/python launch/benchmark.py --suite=train

clean:
	rm -rf .venv demo build dist *.egg-info
