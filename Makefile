# Everything sets itself up: a virtual environment in .venv, with what the target needs, again only when pyproject.toml
# or constraints/ has changed. Needs Python 3.11 or newer (PYTHON=python3.12 to choose), make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# The versions to install: PINS= (empty) for the newest that pyproject.toml allows.
PINS ?= constraints/test.txt
# For install, uninstall and deb; systemd/install.sh says what they are.
DESTDIR ?=
PREFIX ?= /opt/printer-agent
EXTRAS ?=
SYSTEM_PYTHON ?= /usr/bin/python3

.PHONY: help dry-run test test-all test-system test-oldest mutants lint fuzz bench bench-faye torture outlives hostile room bench-estimate install uninstall deb pins clean

help:
	@echo 'make dry-run [ARGS="FILE --speed max"]   a whole print on this machine, no printer needed'
	@echo 'make test                                all tests'
	@echo 'make test-oldest                         the tests of HTTP with the oldest versions that are allowed'
	@echo 'make test-all                            unit and contract tests with each Python 3.11 to 3.14 of this machine'
	@echo 'make test-system                         the unit tests of what reads and writes, with the Python of this system'
	@echo 'make mutants                             small mistakes in the code that carries promises: does a test notice?'
	@echo '                                         (half an hour the first time; ARGS=--changed: two minutes at most)'
	@echo 'make lint                                ruff and mypy'
	@echo 'make install [EXTRAS=websocket]            the service, as root: systemd/README.md'
	@echo 'make deb                                 the same as a Debian package, in dist/'
	@echo 'make uninstall                           without configuration and state'
	@echo 'make bench                               speed, memory and latency, beside PrusaLink and OctoPrint (20 minutes;'
	@echo '                                         ARGS=--quick: two)'
	@echo 'make bench-faye                          the Faye client beside node'"'"'s own (5 minutes; ARGS=--quick: one)'
	@echo 'make torture                             kills, storms, a full disk (25 minutes; ARGS=--quick: two)'
	@echo 'make outlives                            a print killed 200 times in each of six ways (an hour; ARGS=--quick: four minutes)'
	@echo 'make hostile                             attacks on an agent that prints, from every side (ten minutes; ARGS=--quick: one)'
	@echo 'make room                                the bed in 10,000 random histories, the watch over the heaters, forms of G-code'
	@echo '                                         (10 minutes; ARGS=--quick: one)'
	@echo 'make bench-estimate                      time left, beside OctoPrint and PrusaLink (two minutes; ARGS=--quick: ten seconds)'
	@echo 'make pins                                renew the pinned versions in constraints/'
	@echo 'make fuzz                                each parser of text from outside against mutated examples, a million of'
	@echo '                                         Faye'"'"'s (an hour; ARGS=--seconds=60: a minute)'

dry-run: $(VENV)/.sandbox
	$(BIN)/printer-agent dry-run $(ARGS)

test: $(VENV)/.test
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

OLDEST = $(VENV)/oldest
HTTP_TESTS = tests/unit/http tests/unit/server tests/unit/faye/test_transports.py tests/unit/faye/test_long_polling.py \
    tests/unit/runner/test_log_upload.py tests/integration/test_download.py

test-oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest -q $(HTTP_TESTS) $(ARGS)

# Each has an environment of its own, in .venvs/. ARGS="tests/unit/core -x" for other tests, or other ways to run them.
PYTHONS ?= 3.11 3.12 3.13 3.14
test-all: ARGS := $(or $(ARGS),tests/unit tests/contract)
test-all:
	@failed=; missing=; \
	for version in $(PYTHONS); do \
	    if ! python=$$(.ci/find-python $$version); then missing="$$missing $$version"; continue; fi; \
	    echo "Python $$version: $$python"; \
	    $(MAKE) --no-print-directory VENV=.venvs/$$version PYTHON=$$python .venvs/$$version/.test && \
	    .venvs/$$version/bin/pytest -q -n 2 --dist loadgroup $(ARGS) || failed="$$failed $$version"; \
	done; \
	echo "Not on this machine:$${missing:- none}. Failed:$${failed:- none}."; \
	test -z "$$failed"

