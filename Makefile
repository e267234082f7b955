# Each word is one line of tests/support/; all that it needs is built below .cache/ first, by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
SUPPORT := tests/support
STAGES := $(PYTHON) $(SUPPORT)/run_stages.py

.PHONY: help setup demo demo-picture report-picture test quick lint types unit sanity integration molecule stores parsers browser build docs docs-site \
	role-readme release benchmark benchmark-check benchmark-noop benchmark-feed benchmark-role benchmark-window store-minio store-rgw store-moto store-seaweedfs store-versitygw store-aws clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## build the environments that tests and demo need, below .cache/ (first time about a minute)
	@$(PYTHON) $(SUPPORT)/environments.py

demo: ## migrate a sample server to an embedded store and show the result; needs no root and no container [ARGS=--keep]
	@$(SUPPORT)/demo/run.sh $(ARGS)

demo-picture: ## draw the README's picture from the output of a real demo [LOG=an earlier demo's output]
	@$(PYTHON) $(SUPPORT)/environments.py venv
	@PYTHONPATH=$(SUPPORT) .cache/venv/bin/python -m demo.picture $(LOG)

report-picture: ## take the README's picture of a report, which a migration of a larger sample server writes
	@$(PYTHON) $(SUPPORT)/environments.py venv collections
	@PYTHONPATH=$(SUPPORT) .cache/venv/bin/python -m demo.report_picture

test: ## run every check and test there is; ends with `N passed, N failed`
	@$(STAGES) all

quick: ## fast linters, types, unit tests with one ansible-core but those marked slow; in under a minute
	@$(STAGES) unit shipped lint types

lint: ## ansible-lint, yamllint, ruff, shellcheck, docs and changelog lint [ONLY=ruff]
	@$(PYTHON) $(SUPPORT)/lint.py $(ONLY)

types: ## mypy
	@$(PYTHON) $(SUPPORT)/lint.py mypy

unit: ## unit tests [ENV=core-2.19|...|core-2.22|node-3.9|node-3.14|all] [ARGS='-k text']
	@$(PYTHON) $(SUPPORT)/unit.py $(or $(ENV),venv) $(ARGS)

sanity: ## ansible-test sanity [CORE=core-2.21|core-2.19|core-2.20|core-2.22] [ONLY='import pylint']
	@$(PYTHON) $(SUPPORT)/ansible_test.py sanity $(or $(CORE),core-2.21) $(ONLY)

integration: ## integration targets on this machine [TARGET=env_file] [END=newest|oldest]
	@$(PYTHON) $(SUPPORT)/ansible_test.py integration $(or $(END),newest) $(TARGET)

molecule: ## a molecule scenario on hosts with systemd; needs root or containers [SCENARIO=default]
	@$(PYTHON) $(SUPPORT)/molecule_scenario.py $(or $(SCENARIO),default)

stores: ## the engine against real S3 servers (MinIO, Ceph RGW, SeaweedFS, VersityGW, moto)
	@$(PYTHON) $(SUPPORT)/unit.py stores $(ARGS)

parsers: ## env_file against Ruby dotenv, Node dotenv, systemd and compose-go
	@$(PYTHON) $(SUPPORT)/unit.py parsers $(ARGS)

browser: ## the HTML report in a real Chromium; pictures of it are in .cache/browser
	@$(PYTHON) $(SUPPORT)/unit.py browser $(ARGS)

build: ## build the archive, compare it with what is meant to be in it, install it and use it
	@$(PYTHON) $(SUPPORT)/check_build.py

docs: ## check the documentation of modules and roles
	@$(PYTHON) $(SUPPORT)/lint.py antsibull-docs

docs-site: ## build the documentation as a website, without a warning, in .cache/docs-site/html
	@$(PYTHON) $(SUPPORT)/docs_site.py

release: ## write version and changelog of a release [VERSION=0.2.0]; the release workflow does the rest
	@$(PYTHON) $(SUPPORT)/release.py $(VERSION)

role-readme: ## write the generated part of each role's README anew
	@$(PYTHON) $(SUPPORT)/role_readme.py

benchmark: ## s3_sync against rclone, s5cmd, s3cmd and others, 12 minutes [ARGS='--rounds 1 --stores null'] (ARGS=--help)
	@$(PYTHON) $(SUPPORT)/environments.py venv collections node-3.14 benchmark benchmark-collections
	@.cache/venv/bin/python benchmarks/compare.py $(ARGS)

benchmark-check: ## s3_sync_info against rclone check, with 100,000 files [ARGS='--files 10000'] (ARGS=--help)
	@$(PYTHON) $(SUPPORT)/environments.py venv collections node-3.14 benchmark
	@.cache/venv/bin/python benchmarks/check.py $(ARGS)

benchmark-noop: ## an unchanged tree against a bare walk [FILES=1000000] [ARGS='--tree flat'] (ARGS=--help)
	@$(PYTHON) $(SUPPORT)/environments.py venv collections node-3.14
	@.cache/venv/bin/python benchmarks/noop.py --files $(or $(FILES),100000) $(ARGS)

benchmark-feed: ## what following changes costs; needs root [ARGS='--events 100000 --dir /dev/shm']
	@$(PYTHON) $(SUPPORT)/environments.py venv collections
	@.cache/venv/bin/python benchmarks/feed.py $(ARGS)

benchmark-role: ## a run of migrate.yml that has nothing to do: tasks, walks of the tree, seconds [ARGS='--rounds 1']
	@PYTHONPATH=$(SUPPORT) $(PYTHON) -m demo.prepare
	@.cache/demo/bin/python benchmarks/noop_role.py $(ARGS)

benchmark-window: ## the switch as visitors see it: how long what is missing; needs root and podman or docker [ARGS='--files 1000000']
	@$(PYTHON) $(SUPPORT)/environments.py venv collections
	@.cache/venv/bin/python benchmarks/window.py $(ARGS)

store-minio: ## start a MinIO by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh minio

store-rgw: ## start a Ceph RGW by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh rgw

store-moto: ## start a moto by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh moto

store-seaweedfs: ## start a SeaweedFS by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh seaweedfs

store-versitygw: ## start a VersityGW by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh versitygw

store-aws: ## start a stand-in for Amazon S3, with its refusals, by hand (ctrl-c ends it)
	@$(SUPPORT)/store.sh aws

clean: ## remove everything that was built, downloads too
	@rm -rf .cache tests/output fediverse-mastodon_s3-*.tar.gz
