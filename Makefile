# Everything that is done with the project. `make` alone lists it.
# CLUSTER=embedded (default) | kind | existing chooses the cluster; see cluster/README.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv/bin
PYTEST := $(VENV)/pytest
export PATH := $(CURDIR)/.build/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/worker-image:$(CURDIR)
# Only where a cluster is used: elsewhere a user's KUBECONFIG must not be touched.
KUBECONFIG_OF_CLUSTER = KUBECONFIG="$$($(PYTHON) -m cluster kubeconfig)"
PACKAGES := operator/querytask worker-image/querytask_worker cluster scripts tests $(wildcard benchmarks)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------------------------------- set-up

.PHONY: setup
setup: ## install what the project needs (10 min on a new machine, then 1 s)
	@$(PYTHON) -m cluster.setup

.PHONY: setup-python
setup-python:
	@$(PYTHON) -m cluster.setup python

.PHONY: setup-database
setup-database:
	@$(PYTHON) -m cluster.setup python database

.PHONY: lock
lock: setup-python ## compile requirements/*.in to hashed locks again (PACKAGE=name upgrades one, UPGRADE=1 all)
	@$(PYTHON) scripts/lock.py $(if $(PACKAGE),--package=$(PACKAGE)) $(if $(UPGRADE),--upgrade)

# ------------------------------------------------------------------------------------------------- demo, cluster

.PHONY: demo
demo: setup ## start a cluster, install the operator and run the examples
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m cluster load >/dev/null
	@$(KUBECONFIG_OF_CLUSTER) $(VENV)/python scripts/demo.py

.PHONY: cluster-up
cluster-up: setup ## start the cluster; its kubeconfig is .cluster/kubeconfig
	@$(PYTHON) -m cluster up

.PHONY: cluster-down
cluster-down: ## end the cluster and leave nothing of it
	@$(PYTHON) -m cluster down

.PHONY: images
images: setup ## build both images into .build/images
	@$(PYTHON) -m cluster images

.PHONY: crds
crds: setup-python ## generate crds/, the chart of the CRDs and docs/reference from the code
	@$(VENV)/python -m querytask.api.crds
	@$(VENV)/python -m querytask.api.docs
	@$(VENV)/python -m scripts.reference
	@$(VENV)/python -m querytask.web.reference

# -------------------------------------------------------------------------------------------------------- tests

.PHONY: test
test: ## every check and every tier of tests
	@$(PYTHON) scripts/run_tests.py

.PHONY: test-unit
test-unit: setup-python ## pure tests
	@$(PYTEST) tests/unit $(ARGS)

.PHONY: test-worker
test-worker: setup-python ## the worker: real processes, a real DuckDB, real small file systems
	@$(PYTEST) tests/worker $(ARGS)

.PHONY: test-component
test-component: setup-database ## history, API and commands: real databases, real servers, real processes
	@$(PYTEST) tests/component $(ARGS)

.PHONY: test-controlplane
test-controlplane: setup ## the operator against a real API server and a scripted kubelet
	@$(PYTEST) tests/controlplane $(ARGS)

.PHONY: test-chart
test-chart: setup ## the charts: rendering, schema, alerting rules
	@$(PYTEST) tests/chart $(ARGS)

.PHONY: test-e2e
test-e2e: setup ## the main path and every example on a real node
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m cluster load >/dev/null
	@$(KUBECONFIG_OF_CLUSTER) $(PYTEST) tests/e2e $(ARGS) || { $(PYTHON) -m cluster.harness logs --lines=15; exit 1; }

.PHONY: lint
lint: lint-python lint-go ## style, types, layers

.PHONY: lint-python
lint-python: setup-python
	@$(VENV)/ruff check $(PACKAGES)
	@$(VENV)/ruff format --check $(PACKAGES)
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-logo

.PHONY: lint-go
lint-go: setup
	@$(PYTHON) -m cluster.harness lint

.PHONY: bench
bench: setup ## measure, beside a baseline, and compare with the bounds
	@$(PYTHON) -m cluster up
	@$(PYTHON) -m cluster load >/dev/null
	@$(KUBECONFIG_OF_CLUSTER) $(VENV)/python -m benchmarks $(ARGS)

.PHONY: clean
clean: cluster-down ## remove everything that was built or installed here
	@# A build of images that was killed leaves mounts.
	@awk -v tree="$(CURDIR)/.build/" 'index($$2, tree) == 1 {print $$2}' /proc/mounts | sort -r | xargs -r umount
	@rm -rf .build .venv .cluster .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
