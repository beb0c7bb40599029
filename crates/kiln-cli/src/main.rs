//! The kiln binary: hands over to the command line crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    kiln_cli::main()
}
