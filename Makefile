PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements-dev.txt
# Test processes share one broker and one database.
TEST_PROCESSES ?= 3

.PHONY: help setup bench-setup run test unit faults bench lint contract lock audit

help: ## shows this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## creates the virtual environment with pinned, hashed dependencies
	@:

$(VENV)/.ready: $(REQUIREMENTS) pyproject.toml
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 setup")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# A second environment, because Quix Streams needs older versions of pydantic and confluent-kafka. `make test` with the
# same two variables tests the peers that it skips otherwise.
bench-setup:
	@$(MAKE) --no-print-directory setup VENV=.venv-bench REQUIREMENTS=requirements-bench.txt
	@.venv-bench/bin/python -m tests.bench.peers.connect_jdbc --download

run: setup ## runs the whole system: broker, database, worker, simulated learners, certificates; Ctrl-C stops it
	@$(BIN)/course-progress demo

test: setup lint ## runs all tests on real Kafka and real PostgreSQL
	@$(BIN)/course-progress stack -- $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadgroup $(ARGS)

unit: setup ## runs the tests that need no server, in under a minute
	@$(BIN)/pytest --unit -n $(TEST_PROCESSES) $(ARGS)

faults: setup ## injects every fault on real servers, half an hour; ONLY=name SEED=n for one; writes docs/faults.md
	@$(BIN)/python -m tests.faults --only "$(ONLY)" $(if $(SEED),--seed $(SEED)) $(if $(RESUME),--resume $(RESUME))

# Another commit is compared without the peers, so --against needs no environment of theirs.
bench: setup $(if $(findstring --against,$(ARGS)),,bench-setup) ## measures against PostgreSQL's own limit and the alternatives, over an hour; ONLY=name for one; writes docs/benchmarks.md; ONLY=name ARGS="--against REF" compares another commit
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

lint: setup ## checks style, types and the direction of imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache > /dev/null

contract: setup ## writes what is generated: events/schemas, the AsyncAPI and OpenAPI documents, docs/settings.md, docs/schema.sql; starts servers
	@$(BIN)/python -m events.contract
	@$(BIN)/python -m worker.web.api.openapi
	@$(BIN)/python -m worker.web.settings_page
	@$(BIN)/course-progress stack -- $(BIN)/python -m worker.postgres.schema

lock: setup ## pins the dependencies again, with hashes
	@$(BIN)/uv pip compile pyproject.toml --all-extras $(LOCK) -o requirements-dev.txt
	@$(BIN)/uv pip compile pyproject.toml --extra worker $(LOCK) -o requirements.txt
	@cp requirements-dev.txt requirements-certificates.txt
	@$(BIN)/uv pip compile pyproject.toml --extra certificates $(LOCK) -o requirements-certificates.txt
	@cp requirements-dev.txt requirements-bench.txt # uv keeps these versions wherever the peers allow them
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group bench $(LOCK) -o requirements-bench.txt
	@$(BIN)/uv pip compile --group audit $(LOCK) -o requirements-audit.txt
	@cp requirements-dev.txt requirements-build.txt
	@$(BIN)/uv pip compile --group build $(LOCK) -o requirements-build.txt

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

AUDIT := $(VENV)/audit

audit: $(AUDIT)/.ready ## looks for known vulnerabilities in all pinned packages; needs the network
	@status=0; for file in requirements*.txt; do \
		$(AUDIT)/bin/pip-audit -r $$file $(STRICT) $(EXCEPTIONS) $(ARGS) 2> $(AUDIT)/errors || status=1; \
		echo "$$file: $$(tail -n 1 $(AUDIT)/errors)" >&2; \
		grep -q "could not be audited" $(AUDIT)/errors && echo "the vulnerability service does not answer: is it reachable from here?" >&2; \
	done; exit $$status

$(AUDIT)/.ready: requirements-audit.txt | setup
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.txt
	@touch $@

# Without --strict a package that the service does not know would pass.
STRICT := --strict --require-hashes --disable-pip --progress-spinner off
# An exception counts only with its reason behind it.
EXCEPTIONS = $(shell sed -nE 's/^([A-Z]+-[^ ]+) .+/--ignore-vuln \1/p' audit-exceptions.txt)
