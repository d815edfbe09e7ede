# What is checked before a change lands; .ci/run installs the tools and runs all of it.

.PHONY: check fmt lint doc test demo proto deny sbom fuzz

check: fmt lint doc test demo proto deny sbom fuzz

fmt:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml

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

# A list of all that is linked in, as jwks-gateway.cdx.json (CycloneDX). cargo-cyclonedx: cargo install --locked cargo-cyclonedx
sbom:
	cargo cyclonedx --format json --spec-version 1.5 --target all --override-filename jwks-gateway.cdx

# cargo-fuzz: cargo install --locked cargo-fuzz
fuzz:
	fuzz/run 60