# The boards' Python is Debian's: 3.11.2 of Debian 12 reads some regular expressions as no newer one does.
SYSTEM_TESTS = tests/unit/core tests/unit/faye tests/unit/files tests/unit/gcode tests/unit/http tests/unit/local tests/unit/server \
    tests/unit/drivers/gcode tests/unit/test_linear_patterns.py
test-system: ARGS := $(or $(ARGS),$(SYSTEM_TESTS))
test-system:
	$(MAKE) --no-print-directory VENV=.venvs/system PYTHON=$(SYSTEM_PYTHON) .venvs/system/.test
	.venvs/system/bin/pytest -q -n 2 --dist loadgroup $(ARGS)

mutants: $(VENV)/.test
	$(BIN)/python -m benchmarks.mutants $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/.test
	$(BIN)/python -m benchmarks.fuzz $(ARGS)

bench: $(VENV)/.test
	@command -v gcc >/dev/null || { echo 'make bench needs gcc: the firmware that it measures against is written in C'; exit 69; }
	$(BIN)/python -m benchmarks.serial_bench $(ARGS)

bench-faye: $(VENV)/.test
	$(BIN)/python -m benchmarks.faye_bench $(ARGS)

torture: $(VENV)/.test
	$(BIN)/python -m benchmarks.torture $(ARGS)

outlives: $(VENV)/.test
	$(BIN)/python -m benchmarks.outlives $(ARGS)

hostile: $(VENV)/.test
	$(BIN)/python -m benchmarks.hostile $(ARGS)

room: $(VENV)/.test
	$(BIN)/python -m benchmarks.room $(ARGS)

bench-estimate: $(VENV)/.test
	$(BIN)/python -m benchmarks.estimate $(ARGS)

INSTALL = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' EXTRAS='$(EXTRAS)' PYTHON='$(SYSTEM_PYTHON)' PIP='$(BIN)/pip'

install: | $(BIN)/python
	$(INSTALL) sh systemd/install.sh install

uninstall:
	$(INSTALL) sh systemd/install.sh uninstall

deb: | $(BIN)/python
	$(INSTALL) sh systemd/deb.sh

pins:
	@PYTHON='$(PYTHON)' sh constraints/renew.sh

clean:
	rm -rf $(VENV) .venvs dist .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'printer-agent needs Python 3.11 or newer: make PYTHON=python3.12 …'; exit 69; }
	@$(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo 'no environment: $(PYTHON) has no venv; on Debian: apt install python3-venv'; exit 69; }

# One environment, two sets of what is in it: the dry run needs little, the tests all.
INSTALL_SET = $(BIN)/pip install --quiet --disable-pip-version-check $(PINS:%=--constraint %)
# The environment in which pip builds knows no --constraint.
$(VENV)/.sandbox $(VENV)/.test: export PIP_CONSTRAINT = $(PINS)
$(VENV)/.sandbox $(VENV)/.test: export PIP_BUILD_CONSTRAINT = $(PINS)
NOT_INSTALLED = { echo 'not installed: see above; without the pinned versions: make $(or $(MAKECMDGOALS),test) PINS='; exit 69; }

# Each version is the lowest that pyproject.toml names; pytest is as in PINS.
$(OLDEST)/.ready: pyproject.toml constraints/oldest.py | $(BIN)/python
	@rm -rf $(OLDEST) && $(BIN)/python -m venv $(OLDEST)
	@$(BIN)/python constraints/oldest.py >$(OLDEST)/oldest.txt
	@$(OLDEST)/bin/pip install --quiet --disable-pip-version-check --requirement $(OLDEST)/oldest.txt
	@touch $@

$(VENV)/.sandbox: pyproject.toml $(PINS) | $(BIN)/python
	@$(INSTALL_SET) --editable '.[sandbox]' || $(NOT_INSTALLED)
	@touch $@

$(VENV)/.test: pyproject.toml $(PINS) | $(BIN)/python
	@$(INSTALL_SET) --editable '.[test]' || $(NOT_INSTALLED)
	@touch $@ $(VENV)/.sandbox
