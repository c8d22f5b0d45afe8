# Everything runs in .venv, which the first target makes; only Python 3.10 or newer and make are needed.

PYTHON ?= python3
BIN = .venv/bin
MINIMUM = .venv-minimum
INTEGRATIONS = .venv-integrations

.PHONY: quickstart test test-fast test-minimum integrations lint format sanitize clean

quickstart: .venv/installed
	$(BIN)/sse quickstart

test: .venv/installed
	$(BIN)/python -m pytest

test-fast: .venv/installed
	$(BIN)/python -m pytest -m "not slow"

# The module and the exports with the oldest supported sentence-transformers and transformers; without the
# extra `bench`, whose model2vec wants a newer huggingface_hub than these do.
test-minimum: $(MINIMUM)/installed
	$(MINIMUM)/bin/python -m pytest tests/modeling tests/export tests/hub/test_load.py tests/hub/test_push.py tests/edge/test_hub.py \
		tests/eval/test_parity.py \
		tests/eval/test_during_training.py tests/training/test_losses.py tests/training/test_train.py tests/training/test_levers.py

# The model in other people's programs: frameworks, Ray, fastembed, Node, a browser. Gigabytes of packages, so apart from
# `test`; what is missing for it (node, a Chrome) is skipped and named.
integrations: $(INTEGRATIONS)/installed
	$(INTEGRATIONS)/bin/python -m pytest -rs --session-timeout 3600 tests/integrations

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A million inputs for the native core under AddressSanitizer and UBSan; needs gcc, uses clang if there is one.
sanitize: .venv/installed
	PYTHON=$(BIN)/python tests/fuzz/run.sh

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

$(MINIMUM)/installed: pyproject.toml constraints-minimum.txt
	$(PYTHON) -m venv $(MINIMUM)
	$(MINIMUM)/bin/pip install --quiet --constraint constraints-minimum.txt --editable ".[test]"
	touch $@

$(INTEGRATIONS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(INTEGRATIONS)
	$(INTEGRATIONS)/bin/pip install --quiet --constraint constraints.txt --editable ".[integrations]"
	touch $@

clean:
	rm -rf .venv $(MINIMUM) $(INTEGRATIONS) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
