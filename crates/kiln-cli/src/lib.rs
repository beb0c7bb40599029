//! The command line of kiln: arguments in, text and an exit code out.
//!
//! This is the only crate that reads the process's environment, home, clock and terminal.

mod args;
mod command;
mod config_files;
mod failure;
mod findings;
mod forms;
mod indexes;
mod panics;
mod printer;
mod progress;
mod remote;
#[cfg(feature = "schema")]
mod schema;
mod settings;
mod signals;
mod signing;
mod transformations;
mod variables;
mod wrapping;

use args::{Arguments, Command, Format};
use failure::Failure;
use kiln_record::{Exit, exit};
use printer::Printer;
#[cfg(feature = "schema")]
pub use schema::schemas;
use settings::{Needs, Settings};
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::of_process() {
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
        variables.wants_plain_lines(),
        variables.is_set(variables::CI),
    )
    .annotating(variables.get(variables::GITHUB_ACTIONS) == Some("true"));
    panics::tell_as_defects(printer);
    let is_prose = arguments.global.format == Format::Human && arguments.command.prints_words();
    let printer = if is_prose { printer.wrapping() } else { printer };
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
            let document = as_document(&arguments, &failure).filter(|_| !printer.has_written());
            match &document {
                // The annotations are that.
                Some(_) if arguments.global.format == Format::Github => failure.tell(printer),
                _ => failure.print(printer),
            }
            match document {
                Some(Ok(document)) => printer.data(&document),
                Some(Err(failure)) => failure.print(printer),
                None => {}
            }
            ExitCode::from(failure.exit())
        }
    }
}

/// Why a command failed, in the form that was asked for; none where that is one for people, or none that the command has. A document
/// that was begun is not followed by this one.
fn as_document(arguments: &Arguments, failure: &Failure) -> Option<Result<String, Failure>> {
    match arguments.global.format {
        Format::Human | Format::Html => None,
        Format::Json => Some(command::document(&failure.document())),
        format => has_format(arguments)
            .is_ok()
            .then(|| forms::judged(format, &[failure.judgement()], Default::default)),
    }
}

fn run(arguments: &Arguments, variables: &variables::Variables, printer: Printer) -> Result<Exit, Failure> {
    has_format(arguments)?;
    let (global, command) = (&arguments.global, &arguments.command);
    let settings = || Settings::new(global, variables, needs(command));
    // Some have a workspace of their own, or none.
    let call = settings::Call { global, variables };
    match command {
        Command::Init(command) => command::init::run(&call, command, printer),
        Command::Doctor => command::doctor::run(&call, printer),
        Command::Store(command) => command::store::run(&settings()?, command, printer),
        Command::Bundle(command) => command::bundle::run(&settings()?, command, printer),
        Command::New(command) => command::new::run(&settings()?, command, printer),
        Command::Util(command) => command::util::run(command, printer),
        Command::Build(command) => command::build::run(&settings()?, command, printer),
        Command::Invoke(command) => command::invoke::run(&settings()?, command, printer),
        Command::Lock(command) => command::lock::run(&settings()?, command, printer),
        Command::Explain(command) => command::explain::run(&settings()?, command, printer),
        Command::Pins(command) => command::pins::run(&settings()?, command, printer),
        Command::Approve(command) => command::approve::run(&settings()?, command, printer),
        Command::Diff(command) => command::diff::run(&settings()?, command, printer),
        Command::History(command) => command::history::run(&settings()?, command, printer),
        Command::Show(command) => command::show::run(&settings()?, command, printer),
        Command::Report(command) => command::report::run(&settings()?, command, printer),
        Command::Sbom(command) => command::sbom::run(&settings()?, command, variables, printer),
        Command::Verify(command) => command::verify::run(&settings()?, command, printer),
        Command::Sign(command) => command::sign::run(&settings()?, command, variables, printer),
        Command::Log(command) => command::log::run(&settings()?, command, variables, printer),
        Command::Audit(command) => command::audit::run(&settings()?, command, printer),
        Command::Find(command) => command::find::run(&call, command, printer),
        Command::Rebuild(command) => command::rebuild::run(&call, command, printer),
        Command::Restore(command) => command::restore::run(&call, command, printer),
        Command::Gather(command) => command::gather::run(&settings()?, command, printer),
        Command::Push(command) => command::push::run(&settings()?, command, printer),
        Command::Export(command) => command::export::run(&settings()?, command, variables, printer),
        Command::Pull(command) => command::pull::run(&settings()?, command, printer),
    }
}

/// What a command needs. Whoever audits a release has neither workspace nor engine.
fn needs(command: &Command) -> Needs {
    match command {
        Command::Verify(verify) if verify.cross_check.is_some() => Needs::Servers,
        Command::Verify(verify) if verify.signed.is_asked() => Needs::Nothing,
        Command::Verify(verify) if verify.files.is_empty() => Needs::Workspace,
        Command::Explain(explain) if command::explain_code::of(&explain.artifact).is_some() => Needs::Nothing,
        Command::Explain(explain) if command::explain_build::is_operand(&explain.artifact) => Needs::Nothing,
        Command::Bundle(command) => match &command.what {
            args::bundle::What::Create(_) => Needs::Servers,
            args::bundle::What::Use(_) => Needs::Nothing,
        },
        Command::Build(_) | Command::Invoke(_) | Command::Lock(_) | Command::Explain(_) => Needs::Servers,
        Command::Pins(pins) if pins.check => Needs::Servers,
        Command::Pull(pull) if pull.all => Needs::Workspace,
        Command::Pins(_)
        | Command::Push(_)
        | Command::Export(_)
        | Command::Approve(_)
        | Command::Gather(_)
        | Command::Sign(_)
        | Command::Log(_)
        | Command::New(_) => Needs::Workspace,
        Command::Audit(_)
        | Command::Diff(_)
        | Command::Doctor
        | Command::Find(_)
        | Command::History(_)
        | Command::Init(_)
        | Command::Util(_)
        | Command::Pull(_)
        | Command::Rebuild(_)
        | Command::Report(_)
        | Command::Restore(_)
        | Command::Sbom(_)
        | Command::Show(_)
        | Command::Store(_)
        | Command::Verify(_) => Needs::Nothing,
    }
}

/// Whether the command gives the form that is asked for.
fn has_format(arguments: &Arguments) -> Result<(), Failure> {
    let (command, formats) = arguments.command.formats();
    let asked = arguments.global.format;
    if formats.contains(&asked) {
        return Ok(());
    }
    let names: Vec<&str> = formats.iter().map(|format| format.as_str()).collect();
    Err(Failure::usage(format!("kiln {command} has no form `{}`", asked.as_str()))
        .hint(format!("it has: {}", names.join(", "))))
}
