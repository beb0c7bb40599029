//! `kiln show`.

use crate::args::{Format, Show};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use crate::transformations;
use kiln_audit::{Known, format_size};
use kiln_publish::{InRegistry, RegistryIndex, is_registry_reference, look_up};
use kiln_record::{
    ArtifactKind, CheckOutcome, Component, Exit, ImageRecord, ImportRecord, Importable, Input, Record, exit,
};
use kiln_store::RunDetails;
use serde::Serialize;

pub(crate) fn run(settings: &Settings, command: &Show, printer: Printer) -> Result<Exit, Failure> {
    let build = match looked_up(settings, command)? {
        InRegistry::Build(build) => build,
        InRegistry::Index(index) => return show_index(settings, &index, printer),
    };
    if settings.format == Format::Json {
        let document = Document {
            known: Some(build.known).filter(|known| *known != Known::Record),
            record: &build.record,
            run: build.run.as_ref(),
        };
        printer.data(&super::document(&document)?);
        return Ok(exit::SUCCESS);
    }
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &build.label)));
    printer.data(&text(&build.record, build.known, command.files, printer));
    if let Some(run) = &build.run {
        printer.data(&measured(run, printer));
    }
    Ok(exit::SUCCESS)
}

/// The build that is asked for, or an index of a registry, if no platform of it is named.
fn looked_up(settings: &Settings, command: &Show) -> Result<InRegistry, Failure> {
    if !is_registry_reference(&command.build) {
        if let Some(platform) = command.platform {
            let message = format!("--platform {platform} chooses from an index in a registry");
            return Err(
                Failure::usage(message).hint("name the artifact that is this platform, such as web.arm64")
            );
        }
        return Ok(InRegistry::Build(Box::new(super::named(settings, &command.build)?)));
    }
    let (environment, text, platform) =
        (settings.environment.clone(), command.build.clone(), command.platform);
    signals::run(|_| Box::pin(async move { look_up(&environment, &text, platform, false).await }))
}

/// A build: its record, and what the latest run measured. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    /// How much is known of it, if that is not all: what a record would say besides is not to be believed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
    #[serde(flatten)]
    record: &'a Record,
    /// No part of the record: it differs from run to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a RunDetails>,
}

/// An index of a registry. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct IndexDocument<'a> {
    reference: &'a str,
    platforms: Vec<PlatformRow<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PlatformRow<'a> {
    /// As in OCI, such as `linux/arm64`.
    platform: &'a str,
    /// The digest of its manifest.
    manifest: String,
}

fn show_index(settings: &Settings, index: &RegistryIndex, printer: Printer) -> Result<Exit, Failure> {
    if settings.format == Format::Json {
        let rows = index.platforms.iter();
        let rows = rows.map(|(platform, digest)| PlatformRow { platform, manifest: digest.to_string() });
        let document = IndexDocument { reference: &index.reference, platforms: rows.collect() };
        printer.data(&super::document(&document)?);
        return Ok(exit::SUCCESS);
    }
    printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &index.reference)));
    printer.data(&format!(
        "  an index over {} platforms; --platform shows one of them\n",
        index.platforms.len()
    ));
    for (platform, digest) in &index.platforms {
        printer.data(&format!("  {platform:<16} {digest}\n"));
    }
    Ok(exit::SUCCESS)
}

