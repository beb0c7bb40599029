//! `kiln approve`.

use crate::args::{Approve, Format};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use kiln_publish::{approve, resolve};
use kiln_record::{Exit, exit};
use kiln_store::WorkspaceLock;

pub(crate) fn run(settings: &Settings, command: &Approve, printer: Printer) -> Result<Exit, Failure> {
    let environment = &settings.environment;
    if command.reason.trim().is_empty() {
        return Err(Failure::usage(
            "the reason is empty: whoever looks at the next growth wants to know why",
        ));
    }
    let lock = WorkspaceLock::acquire(&environment.state, environment.lock_wait)?;
    let build = resolve(environment, &command.build)?;
    let Some(number) = build.number.filter(|_| !command.build.starts_with("git:")) else {
        return Err(Failure::input(format!(
            "`{}` is no build of the ledger, which is what can be approved",
            command.build
        ))
        .hint("name it as ARTIFACT, ARTIFACT@N or ARTIFACT@previous; kiln history lists them"));
    };
    let approval = approve(environment, &build.record.artifact, number, &command.reason, &lock)?;
    match settings.format {
        Format::Json => printer.data(&super::document(&approval)?),
        _ => printer.data(&format!(
            "{}@{} is approved: growth is counted from it\n  record {}\n  {}\n",
            approval.artifact, approval.number, approval.record, approval.reason
        )),
    }
    Ok(exit::SUCCESS)
}
