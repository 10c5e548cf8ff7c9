export PATH := $(CURDIR)/.tools/bin:$(PATH):/usr/sbin:/sbin
PYTHON ?= python3
export PYTHON

bin := .venv/bin

.PHONY: help setup demo test prove check bench docs screens clean

help:   ## say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## set up all that the other targets need, where it is missing
	@tools/setup.sh python build test hello

demo:   ## publish testdata/hello for four platforms to a registry that lives as long as the demo
	@tools/setup.sh python build hello
	@tools/demo.sh

test:   ## run the tests; ARGS="-k name" goes to pytest
	@tools/setup.sh python build test hello
	$(bin)/pytest $(ARGS)

prove:  ## clean 10,000 drawn repositories in a model, and 200 on each real registry
	@tools/setup.sh python test
	REGKIT_EXAMPLES=10000 $(bin)/pytest --timeout 3600 tests/ops/test_cleanup.py tests/interop/test_cleanup_registries.py

check:  ## formatting, lint, types, import contracts
	@tools/setup.sh python
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/mypy
	$(bin)/lint-imports

bench:  ## measure the client against its peers; ARGS="push-far" measures that row alone
	@tools/setup.sh python build test bench hello
	$(bin)/python -m tests.bench $(ARGS)

docs:   ## generate the references of commands, events, Python names and registries, and the conformance summary
	@tools/setup.sh python test
	$(bin)/python docs/generate.py
	$(bin)/python docs/registries.py
	$(bin)/python -m tests.devregistry.conformance

screens: ## show every screen of testdata/screens anew, and keep it; look at the difference
	@tools/setup.sh python build test hello
	REGKIT_TEST_SCREENS=write $(bin)/pytest -q tests/interop/test_screens.py

clean:  ## remove all that was set up or built here
	rm -rf .venv .tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf testdata/hello/bin testdata/hello/.built
	find . -name __pycache__ -prune -exec rm -rf {} +