fn text(record: &Record, known: Known, files: bool, printer: Printer) -> String {
    let mut text = String::new();
    if let Some(lacks) = known.lacks() {
        text.push_str(&format!("  {:<13} {lacks}\n", "not known:"));
        text.push_str(&read_lines(record, known));
        text.push_str(&components(
            record,
            &format!("\n{}\n", printer.on_stdout(Style::Strong, "components")),
        ));
        if files {
            for file in &record.files {
                text.push_str(&format!(
                    "  {:>9}  {}  {}\n",
                    format_size(file.entry.size()),
                    file.path,
                    file.component
                ));
            }
        }
        return text;
    }
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<13} {value}\n"));
    line("kind", record.kind.as_str());
    line("target", &format!("{} on {}", record.target.runtime, record.target.architecture.lambda()));
    if let Some(handler) = &record.handler {
        line("handler", handler);
    }
    for layer in &record.layers {
        line("layer", layer.as_str());
    }
    // Of a layout the manifest will do: the others are named in it.
    for output in record.outputs.iter().take(1) {
        line("file", &format!("{}  {}", output.file_name, format_size(output.size)));
        line("sha256", &output.digest.hex());
        line("", &output.sha256_base64);
    }
    line("tree", &record.tree.to_string());
    line("unpacked", &format!("{} in {} files", format_size(record.unpacked_size), record.files.len()));
    if let Some(image) = &record.image {
        image_lines(record.kind, image, &mut line);
    }
    line("epoch", &record.epoch.to_string());
    line("plan", &record.plan.to_string());

    let heading = |name: &str| format!("\n{}\n", printer.on_stdout(Style::Strong, name));
    text.push_str(&components(record, &heading("components")));
    if !record.transformations.is_empty() {
        text.push_str(&heading("changed by packing"));
        for rule in &record.transformations {
            text.push_str(&format!(
                "  {}\n",
                transformations::line(rule).unwrap_or_else(|| transformations::idle(rule))
            ));
            for (component, effect) in transformations::largest(rule) {
                text.push_str(&printer.on_stdout(Style::Faint, &format!("      {component}: {effect}\n")));
            }
            for (path, reason) in &rule.left {
                text.push_str(
                    &printer.on_stdout(Style::Faint, &format!("      left as it is: {path}: {reason}\n")),
                );
            }
        }
    }
    if !record.gaps.is_empty() {
        text.push_str(&heading("locked, but not in the artifact"));
        for gap in &record.gaps {
            text.push_str(&format!("  {:<40} {:<12} {}\n", gap.distribution, gap.version, gap.cause));
        }
    }
    text.push_str(&heading("inputs"));
    let role = |input: &Input| {
        let value = serde_json::to_value(input.role).ok();
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let width = record.inputs.iter().map(|input| role(input).len()).max().unwrap_or_default().max(13);
    for input in &record.inputs {
        text.push_str(&format!("  {:<width$} {}  {}\n", role(input), input.digest, input.name));
    }
    text.push_str(&heading("checks"));
    for check in &record.checks {
        let outcome = match &check.outcome {
            CheckOutcome::Ran { subjects, unit } => format!("ran on {subjects} {unit}"),
            CheckOutcome::NotChecked { reason } => {
                printer.on_stdout(Style::Warn, &format!("not checked: {reason}"))
            }
        };
        text.push_str(&format!("  {:<13} {outcome}\n", check.name));
    }
    if let Some(imports) = &record.imports {
        text.push_str(&import_lines(imports, record, &heading("imports")));
    }
    if !record.findings.is_empty() {
        text.push_str(&heading("findings"));
        for finding in &record.findings {
            text.push_str(&format!(
                "  {}[{}] {}: {}\n",
                finding.level, finding.code, finding.subject, finding.cause
            ));
        }
    }
    if files {
        text.push_str(&heading("files"));
        for file in &record.files {
            let mut by = String::new();
            for rule in record.transformations.iter().filter(|rule| rule.changed.contains_key(&file.path)) {
                by.push_str(&format!(", made by {}", rule.rule));
            }
            text.push_str(&format!(
                "  {:>9}  {}  {}\n",
                format_size(file.entry.size()),
                file.path,
                printer.on_stdout(Style::Faint, &format!("{}{by}", file.component))
            ));
        }
    }
    text
}

/// What was read of something that has no record.
fn read_lines(record: &Record, known: Known) -> String {
    if known == Known::Components {
        return String::new();
    }
    let mut text = String::new();
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<13} {value}\n"));
    if let Some(output) = record.archive() {
        line("file", &format!("{}  {}", output.file_name, format_size(output.size)));
        line("sha256", &output.digest.hex());
    }
    line("tree", &record.tree.to_string());
    line("unpacked", &format!("{} in {} files", format_size(record.unpacked_size), record.files.len()));
    text
}

/// The components, largest first.
fn components(record: &Record, heading: &str) -> String {
    let mut components: Vec<&Component> = record.components.iter().collect();
    components.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.id.cmp(&b.id)));
    let line = |component: &Component| {
        format!(
            "  {:>9}  {:<40} {}\n",
            format_size(component.bytes),
            component.id.as_str(),
            component.version.as_deref().unwrap_or_default()
        )
    };
    std::iter::once(heading.to_owned()).chain(components.into_iter().map(line)).collect()
}

/// How many paths with another mode or owner are shown, and how many that were removed.
const SHOWN_PATHS: usize = 10;

