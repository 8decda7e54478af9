# The words of this project; `make help` lists them. CMake does the building.
PREFIX ?= /usr/local
LISTEN ?= 127.0.0.1:8000
DATA ?= recado-data
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60

build: ## build build/recado, optimised
	@scripts/deps build
	@test -f build/build.ninja || cmake --preset release
	@cmake --build build --parallel $(JOBS)

run: build ## build, then serve on LISTEN (127.0.0.1:8000), with its data in DATA (recado-data)
	@exec build/recado serve --listen $(LISTEN) --data $(DATA)

test: ## build in three ways and run every test; the last line counts them
	@scripts/deps build test || echo "scripts/deps failed; what needs it will fail too"
	@tests/run --jobs $(JOBS)

lint: ## clang-format, clang-tidy and the house rules
	@scripts/deps build test lint
	@scripts/lint

format: ## let clang-format rewrite the sources
	@scripts/lint --rewrite

fuzz: ## run every fuzz target for FUZZ_SECONDS (60)
	@scripts/deps build test
	@scripts/fuzz $(FUZZ_SECONDS)

bench: build ## measure, against other servers too
	@scripts/deps bench
	@bench/run

install: build ## install under PREFIX (/usr/local); DESTDIR is honoured
	cmake --install build --prefix $(PREFIX)

deb: build ## make a Debian package in build/
	@scripts/deps deb
	@cd build && cpack -G DEB

deps: ## install what building and testing need
	@scripts/deps build test

clean: ## remove what was built
	rm -rf build build-*

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: build run test lint format fuzz bench install deb deps clean help
