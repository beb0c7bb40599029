//! What a function finds where it is checked: the variables that Lambda sets.

use kiln_plan::ArtifactPlan;
use kiln_python::lambda_environment;
use kiln_record::{ArtifactKind, ImageRuns, Runtime};
use std::collections::BTreeMap;

/// Where a runtime looks for modules in layers, in order.
pub(crate) fn layer_paths(runtime: &Runtime) -> Vec<String> {
    let site_packages =
        runtime.python.map(|(major, minor)| format!("/opt/python/lib/python{major}.{minor}/site-packages"));
    site_packages.into_iter().chain(["/opt/python".to_owned()]).collect()
}

/// Whether Lambda gives it its environment: it does to functions and layers, and not to a service's image.
pub(crate) fn is_lambda(kind: ArtifactKind) -> bool {
    !matches!(kind, ArtifactKind::Image)
}

/// The variables of an image's config, then those that Lambda sets for a function in an image, then the manifest's.
pub(crate) fn environment_in_image(
    plan: &ArtifactPlan,
    runtime: &Runtime,
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
    let manifest = &plan.manifest;
    let mut environment = runs.environment.clone();
    if manifest.kind == ArtifactKind::LambdaImage {
        let mut lambda = lambda_environment(runtime, &manifest.name, manifest.handler.as_deref());
        lambda.retain(|name, _| !OF_RUNTIME.contains(&name.as_str()));
        environment.extend(lambda);
        if let Some(memory) = manifest.check.memory {
            environment.insert("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), memory.to_string());
        }
    }
    environment.extend(manifest.check.env.clone());
    environment
}

/// The variables that Lambda always sets and that code may look at while it is imported, then the manifest's.
pub(crate) fn environment(plan: &ArtifactPlan, runtime: &Runtime) -> BTreeMap<String, String> {
    let manifest = &plan.manifest;
    let mut environment = plan.base.definition.image.env.clone();
    environment.extend(lambda_environment(runtime, &manifest.name, manifest.handler.as_deref()));
    if let Some(memory) = manifest.check.memory {
        environment.insert("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), memory.to_string());
    }
    environment.extend(manifest.check.env.clone());
    environment
}
