# A target sets up what it needs of .venv when that is missing or older than its lock file.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && command -v "$$p" && break; done)
BIN := .venv/bin
# Hashes are checked for every package. uv installs in a tenth of pip's time. Where there is no uv, or it cannot reach
# the packages (only pip knows the mirror that pip's own settings name), pip does the work and says what is wrong.
UV := UV_HTTP_RETRIES=0 $(BIN)/uv pip install --python $(BIN)/python --quiet
UV_LOCK := --require-hashes --only-binary :all: --requirement requirements-uv.lock
PIP := --disable-pip-version-check install --quiet --no-compile
install = $(UV) $(1) 2>/dev/null || { echo "uv cannot install here; pip takes longer ..."; \
	{ $(BIN)/python -m pip --version || $(BIN)/python -m ensurepip; } >/dev/null 2>&1; \
	$(BIN)/python -m pip $(PIP) $(1); }

.PHONY: help demo pictures run test coverage check format messages gallery lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What `python -m bot` needs. The .pth file lets it start in any folder. The pip of $(PYTHON) fetches uv if it can,
# because making another pip takes seconds.
.venv/run: requirements.lock requirements-uv.lock
	@test -n "$(PYTHON)" || { echo "veo-courier needs Python 3.11 or newer, and none was found." \
		"Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Setting up .venv with $(PYTHON) (once) ..."
	@$(PYTHON) -m venv --clear --without-pip .venv
	@$(PYTHON) -m pip --python $(BIN)/python $(PIP) $(UV_LOCK) >/dev/null 2>&1 || { \
		$(BIN)/python -m ensurepip >/dev/null 2>&1 || { echo "That Python has no pip." \
		"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
		$(BIN)/python -m pip $(PIP) $(UV_LOCK) >/dev/null 2>&1 || true; }
	@$(call install,--require-hashes --requirement requirements.lock)
	@$(BIN)/python -c 'import pathlib as p, sysconfig as s; \
		p.Path(s.get_path("purelib"), "veo-courier.pth").write_text(f"{p.Path.cwd()}\n")'
	@touch $@

# Each step hides the stamps before it until it is done, so that an interrupted set-up begins anew.
.venv/demo: .venv/run requirements-demo.lock
	@rm .venv/run
	@$(call install,--require-hashes --requirement requirements-demo.lock)
	@touch .venv/run $@

.venv/ready: .venv/demo requirements-dev.lock pyproject.toml
	@echo "Adding the developers' tools (once) ..."
	@rm .venv/run .venv/demo
	@$(call install,--require-hashes --requirement requirements-dev.lock)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch .venv/run .venv/demo $@

demo: .venv/demo ## try it in the browser, no account needed (STORY=1: a story in the terminal)
	@$(BIN)/python -m demo $(if $(STORY),--story)

pictures: .venv/ready ## draw docs/pictures/ anew from the demo's page (needs Chromium)
	@$(BIN)/python -m demo.page.pictures

run: .venv/run ## run the bot for real, with the settings in .env
	@$(BIN)/python -m bot

# Compiled modules are kept, because the tests start hundreds of processes.
test coverage: export PYTHONDONTWRITEBYTECODE :=

# The explorer computes all the time, and would starve tests that wait for a process: it runs after them.
test: .venv/ready ## all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/explore
	@$(BIN)/python -m pytest -n auto --dist worksteal tests/explore

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

# Babel collects the sentences of bot/chat, and compiles what is translated: CONTRIBUTING.md, "Adding a language".
BABEL := $(BIN)/pybabel --quiet

messages: .venv/ready ## bring the translations in bot/locale up to date with the code
	@$(BABEL) extract --no-default-keywords -k t -k plural:1,2 -k marked --no-location --sort-output \
		--omit-header --output-file .venv/bot.pot bot/chat
	@$(BABEL) update --domain bot --input-file .venv/bot.pot --output-dir bot/locale --width 110 \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	@$(BABEL) compile --domain bot --directory bot/locale

gallery: .venv/ready ## draw every message that the bot can send into docs/messages (needs Chromium)
	@$(BIN)/python -m tests.messages > .venv/messages.json
	@$(BIN)/python -m demo.page.gallery .venv/messages.json docs/messages

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	--upgrade

lock: .venv/ready ## pin the newest allowed versions again
	@$(LOCK) pyproject.toml --extra postgres --output-file requirements.lock
	@$(LOCK) pyproject.toml --extra postgres --group dev --output-file requirements-dev.lock
	@$(LOCK) --group demo --constraint requirements-dev.lock --output-file requirements-demo.lock
	@$(LOCK) --group uv --constraint requirements-dev.lock --output-file requirements-uv.lock

clean: ## remove everything that make made
	rm -rf .venv .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache
