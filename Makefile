# The recipes of the house; `make help` lists them. A C compiler, make and Rust are all that `make demo` and `make check` need.

CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := target/tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
# How long each fuzz target runs, in seconds.
FUZZ_SECONDS ?= 60
# How many certificates the record of bench-scale holds.
CERTIFICATES ?= 10000000

.DEFAULT_GOAL := help
.PHONY: help demo test test-postgres test-aws check advisories bench bench-scale fuzz soak

help: ## List the recipes
	@awk '/^[a-z-]+:.*## / { name = $$0; sub(/:.*/, "", name); sub(/.*## /, ""); printf "  make %-13s %s\n", name, $$0 }' $(MAKEFILE_LIST)

# Without --package: what the programs share is built once, not once for each.
demo: ## Build, then show a hierarchy, certificates, mutual TLS, revocation, OCSP and CRL at work
	$(CARGO) run --quiet --bin demo

# Of the end-to-end tests of one service, those that ask most of the record; `make soak` runs all of them over PostgreSQL.
RECORD_TESTS = idempotency:: managed_cli personal_data:: restore_cut_off retention:: revoke::

# Most tests wait most of their time: for a disk, a lease, a list. One more than there are cores keeps two cores at work.
test: export RUST_TEST_THREADS ?= 3
test: ## Everything: install what the tests drive, check, all tests, the demo
	@# Beside each other: one waits for the network, the other compiles.
	$(MAKE) --no-print-directory $(CARGO_DENY) & deny=$$!; tests/install.sh && wait $$deny
	$(MAKE) check
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace
	CA_E2E_RECORD=postgres $(CARGO) test --workspace --test it -- $(RECORD_TESTS)
	$(MAKE) demo

# The address goes by the environment: it may hold a password, and a `$` that is no variable.
test-postgres: export CA_TEST_POSTGRES = $(value DSN)
test-postgres: ## What a PostgreSQL must do for us, in the database DSN=postgres://… names; what is made there is dropped again
	@test -n "$$CA_TEST_POSTGRES" || { echo "name a database: make test-postgres DSN=postgres://user:password@host/database"; exit 2; }
	@$(CARGO) test --quiet --workspace --test named -- --nocapture contract::
	@$(CARGO) test --quiet --workspace --test named -- --nocapture --test-threads=1 --skip contract::

# Never run by `make test`: it asks AWS itself, with the credentials and in the region of the environment.
test-aws: ## What AWS KMS must do for us, asked in an account of yours for some cents: CA_TEST_AWS=yes AWS_REGION=…
	@test "$$CA_TEST_AWS" = yes && test -n "$$AWS_REGION" || { \
		echo "SKIPPED: nothing was asked of AWS. It makes thirteen keys, signs with them and schedules their deletion, for some cents:"; \
		echo "CA_TEST_AWS=yes AWS_REGION=sa-east-1 make test-aws, with credentials in the environment or a profile"; exit 2; }
	$(CARGO) test --workspace --lib -- --ignored --nocapture aws_itself_does_what_the_double_does

check: $(CARGO_DENY) ## Format, clippy, documentation, licences, sources, confined crates, layers
	@$(CARGO) clippy --version >/dev/null 2>&1 && $(CARGO) fmt --version >/dev/null 2>&1 || rustup component add clippy rustfmt
	$(CARGO) fmt --all --check
	$(CARGO) run --quiet --package xtask -- layers
	$(CARGO_DENY) --log-level error check --allow unused-wrapper bans licenses sources
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --test named -- -D warnings
	$(MAKE) --no-print-directory check-features
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc --quiet --workspace --no-deps --document-private-items

# What a build leaves out it must be able to do without. What the compiler says, a warning too, is a failure. `make check` has the
# build without any; `make soak` each alone.
FEATURES ?= ''
.PHONY: check-features
check-features:
	@for features in $(FEATURES); do \
		programs="--package ca-server"; \
		case "$$features" in aws-s3|hooks-aws) ;; *) programs="$$programs --package ca-cli" ;; esac; \
		said=$$($(CARGO) check --quiet $$programs --no-default-features --features "$$features" 2>&1) && test -z "$$said" || { \
			printf '%s\nwith the features [%s] alone, %s does not build without a word\n' "$$said" "$$features" "$$programs"; exit 1; }; \
	done

advisories: $(CARGO_DENY) ## Known vulnerabilities of dependencies (fetches RustSec's database)
	$(CARGO_DENY) check advisories

# Without --package, for the same reason: it builds ca-server too.
bench: ## Measure against the targets; BENCH="prepare ocsp --strict" chooses
	$(CARGO) run --release --bin ca-benches -- $(BENCH)

bench-scale: ## Measure over a PostgreSQL with 10,000,000 certificates: half an hour, 30 GB of disk; CERTIFICATES chooses
	$(CARGO) run --release --bin ca-benches -- scale --certificates $(CERTIFICATES)

fuzz: ## Fuzz every parser for FUZZ_SECONDS each (60); see fuzz/run.sh for the compiler it needs
	fuzz/run.sh $(FUZZ_SECONDS)

soak: ## The long runs: kill -9 twenty times under load, a million seeds of the simulation, and what else takes hours
	$(MAKE) --no-print-directory check-features FEATURES="aws-s3 backend-acm-pca backend-kms backend-pkcs11 hooks-aws target-secrets-manager"
	$(CARGO) build --workspace --bins
	CA_E2E_RECORD=postgres $(CARGO) test --workspace --test it
	$(CARGO) test --workspace --test makefile -- --ignored
	$(CARGO) test --package ca-e2e --test soak -- --ignored --nocapture --test-threads=1
	$(CARGO) test --release --package ca-engine --test simulation -- --ignored --nocapture a_million_seeds

# A debug build: it is twice as fast to make and checks this tree in a second.
$(CARGO_DENY):
	$(CARGO) install --quiet --locked --debug --root target/tools/cargo-deny-$(CARGO_DENY_VERSION) \
		--target-dir target/tools/build cargo-deny@$(CARGO_DENY_VERSION)
	rm -rf target/tools/build
