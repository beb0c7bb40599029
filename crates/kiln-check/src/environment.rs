//! What a function finds where it is checked: the variables that Lambda sets.

use kiln_plan::{Manifest, PinnedBase};
use kiln_record::{ArtifactKind, Environment, ImageRuns};
use std::collections::BTreeMap;

/// Where modules are looked for in layers, in order.
pub(crate) fn layer_paths(lambda: &Environment) -> Vec<String> {
    lambda.search_path().iter().filter(|path| path.starts_with("/opt/")).cloned().collect()
}

/// Whether Lambda gives it its environment: it does to functions and layers, and not to a service's image.
pub(crate) fn is_lambda(kind: ArtifactKind) -> bool {
    !matches!(kind, ArtifactKind::Image)
}

/// The variables of an image's config, then those that Lambda sets for a function in an image, then the manifest's.
pub(crate) fn environment_in_image(
    manifest: &Manifest,
    lambda: &Environment,
    runs: &ImageRuns,
) -> BTreeMap<String, String> {
    // Those describe a runtime that an image brings along itself, and its base says them where it has one.
    const OF_RUNTIME: [&str; 6] = [
        "AWS_EXECUTION_ENV",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "LD_LIBRARY_PATH",
        "PATH",
        "_HANDLER",
    ];
    let mut environment = runs.environment.clone();
    if manifest.kind == ArtifactKind::LambdaImage {
        let mut own = variables(manifest, lambda);
        own.retain(|name, _| !OF_RUNTIME.contains(&name.as_str()));
        environment.extend(own);
    }
    environment.extend(manifest.check.env.clone());
    environment
}

/// The variables that Lambda always sets and that code may look at while it is imported, then the manifest's.
pub(crate) fn environment(
    manifest: &Manifest,
    base: &PinnedBase,
    lambda: &Environment,
) -> BTreeMap<String, String> {
    let mut environment = base.definition.image.env.clone();
    environment.extend(variables(manifest, lambda));
    environment.extend(manifest.check.env.clone());
    environment
}

fn variables(manifest: &Manifest, lambda: &Environment) -> BTreeMap<String, String> {
    lambda.variables(&manifest.name, manifest.handler.as_deref(), manifest.check.memory)
}
