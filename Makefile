# Needs Python >= 3.11, git and make. `make demo` and `make test` prepare what they need and are fast the second time.

PY := .venv/bin/python
RUN := .venv/.run-$(shell cksum < requirements.lock | cut -d ' ' -f 1)
DEV := .venv/.dev-$(shell cksum < requirements-dev.lock | cut -d ' ' -f 1)
PEERS := .venv/.bench-$(shell cksum < requirements-bench.lock | cut -d ' ' -f 1)
PIP_INSTALL := $(PY) -m infra.local.packages

.PHONY: demo test test-unit environment lint types bench contracts lock clean chromium servers
.DELETE_ON_ERROR:

demo: servers
	@exec .venv/bin/quartal demo

test: $(DEV) servers chromium
	@exec sh infra/ci/test.sh

# Without servers.
test-unit: $(DEV)
	$(PY) -m pytest tests/unit tests/contracts tests/architecture -n 2 --dist worksteal --hypothesis-profile=quick \
		-p no:playwright -p no:schemathesis

environment: $(DEV)

lint: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/lint-imports

types: $(DEV)
	nice $(PY) -m mypy

# Beside the libraries that others use: they are in a lock of their own, and a run that lacks them says so.
bench: $(PEERS) servers
	$(PY) -m bench

# OpenAPI documents, problem types, digests of derived rows; schemas and golden files of new facts: what is published is never overwritten.
contracts: $(DEV)
	$(PY) -m tests.contracts.snapshots
	$(PY) -m shared.contracts.json_schemas write

# Kafka, in the user's cache folder; says nothing when it is there. Whatever was installed for tests serves for it too.
servers: $(if $(wildcard $(DEV)),$(DEV),$(RUN))
	@$(PY) -m infra.local.install

# A half-made environment fails the test and is made again; one that works is kept, whatever made it.
.venv: .venv/.made
.venv/.made:
	@$(PY) -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || sh infra/local/make-venv.sh
	@touch $@

$(RUN): requirements.lock | .venv/.made
	@$(PIP_INSTALL) $<
	@$(PY) -m infra.local.venv
	@rm -f .venv/.run-*
	@touch $@

$(DEV): requirements-dev.lock | .venv/.made
	@$(PIP_INSTALL) $<
	@$(PY) -m infra.local.venv
	@rm -f .venv/.dev-*
	@touch $@

$(PEERS): requirements-bench.lock | $(DEV)
	@$(PIP_INSTALL) $<
	@rm -f .venv/.bench-*
	@touch $@

lock:
	@command -v uv > /dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv"; exit 1; }
	uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.11 -o requirements.lock pyproject.toml
	uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev \
		-c requirements.lock -o requirements-dev.lock pyproject.toml
	uv pip compile --quiet --no-header --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev --extra bench \
		-c requirements-dev.lock -o requirements-bench.lock pyproject.toml

chromium:
	@sh infra/local/chromium.sh

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