/// What a record says of an image.
fn image_lines(kind: ArtifactKind, image: &ImageRecord, line: &mut impl FnMut(&str, &str)) {
    line("image", &image.manifest.to_string());
    line("config", &image.config.to_string());
    let base = &image.base;
    line("base", &format!("{}  {} in {} files", base.reference, format_size(base.bytes), base.files));
    line("", &base.manifest.to_string());
    for layer in &image.layers {
        line(
            "image layer",
            &format!("{:<12}  {:>9}  {}", layer.role.as_str(), format_size(layer.size), layer.digest),
        );
    }
    line(
        "all",
        &format!("{} in a registry, {} unpacked", format_size(image.size), format_size(image.unpacked_size)),
    );
    let runs = &image.runs;
    let words: Vec<&str> = runs.entrypoint.iter().chain(&runs.command).map(String::as_str).collect();
    line("starts", &words.join(" "));
    line(
        "as",
        match (kind, &runs.user) {
            (ArtifactKind::LambdaImage, _) => "a user that Lambda chooses",
            (_, Some(user)) => user,
            (_, None) => "root",
        },
    );
    line("in", runs.working_dir.as_deref().unwrap_or("/"));
    for (name, value) in &runs.environment {
        line("environment", &format!("{name}={value}"));
    }
    for port in &runs.ports {
        line("port", port);
    }
    for volume in &runs.volumes {
        line("volume", volume);
    }
    if let Some(health) = &runs.health_check {
        line("health check", &format!("{}, every {} s", health.command.join(" "), health.interval));
    }
    for (path, of) in image.attributes.iter().take(SHOWN_PATHS) {
        line("mode", &format!("{:04o} of {}:{}  /{path}", of.mode, of.user, of.group));
    }
    for path in image.removed.iter().take(SHOWN_PATHS) {
        line("removed", &format!("/{path} of the base"));
    }
    let more =
        image.attributes.len().saturating_sub(SHOWN_PATHS) + image.removed.len().saturating_sub(SHOWN_PATHS);
    if more > 0 {
        line("", &format!("and {more} more paths with another mode or owner, or removed: --format json"));
    }
}

/// What the latest run measured; it is no part of the record.
fn measured(run: &RunDetails, printer: Printer) -> String {
    let Some(smoke) = &run.smoke else { return String::new() };
    let mut text = format!(
        "\n{}\n",
        printer.on_stdout(
            Style::Strong,
            &format!("measured on {} with {} (not part of the record)", run.at, smoke.client)
        )
    );
    let width = smoke.events.iter().map(|event| event.name.chars().count()).max().unwrap_or_default();
    let time = |us: Option<u64>| match us {
        #[expect(clippy::cast_precision_loss, reason = "minutes are few microseconds")]
        Some(us) => format!("{:.1} ms", us as f64 / 1000.0),
        None => "-".to_owned(),
    };
    for event in &smoke.events {
        let start = match (event.cold, event.init_us) {
            (true, init) => format!("cold, {} to import", time(init)),
            (false, _) => "warm".to_owned(),
        };
        let memory =
            event.peak_kib.map(|kib| format!(", {} at most", format_size(kib * 1024))).unwrap_or_default();
        text.push_str(&format!(
            "  {:<width$}  {} in {}, {start}{memory}\n",
            event.name,
            event.outcome,
            time(event.invoke_us)
        ));
        for line in &event.lines {
            text.push_str(&format!("      {line}\n"));
        }
    }
    text
}

/// What importing the artifact told that is no finding: data for whoever wants it smaller.
fn import_lines(imports: &ImportRecord, record: &Record, heading: &str) -> String {
    let mut lines = Vec::new();
    for (name, state) in &imports.distributions {
        if let Importable::No { reason } = state {
            lines.push(format!("  {name} cannot be imported: {reason}\n"));
        }
    }
    if !imports.never_imported.is_empty() {
        let bytes: u64 = record
            .components
            .iter()
            .filter(|component| imports.never_imported.contains(&component.name))
            .map(|component| component.bytes)
            .sum();
        lines.push(format!(
            "  {} of {} distributions ({}) are not loaded by the handler and own modules: {}\n",
            imports.never_imported.len(),
            imports.distributions.len(),
            format_size(bytes),
            imports.never_imported.join(", ")
        ));
    }
    if !imports.imported_lazily.is_empty() {
        lines.push(format!(
            "  of these, imported when a function is called: {}\n",
            imports.imported_lazily.join(", ")
        ));
    }
    if !imports.computed.is_empty() {
        lines.push(format!("  names computed at run time, not followed: {}\n", imports.computed.join(", ")));
    }
    if lines.is_empty() { String::new() } else { format!("{heading}{}", lines.concat()) }
}
