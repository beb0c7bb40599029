//! `kiln sbom`: the bill of materials of a build in the form that its reader takes.

use crate::args::{BillFormat, Sbom as Arguments};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use kiln_record::{Exit, exit};
use kiln_sbom::{cyclonedx, gitlab, spdx};

pub(crate) fn run(settings: &Settings, command: &Arguments, printer: Printer) -> Result<Exit, Failure> {
    let build = super::named(settings, &command.build)?;
    let fixed = match command.form {
        BillFormat::Cyclonedx => None,
        BillFormat::Spdx => Some("`--as spdx` is SPDX 2.3"),
        BillFormat::Gitlab => Some("`--as gitlab` is 1.6"),
    };
    if let (Some(fixed), Some(version)) = (fixed, command.spec_version) {
        return Err(Failure::usage(format!(
            "`--spec-version {version}` is a version of CycloneDX, and {fixed}"
        ))
        .hint("leave one of the two out"));
    }
    let document = match command.form {
        BillFormat::Cyclonedx => cyclonedx(&build.record, command.spec_version.unwrap_or_default()),
        BillFormat::Spdx => spdx(&build.record),
        BillFormat::Gitlab => gitlab(&build.record),
    };
    let document = document.map_err(|error| Failure::unexpected(error.to_string()))?;
    let text = String::from_utf8(document).map_err(|error| Failure::unexpected(error.to_string()))?;
    printer.data(&text);
    Ok(exit::SUCCESS)
}
