//! `kiln sbom`: the bill of materials of a build in the form that its reader takes.

use crate::args::{BillFormat, Sbom as Arguments};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::{Settings, now};
use crate::variables::{self as var, Variables};
use kiln_audit::Known;
use kiln_publish::{Notice, notices};
use kiln_record::{Exit, exit};
use kiln_sbom::{GithubRun, SbomError, cyclonedx, github, gitlab, spdx, spdx3};

pub(crate) fn run(
    settings: &Settings,
    command: &Arguments,
    variables: &Variables,
    printer: Printer,
) -> Result<Exit, Failure> {
    let build = super::named(settings, &command.build)?;
    super::note_absent(&build, printer);
    if build.known == Known::Components {
        return Err(Failure::input(format!("{} is a list of components itself, and no build", build.label))
            .hint("name the archive, the folder or the record of the build that it is about"));
    }
    let fixed = match command.form {
        BillFormat::Cyclonedx => None,
        BillFormat::Spdx => Some("`--as spdx` is SPDX 2.3"),
        BillFormat::Spdx3 => Some("`--as spdx-3.0` is SPDX 3.0.1"),
        BillFormat::Gitlab => Some("`--as gitlab` is 1.6"),
        BillFormat::Github => Some("`--as github` is not CycloneDX"),
        BillFormat::Notice => Some("`--as notice` is a text"),
    };
    if let (Some(fixed), Some(version)) = (fixed, command.spec_version) {
        return Err(Failure::usage(format!(
            "`--spec-version {version}` is a version of CycloneDX, and {fixed}"
        ))
        .hint("leave one of the two out"));
    }
    let document = match command.form {
        BillFormat::Notice => {
            printer.data(&notice(build.record.artifact.as_str(), &notices(&build)?));
            return Ok(exit::SUCCESS);
        }
        BillFormat::Cyclonedx => cyclonedx(&build.record, command.spec_version.unwrap_or_default()),
        BillFormat::Spdx => spdx(&build.record),
        BillFormat::Spdx3 => spdx3(&build.record),
        BillFormat::Gitlab => gitlab(&build.record),
        BillFormat::Github => {
            let of_job = |name| of_job(variables, name);
            let job = format!("{} {}", of_job(var::GITHUB_WORKFLOW)?, of_job(var::GITHUB_JOB)?);
            let run = GithubRun {
                commit: of_job(var::GITHUB_SHA)?,
                reference: of_job(var::GITHUB_REF)?,
                run: of_job(var::GITHUB_RUN_ID)?,
                job: &job,
                time: now()?,
            };
            github(&build.record, &run)
        }
    };
    let document = document.map_err(|error| match error {
        SbomError::NoArchive { .. } => Failure::input(format!(
            "{}: a bill of materials is about a file, and this is what was in one",
            build.label
        ))
        .hint("name the archive that it was unpacked from")
        .hint(format!("what is in it: kiln show {}", command.build)),
        other => Failure::unexpected(other.to_string()),
    })?;
    let text = String::from_utf8(document).map_err(|error| Failure::unexpected(error.to_string()))?;
    printer.data(&text);
    Ok(exit::SUCCESS)
}

/// What GitHub Actions says of the job.
fn of_job<'a>(variables: &'a Variables, name: &str) -> Result<&'a str, Failure> {
    variables.get(name).ok_or_else(|| {
        Failure::usage(format!(
            "`--as github` is a snapshot of a commit by a job of GitHub Actions, and `{name}` is not set"
        ))
        .hint("run it in a job of GitHub Actions, which sets it")
    })
}

/// A text for people: each part with its licence and what it brings to be passed on.
fn notice(artifact: &str, parts: &[Notice]) -> String {
    let mut text = format!("{artifact} contains works of others under licences of their own.\n");
    for part in parts {
        let license = part.license.as_deref().unwrap_or("licence not stated as an SPDX expression");
        text.push_str(&format!("\n{}\n{} ({license})\n", "=".repeat(80), part.name));
        if part.texts.is_empty() {
            text.push_str("It brings no text of a licence.\n");
        }
        for (path, content) in &part.texts {
            text.push_str(&format!("\n--- {path}\n\n{}\n", content.trim_end()));
        }
    }
    text
}
