//! End-to-end tests: the real binary, a real engine, real packages.
//!
//! They need Docker, Debian's tools named in `harness::judges`, and the package registries that the machine
//! is configured for. A machine without them fails these tests. What a test may do without is in `lacking`,
//! and said at the end of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod arm64;
mod audit_approvals;
mod audit_images;
mod audit_operands;
mod audit_osv;
mod audit_pairs;
mod audit_walk;
mod aws_bases;
mod bases;
mod binaries;
mod ci_pages;
mod circles;
mod conformance;
mod container_images;
mod diff;
mod dockerfile_corpus;
mod dockerfile_limits;
mod dockerfile_removals;
mod dockerfiles;
mod documents;
mod engine;
mod engines;
mod explain;
mod export;
mod find;
mod forgeries;
mod generated;
mod handler_names;
mod harness;
mod hint_places;
mod hints;
mod imports;
mod incidents;
mod incremental;
mod indexes;
mod init;
mod intrusions;
mod invocations;
mod invoke;
mod killed;
mod lacking;
mod lambda_environment;
mod ledger;
mod local_sources;
mod lock_artifact;
mod lock_formats;
mod lock_rules;
mod mistakes;
mod other_differs;
mod other_packers;
mod packaging;
mod packagings;
mod pins;
mod pip_oracle;
mod platforms;
mod printed;
mod push;
mod python_lock;
mod rebuild;
mod records;
mod registry;
mod registry_history;
mod reports;
mod reproducible;
mod restore;
mod runtime_client;
mod schemas;
mod sdists;
mod shards;
mod signatures;
mod smoke;
mod source_folders;
mod source_link;
mod steps;
mod store;
mod tampering;
mod tree;
mod upstream;
