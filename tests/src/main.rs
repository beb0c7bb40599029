//! The kiln binary under test: the same code as the one that is shipped, built beside the tests that drive it.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln_cli::main()
}
