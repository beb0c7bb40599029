//! What `kiln show` says of a build, whatever the form.

use kiln_audit::{Known, format_size};
use kiln_record::{ArtifactKind, Component, ImageRecord, Input, Record, counted};

/// What is said of something that has no record: what is not known of it, and what was read.
pub(super) fn read_facts(record: &Record, known: Known, lacks: &str) -> Vec<(String, String)> {
    let mut facts = vec![("not known:".to_owned(), lacks.to_owned())];
    if known == Known::Components {
        return facts;
    }
    let mut line = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
    if let Some(output) = record.archive() {
        line("file", &format!("{}  {}", output.file_name, format_size(output.size)));
        line("sha256", &output.digest.hex());
    }
    line("tree", &record.tree.to_string());
    line("unpacked", &unpacked(record));
    facts
}

fn unpacked(record: &Record) -> String {
    format!("{} in {}", format_size(record.unpacked_size), counted(record.files.len(), "files"))
}

/// What is said of a build as a whole, a key and a value each; the key of a line that goes on is empty.
pub(super) fn facts(record: &Record) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut line = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
    line("kind", record.kind.as_str());
    line("target", &format!("{} on {}", record.target.runtime, record.target.architecture.lambda()));
    if let Some(handler) = &record.handler {
        line("handler", handler);
    }
    for layer in &record.layers {
        line("layer", layer.as_str());
    }
    for change in &record.environment {
        line("in Lambda", &format!("{} = {}: {}", change.fact, change.value, change.reason));
    }
    // Of a layout the manifest will do: the others are named in it.
    for output in record.outputs.iter().take(1) {
        line("file", &format!("{}  {}", output.file_name, format_size(output.size)));
        line("sha256", &output.digest.hex());
        line("", &output.sha256_base64);
    }
    line("tree", &record.tree.to_string());
    line("unpacked", &unpacked(record));
    if let Some(image) = &record.image {
        image_lines(record.kind, image, &mut line);
    }
    for (code, level) in record.policy.iter().flat_map(|policy| &policy.levels) {
        line("policy", &format!("{code} = {level}"));
    }
    for one in record.policy.iter().flat_map(|policy| &policy.exceptions) {
        line("accepted", &format!("{} {}", one.accepts(), one.terms()));
    }
    line("epoch", &record.epoch.to_string());
    line("plan", &record.plan.to_string());
    facts
}

/// The components of a build, the largest first.
pub(super) fn by_size(record: &Record) -> Vec<&Component> {
    let mut components: Vec<&Component> = record.components.iter().collect();
    components.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.id.cmp(&b.id)));
    components
}

/// The part that an input plays, as the record writes it.
pub(super) fn role(input: &Input) -> String {
    let value = serde_json::to_value(input.role).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// How many paths with another mode or owner are shown, and how many that were removed.
const SHOWN_PATHS: usize = 10;

/// What a record says of an image.
fn image_lines(kind: ArtifactKind, image: &ImageRecord, line: &mut impl FnMut(&str, &str)) {
    line("image", &image.manifest.to_string());
    line("config", &image.config.to_string());
    let base = &image.base;
    line(
        "base",
        &format!("{}  {} in {}", base.reference, format_size(base.bytes), counted(base.files, "files")),
    );
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
        line(
            "",
            &format!(
                "and {} with another mode or owner, or removed: --format json",
                counted(more, "more paths")
            ),
        );
    }
}
