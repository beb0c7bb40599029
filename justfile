# Aliases for commands that work without just.

# Sets up and builds every artifact of this workspace.
build-all:
    cargo run --release -- build --all

# kiln itself, as a static program and as a container image, compiled twice; takes long.
release:
    cargo run --release -- build kiln kiln-image

# All tests; needs Docker.
test:
    cargo test --workspace --release

# Tests that need no Docker.
test-unit:
    cargo test --workspace --release --exclude kiln-tests

# Formatting, lints, and what may be depended on (needs cargo-deny).
lint:
    cargo fmt --check && cargo clippy --workspace --all-targets --release -- -D warnings
    cargo deny check bans licenses sources

# Writes what follows from the code again: schemas, the table of exit codes.
generate:
    KILN_TESTS_WRITE_GENERATED=1 cargo test -p kiln-tests generated

# Ratios against what people use today, of the kiln that users install; prints, never fails.
bench:
    cargo build --locked --profile dist -p kiln-cli
    cargo bench -p kiln-tests --bench peers --profile measured -- --kiln target/dist/kiln

# The same beside pip, uv, zip, syft and diffoscope, each where it can be had, into docs/benchmarks.md; needs Docker and an index.
bench-peers:
    cargo build --locked --profile dist -p kiln-cli && tests/peers/run.py --write

# Clicks through pages of this workspace in Chromium; needs Debian's chromium and chromium-driver, and builds.
look:
    cargo run --release -- report --site target/look/site
    tests/browser/look.py --into target/look target/look/site/*.html

# Fuzzes every parser for a minute each, or one for as long as it says: just fuzz, just fuzz zip 600. Needs cargo-fuzz.
fuzz TARGET='all' SECONDS='60':
    fuzz/run {{TARGET}} {{SECONDS}}

# Builds on a farm of two workers whose machines die, and compares with what Docker comes to; needs root, Docker, PostgreSQL, Python 3.13.
farm:
    cargo build --release -p kiln-cli && tests/farm/run.py

# Lets tools of others judge the bills of materials, against the committed table; needs builds, network and cargo.
judges:
    tests/judges/run.py

# What changed between the last two builds of an artifact: just diff dashboard.
diff ARTIFACT:
    cargo run --release -- diff {{ARTIFACT}}@previous {{ARTIFACT}}@latest

fmt:
    cargo fmt
