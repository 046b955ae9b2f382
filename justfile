# The commands of this project; CI runs the same.

# Lists the recipes.
default:
    @just --list

# Formatting, lints and bans: quick, nothing is run.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    cargo check -p sendoff-cli --no-default-features

# Every test, with the real servers that stand for vendors. For what needs nothing installed:
# `cargo test --workspace`.
test:
    ./scripts/test

# Writes what is generated and committed: documentation and snapshots. Read the diff before committing.
bless:
    cargo run -p sendoff-cli -- docs docs
    SENDOFF_BLESS=1 cargo test -p sendoff-destinations --all-features --test behaviour _matches

# Serves with your configuration.
run *arguments:
    cargo run --release -- serve {{ arguments }}

# Starts a hub, plays Looker once and shows what crossed the wire.
demo *arguments:
    cargo run --release -- demo {{ arguments }}

# Prints one table of what the hub costs. `just bench --quick` takes a minute.
bench *arguments:
    cargo run --release -p sendoff-bench -- {{ arguments }}

# Licenses, bans, sources and known holes of what is built in; needs cargo-deny.
deny:
    cargo deny check

# Throws random bytes at a parser and compares it with serde_json; needs nightly and cargo-fuzz.
fuzz target="request_body" seconds="60":
    cargo +nightly fuzz run {{ target }} -- -max_total_time={{ seconds }}
