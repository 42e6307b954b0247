# Every target first installs what it needs into .venv.
PYTHON ?= python3
# The versions of all packages; LOCK=/dev/null takes the newest.
LOCK ?= constraints.txt
export DAGSTER_HOME := $(CURDIR)/dagster_home
export HF_HUB_OFFLINE := 1
export DO_NOT_TRACK := 1

.PHONY: setup
setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=… to another one.")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) uv
	@.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python -e '.[test]' -c $(LOCK)
	@touch $@

.PHONY: demo
demo: setup ## everything from nothing: museum, Dagster run, benchmark table, report
	@.venv/bin/eufcc demo

.PHONY: dev
dev: setup ## the Dagster page and daemon on the same project
	@.venv/bin/eufcc dev

.PHONY: run
run: setup ## one Dagster job of the profile: make run JOB=splits
	@.venv/bin/eufcc run $(or $(JOB),benchmark)

.PHONY: browser
browser: setup
	@.ci/package chromium chromium "the page tests"

.PHONY: test
ifdef ROOM
test: setup ## the tests of one folder, without browser, style and types: make test ROOM=ml/evaluation
	@.venv/bin/python -m pytest -m "not browser" tests/$(ROOM)
else
# Mypy fills its cache beside the tests, which leave the cores idle for a quarter of the time, and reports after them.
test: setup browser ## the fast suite, with style and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy > /dev/null & .venv/bin/python -m pytest -n 3 --dist loadgroup; tests=$$?; wait; \
		.venv/bin/mypy && exit $$tests
endif

# What the long tests start: Ray, PostgreSQL's driver for Dagster, an S3-compatible server.
.venv/installed-long: .venv/installed
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[test,long]' -c $(LOCK)
	@touch $@

.PHONY: postgresql
postgresql:
	@.ci/package pg_lsclusters postgresql "the tests on PostgreSQL"

.PHONY: faketime
faketime:
	@.ci/package faketime faketime "the test of a jumping clock"

.PHONY: soak
soak: setup postgresql .venv/installed-long ## the demo under kill -9, ten seeds in a row; SEEDS=3 for fewer (needs root)
	@.venv/bin/python -m tests.operations.soak --seeds $(or $(SEEDS),10)

.PHONY: rehearsal
rehearsal: setup ## a run of the paper's size over a made-up Europeana, measured, killed and refreshed; SIZE=20000 for less
	@.venv/bin/python -m tests.rehearsal --size $(or $(SIZE),346324) --folder $(or $(FOLDER),dagster_home/rehearsal-$(or $(SIZE),346324))

.PHONY: rehearsal-page
rehearsal-page: setup ## the table of docs/scaling.md from what the rehearsal measured
	@.venv/bin/python -m tests.rehearsal --page --size $(or $(SIZE),346324) --folder $(or $(FOLDER),dagster_home/rehearsal-$(or $(SIZE),346324))

.PHONY: test-long
test-long: setup browser postgresql faketime .venv/installed-long ## kills, fuzzing, other engines, other machines
	@.venv/bin/python -m pytest --long -m long

.PHONY: audit
audit: setup ## known vulnerabilities, versions, licences, pickles in the storage; searches everything that a run writes for its key
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[audit]' -c $(LOCK)
	@.venv/bin/python -m assets.cli.supply_chain
	@.venv/bin/python -m pytest -q tests/assets/test_canary.py tests/test_architecture.py

.PHONY: dependencies
dependencies: setup ## docs/dependencies.md: asks PyPI for the last release of each dependency, and pip-audit for its open CVEs
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[audit]' -c $(LOCK)
	@.venv/bin/python -m assets.cli.dependencies

.PHONY: docs
docs: setup ## the documentation site, in site/; a broken link is an error
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[docs]' -c $(LOCK)
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true .venv/bin/mkdocs build --strict --quiet

.PHONY: wheel
wheel: setup ## the wheel, in dist/
	@.venv/bin/uv build --quiet --wheel --out-dir dist

.PHONY: coverage
coverage: setup browser ## the fast suite once more, with the share of lines that it runs
	@.venv/bin/python -m pytest -n 3 --dist loadgroup --cov --cov-report=term:skip-covered

.PHONY: bench
bench: setup ## one JSON line per benchmark against its peer; NAME=frechet runs one
	@.venv/bin/uv pip install --quiet --python .venv/bin/python -e '.[bench]' -c $(LOCK)
	@.venv/bin/python -m benchmarks $(NAME)

.PHONY: gpu-check
gpu-check: setup ## all twelve rows at full size for two epochs, within 8 minutes: make gpu-check DATASET=path/to/dataset
	@.venv/bin/python -m ml.experiments.gpu_check --dataset "$(or $(DATASET),$(error Set DATASET to a dataset folder: make run JOB=splits makes one in dagster_home/storage))" --out $(or $(OUT),gpu-check.json)

.PHONY: assistant
assistant: setup ## the cataloguer's page on the demo's models
	@.venv/bin/eufcc assistant
