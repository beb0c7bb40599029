//! What hostile input costs: the peak memory, the processor time and the time of the real binary for each class of it, as the table of
//! docs/security.md. Prints; never fails for being slow.
//!
//! Run with `cargo bench -p kiln-tests --bench hostile --profile dist`, which measures what users install. It needs Docker.
//! Names of classes as arguments choose among them.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark ends where its surroundings fail"
)]

mod classes;
#[path = "../it/harness/index.rs"]
#[expect(dead_code, reason = "the tests themselves use the rest")]
mod index;
mod measure;
mod server;
#[path = "../it/harness/wheel.rs"]
#[expect(dead_code, reason = "the tests themselves use the rest")]
mod wheel;

use wheel::WheelFile;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| class | peak memory | processor | time | exit | what kiln says |");
    println!("|---|---:|---:|---:|---:|---|");
    for class in classes::ALL {
        if !chosen.is_empty() && !chosen.iter().any(|word| word == class.name) {
            continue;
        }
        let workspace = measure::Workspace::new();
        let served = (class.make)(&workspace);
        println!("{}", workspace.measured(class, &served));
    }
}
