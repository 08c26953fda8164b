# Needs Python 3.11 or newer, nothing else; another interpreter: make test PYTHON=python3.12
PYTHON ?= python3
INSTALL = bin/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location

.PHONY: demo test lint bench clean

demo: .venv-demo/ready  ## the report of a model that the repository carries
	@.venv-demo/bin/irc compile datasets/models/resnet50.onnx --target h100

test: .venv-test/ready  ## tests and doctests
	@.venv-test/bin/python -m pytest -n 2

lint: .venv-test/ready-to-lint  ## style, types, direction of imports
	@.venv-test/bin/ruff check .
	@.venv-test/bin/mypy
	@.venv-test/bin/lint-imports

bench: .venv-test/ready  ## benchmarks, one after another
	@.venv-test/bin/python -m pytest benchmarks

clean:
	rm -rf .venv-demo .venv-test

.venv-demo/ready: EXTRA =
.venv-test/ready: EXTRA = [test]
.venv-demo/ready .venv-test/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@echo "installing ircost$(EXTRA) into $(@D)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/$(INSTALL) --editable '.$(EXTRA)'
	@touch $@

.venv-test/ready-to-lint: .venv-test/ready
	@$(@D)/$(INSTALL) --editable '.[dev]'
	@touch $@
