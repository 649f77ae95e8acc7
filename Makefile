# Every target makes .venv by itself when it is missing or older than the lock file.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && command -v "$$p" && break; done)
BIN := .venv/bin
# pip speaks only when something is wrong; hashes are checked for every package.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo pictures run test coverage check format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/ready: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "veo-courier needs Python 3.11 or newer, and none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Setting up .venv with $(PYTHON) (once) ..."
	@$(PYTHON) -m venv --clear .venv || { echo "That Python cannot make a virtual environment." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/ready ## try it in the browser, no account needed (STORY=1: a story in the terminal)
	@$(BIN)/python -m demo $(if $(STORY),--story)

pictures: .venv/ready ## draw docs/pictures/ anew from the demo's page (needs Chromium)
	@$(BIN)/python -m demo.page.pictures

run: .venv/ready ## run the bot for real, with the settings in .env
	@$(BIN)/python -m bot

test: .venv/ready ## all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

coverage: .venv/ready ## all tests, with branch coverage: half as long again
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term

check: .venv/ready ## format, lint, types, and known vulnerabilities of what is pinned
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.audit requirements.lock requirements-dev.lock

format: .venv/ready ## rewrite the code in the project's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: .venv/ready ## pin the newest allowed versions again
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras --upgrade \
		pyproject.toml --extra postgres --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras --upgrade \
		pyproject.toml --extra postgres --group dev --output-file requirements-dev.lock

clean: ## remove everything that make made
	rm -rf .venv .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache
