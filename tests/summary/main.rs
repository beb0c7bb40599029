//! The last word of the tests: what they did without on this machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "this is all that it is for")]

#[path = "../it/lacking.rs"]
#[expect(dead_code, reason = "the tests themselves use the rest")]
mod lacking;

fn main() {
    // A runner that wants to know which tests are here is told that there are none.
    if std::env::args_os().any(|argument| argument == "--list") {
        return;
    }
    let lacking: Vec<_> = lacking::ALL.iter().filter_map(|lack| Some((lack, lack.why()?))).collect();
    println!("{} of {} things that tests may do without were lacking", lacking.len(), lacking::ALL.len());
    for (lack, why) in lacking {
        println!("  {} ran without {}: {why}", lack.test, lack.what);
    }
}
