//! `kiln sbom`: the bill of materials of a build in the form that its reader takes.

use crate::args::{BillFormat, Sbom as Arguments};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use kiln_record::{Exit, exit};
use kiln_sbom::{cyclonedx, spdx};

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let build = super::named(settings, &command.build)?;
    if let (BillFormat::Spdx, Some(version)) = (command.form, command.spec_version) {
        return Err(Failure::usage(format!(
            "`--spec-version {version}` is a version of CycloneDX, and `--as spdx` is SPDX 2.3"
        ))
        .hint("leave one of the two out"));
    }
    let document = match command.form {
        BillFormat::Cyclonedx => cyclonedx(&build.record, command.spec_version.unwrap_or_default()),
        BillFormat::Spdx => spdx(&build.record),
    };
    let document = document.map_err(|error| Failure::unexpected(error.to_string()))?;
    let text = String::from_utf8(document).map_err(|error| Failure::unexpected(error.to_string()))?;
    printer.data(&text);
    Ok(exit::SUCCESS)
}
