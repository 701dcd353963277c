# The commands of Columba's house. `make help` lists them.
# Everything that is fetched or built lands in .tools/ and .build/, which git ignores.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps deps-run deps-test tools-swift build demo test check format bench bench-archive bench-drain bench-peers bench-s3 bench-start bench-state bench-stream deps-bench spark-test sim screenshots deb clean
.PHONY: deps-cluster demo-cluster chaos-cluster bench-cluster check-deploy
MAKEFLAGS += --no-builtin-rules

# Options for `make demo`, for example: make demo ARGS="--drones 50 --reports 20000 --exit --json"
ARGS ?=
# Options for `make sim`: a seed, virtual years, a deliberate break (.build/release/columba-sim --mutations lists them).
SEED ?=
YEARS ?=
MUTATION ?=
# A strict build that must not disturb the release build keeps its products apart.
STRICT_BUILD := .build/strict

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools-swift:
	@command -v swift >/dev/null 2>&1 || { echo "columba: swift is missing; install the Swift 6.3 toolchain (swift.org/install)" >&2; exit 1; }

deps-run: tools-swift
	@deploy/tools/install-packages
	@deploy/tools/install-duckdb
	@deploy/tools/install-pages

deps-test: deps-run
	@deploy/tools/install-packages apt-packages-test.txt || echo "columba: tests that need these are skipped" >&2
	@deploy/tools/install-packages apt-packages-browser.txt || echo "columba: tests of the pages in a browser are skipped" >&2
	@deploy/tools/install-python --with-test-packages
	@deploy/tools/install-seaweedfs || echo "columba: tests of the object store are skipped" >&2
	@deploy/tools/install-nats || echo "columba: tests of the cluster's stream are skipped" >&2

deps: deps-test ## Installs what is missing: packages, the DuckDB command, the tests' Delta reader

build: deps-run ## Builds the three programs in release mode
	@swift build -c release

demo: deps-run ## Builds, then runs central, two relays and simulated drones; ARGS="…" passes options
	@swift build -c release >&2
	@exec .build/release/columba demo $(ARGS)

deps-cluster: deps-run
	@deploy/tools/install-nats
	@deploy/tools/install-seaweedfs

demo-cluster: deps-cluster ## The same on a cluster: three NATS servers, an object store, three centrals, two relays
	@swift build -c release >&2
	@exec .build/release/columba demo --cluster $(ARGS)

chaos-cluster: deps-cluster ## Breaks parts of a cluster under load for CHAOS_SECONDS (600); SEED=7 repeats a run
	@swift build -c release --build-tests
	@Tests/chaos-cluster

bench-cluster: deps-cluster ## A cluster beside the embedded stream: throughput, CPU, archive lag, recovery (BENCH_SECONDS=20)
	@swift build -c release
	@bench/cluster

check-deploy: deps-test ## Holds the Kubernetes manifests and the servers' own files against their validators
	@.tools/python/bin/python deploy/central/check-manifests --nats-server .tools/nats/nats-server

test: deps-test ## Builds, then runs every test in release mode
	@swift build -c release --build-tests
	@Tests/run

check: deps-run ## Format, house rules, and the build with explicit target dependencies
	@swift format lint --strict --recursive --parallel Package.swift Sources Tests bench
	@swift build --explicit-target-dependency-import-check error --scratch-path $(STRICT_BUILD)
	@swift test -c release --disable-xctest --filter HouseRulesTests

format: tools-swift ## Formats every file in place, comments included
	@git ls-files -z -- '*.swift' '*.c' '*.h' '*.cpp' | xargs -0 deploy/tools/wrap-comments
	@swift format format --in-place --recursive --parallel Package.swift Sources Tests bench

bench: deps-run ## Measures the relay and central under load and prints the figures
	@swift build -c release
	@bench/run

bench-drain: deps-bench ## Measures how a million waiting reports reach the archive after an outage
	@swift build -c release
	@bench/drain

deps-bench: deps-run
	@deploy/tools/install-bench-peers

bench-peers: deps-bench ## Measures the relay beside Redis, PostgreSQL, NATS JetStream and Mosquitto
	@swift build -c release
	@bench/peers

bench-s3: deps-test ## A lake in S3: copies on this machine beside DuckDB's own reader (ARGS="--latency 2")
	@bench/s3/run $(ARGS)

bench-start: deps-run ## Measures a relay's start with ten million records waiting
	@swift build -c release --build-tests
	@COLUMBA_MEASURE_START=10000000 swift test -c release --skip-build --disable-xctest --filter StartMeasurement

bench-state: deps-run ## Measures what exact deduplication keeps: 100,000 drones, 1,440 reports each, 1 % late
	@swift build --build-tests
	@COLUMBA_MEASURE_STATE=1 swift test --skip-build --disable-xctest --filter StateMeasurement

bench-stream: deps-test ## Measures the cluster's stream: one NATS server and three
	@swift build -c release --build-tests
	@COLUMBA_MEASURE_STREAM=1 swift test -c release --skip-build --disable-xctest --filter StreamMeasurement

bench-archive: deps-run ## Columba's archive beside PostgreSQL, ClickHouse and DuckDB on the same reports (BENCH_REPORTS=5000000)
	@swift build -c release
	@bench/archive/run

spark-test: deps-test ## Runs the Spark jobs locally and holds their results against SQL (fetches PySpark, needs Java 17)
	@deploy/tools/install-spark
	@swift build -c release
	@queries/spark/tests/run

sim: tools-swift ## Simulates drones, relays, central and faults: SEED=7 one world, YEARS=10, or until something breaks
	@swift build -c release --product columba-sim >&2
	@exec .build/release/columba-sim $(if $(SEED),--seed $(SEED) --trace) $(if $(YEARS),--years $(YEARS)) \
		$(if $(SEED)$(YEARS),,--forever) $(if $(MUTATION),--mutation $(MUTATION)) $(ARGS)

screenshots: deps-test ## Makes pictures of both pages in both themes into docs/pictures
	@swift build -c release
	@.tools/python/bin/python Tests/BrowserTests/scripts/screenshots.py --programs .build/release --to docs/pictures

deb: deps-run ## Builds the Debian package of the relay into .build/packages
	@deploy/edge/build-deb

clean: ## Removes what was built (the fetched tools stay)
	@rm -rf .build
