# `just` lists these; `just check` is what has to pass before a change is merged.

set shell := ["bash", "-euo", "pipefail", "-c"]

[private]
default:
  @just --list

# Everything that CI checks
check: format lint documentation deny typos test

# Formatting
format:
  cargo fmt --all --check

# Clippy, warnings are errors
lint:
  cargo clippy --workspace --all-targets --locked -- -D warnings

# All tests, on real servers, which it installs
test *arguments:
  tests/run {{arguments}}

# Delivery through kills, network failures, swaps and changing outputs: rounds, server, seed
campaign *arguments:
  tests/campaign/run {{arguments}}

# A target of host/fuzz for so many seconds; what it finds comes into host/fuzz/artifacts (needs cargo-fuzz, see CONTRIBUTING.md)
fuzz target seconds="60":
  mkdir -p host/fuzz/corpus/{{target}}
  cp Cargo.lock host/fuzz/Cargo.lock
  RUSTC_BOOTSTRAP=1 CFLAGS=-fno-sanitize=address CXXFLAGS=-fno-sanitize=address \
    cargo fuzz run --fuzz-dir host/fuzz {{target}} host/fuzz/corpus/{{target}} host/fuzz/seeds/{{target}} -- \
    -max_total_time={{seconds}} -timeout=30

# API documentation, without broken links or undocumented items
documentation:
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# Licences, advisories, sources of the dependencies
deny:
  cargo deny --all-features --locked check

# Spelling
typos:
  typos

# Benches; each prints its cost model and ratios
bench *arguments:
  cargo bench --workspace {{arguments}}
