# What is checked before a change lands; .ci/run installs the tools and runs all of it.

.PHONY: check fmt lint doc test demo proto deny

check: fmt lint doc test demo proto deny

fmt:
	cargo fmt --check

lint:
	cargo clippy --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

test:
	cargo test

demo:
	cargo run --release -- demo --once

# buf: pip install buf-bin, or npm install @bufbuild/buf
proto:
	buf lint
	buf format --diff --exit-code

# cargo-deny: cargo install --locked cargo-deny
deny:
	cargo deny check bans licenses sources
