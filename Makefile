# Promises to a stranger: make demo, make test, make dev, make bench, make test-long. Each builds the environment it needs.
PYTHON ?= python3
export DAGSTER_HOME := $(CURDIR)/dagster_home
export HF_HUB_OFFLINE := 1
export DO_NOT_TRACK := 1

.PHONY: setup
setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=… to another one.")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[test]' -c constraints.txt
	@touch $@
