# Two commands on a fresh machine: `make demo` and `make test`. Everything else builds on the same environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO ?= demo
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
AXE_VERSION := 4.10.3
AXE := build/node_modules/axe-core/axe.min.js

.PHONY: help demo test test-fast torture torture-workers systemd-test soak check format lint types counterparts constraints bench-match bench-delivery bench-parse bench-web clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(READY) ## run the main job on sample pages: mail, feed and pages end up in ./demo
	@$(BIN)/notifier demo --folder $(DEMO)

test: $(READY) counterparts $(AXE) ## set up and run all tests
	$(BIN)/pytest $(SIDE_BY_SIDE) $(ARGS)

test-fast: $(READY) counterparts ## the tests without the slow ones
	$(BIN)/pytest -m "not slow and not browser" $(SIDE_BY_SIDE) $(ARGS)

torture: $(READY) ## kill the program, cut its power, fill its disk at random moments: make torture KILLS=5000 CUTS=100 FULL=100 HANGUPS=200
	KILLS=$(or $(KILLS),200) CUTS=$(or $(CUTS),6) FULL=$(or $(FULL),8) HANGUPS=$(or $(HANGUPS),10) \
		$(BIN)/pytest tests/test_torture.py tests/test_hangups.py --timeout 0 -rs

torture-workers: $(READY) ## kill workers, crash PostgreSQL, cut a network, as root: make torture-workers DIGESTS=100000 WORKERS=8
	DIGESTS=$(or $(DIGESTS),100000) WORKERS=$(or $(WORKERS),8) CUT=$(or $(CUT),60) $(BIN)/pytest tests/test_worker_torture.py --timeout 0 -s -p no:xdist

bench-scaling: $(READY) ## PostgreSQL beside SQLite, and 1 to 8 workers (needs Debian's postfix): make bench-scaling WHAT=path
	$(BIN)/python benchmarks/scaling.py $(or $(WHAT),path)

systemd-test: $(READY) ## the service under a real systemd, as root: make systemd-test CUTS=10 cuts the power ten times
	CUTS=$(or $(CUTS),3) $(BIN)/pytest tests/test_systemd.py --timeout 0 -rs -s

soak: $(READY) ## a month in minutes: make soak DAYS=30 READERS=10000
	DAYS=$(or $(DAYS),30) READERS=$(or $(READERS),10000) $(BIN)/pytest tests/test_soak.py -n 0 --timeout 0

check: format lint types test ## what CI runs

format: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

bench-smtp: $(READY) ## sending beside its peers and signing beside OpenSSL (wants smtp-sink of Debian's postfix)
	$(BIN)/python benchmarks/delivery_smtp.py

bench-match: $(READY) ## matching beside its peers (installs them under build/)
	$(BIN)/python -m benchmarks.match

bench-delivery: $(READY) ## delivery from owed to settled, beside the usual way (needs Debian's postfix)
	$(BIN)/python benchmarks/delivery.py

bench-web: $(READY) ## feeds beside nginx, pages of a large installation, a burst of readers (wants nginx and wrk)
	$(BIN)/python benchmarks/feeds.py
	$(BIN)/python benchmarks/pages.py
	$(BIN)/python benchmarks/burst.py

bench-parse: $(READY) ## milliseconds per megabyte of page for every format, beside the bare library
	$(BIN)/python benchmarks/parse.py

constraints: $(READY) ## lock the newest versions anew, with hashes
	$(BIN)/uv pip compile pyproject.toml --group dev --all-extras --universal --generate-hashes --no-annotate \
		--no-header --upgrade --python-version 3.11 -o constraints.txt
	$(BIN)/uv pip compile pyproject.toml --group build --all-extras --universal --generate-hashes --no-annotate \
		--no-header --python-version 3.11 --constraint constraints.txt -o requirements.txt

# Debian's python3 comes without venv: root gets it, others are told.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11"; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
		else echo "Python's venv module is missing: sudo apt-get install python3-venv"; exit 1; fi; fi
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

counterparts: # real servers and browsers for the tests, from Debian
	@tests/servers/install.sh

# axe-core looks for barriers on the pages; without npm its tests are skipped (CI insists).
$(AXE): | counterparts
	@if command -v npm >/dev/null; then \
		npm install --silent --no-save --no-package-lock --prefix build axe-core@$(AXE_VERSION); \
	else echo "npm is not here: the pages are not looked at for barriers"; fi

clean: ## remove everything that make made
	rm -rf $(VENV) build dist artefacts .mypy_cache .ruff_cache .pytest_cache .hypothesis
