//! The command line of kiln: arguments in, text and an exit code out.
//!
//! This is the only crate that reads the process's environment, home, clock and terminal.

mod args;
mod command;
mod config_files;
mod failure;
mod findings;
mod indexes;
mod printer;
mod progress;
#[cfg(feature = "schema")]
mod schema;
mod settings;
mod signals;
mod transformations;
mod variables;

use args::{Arguments, Command};
use clap::Parser as _;
use failure::Failure;
use kiln_record::{Exit, exit};
use printer::Printer;
#[cfg(feature = "schema")]
pub use schema::schemas;
use settings::Settings;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are data and succeed; everything else is talk and a usage error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::SUCCESS });
        }
    };
    let variables = variables::Variables::of_process();
    let printer = Printer::new(
        arguments.global.quiet,
        arguments.global.color,
        variables.is_set(variables::NO_COLOR),
        variables.is_set(variables::CI),
    );
    match run(&arguments, &variables, printer) {
        Ok(code) => match printer.output_error() {
            None => ExitCode::from(code),
            Some(why) => {
                let failure = Failure::store(format!("the output could not be written: {why}"));
                failure.print(printer);
                ExitCode::from(failure.exit())
            }
        },
        Err(failure) => {
            failure.print(printer);
            ExitCode::from(failure.exit())
        }
    }
}

fn run(arguments: &Arguments, variables: &variables::Variables, printer: Printer) -> Result<Exit, Failure> {
    // Only these need an index or a mirror, the last two to assemble a base that is to be asked; a broken setting of
    // either does not keep anyone from reading the ledger. Registries are reached as the network settings say.
    let fetches = match &arguments.command {
        Command::Build(_) | Command::Lock(_) | Command::Explain(_) => true,
        Command::Verify(verify) => verify.cross_check.is_some(),
        _ => false,
    };
    let settings = Settings::new(&arguments.global, variables, fetches)?;
    match &arguments.command {
        Command::Build(command) => command::build::run(&settings, command, printer),
        Command::Lock(command) => command::lock::run(&settings, command, printer),
        Command::Explain(command) => command::explain::run(&settings, command, printer),
        Command::Pins => command::pins::run(&settings, printer),
        Command::Diff(command) => command::diff::run(&settings, command, printer),
        Command::History(command) => command::history::run(&settings, command, printer),
        Command::Show(command) => command::show::run(&settings, command, printer),
        Command::Sbom(command) => command::sbom::run(&settings, command, printer),
        Command::Verify(command) => command::verify::run(&settings, command, printer),
        Command::Push(command) => command::push::run(&settings, command, printer),
        Command::Export(command) => command::export::run(&settings, command, variables, printer),
        Command::Pull(command) => command::pull::run(&settings, command, printer),
    }
}
