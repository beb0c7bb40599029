//! How an image is started: what its base says, what Lambda expects, and what the manifest says over both.

use kiln_collect::Collection;
use kiln_guest::{BaseImage, is_lambda_base};
use kiln_image::{LAMBDA_ENTRYPOINT, RUNTIME_CLIENT};
use kiln_plan::ArtifactPlan;
use kiln_record::{ArtifactKind, Ecosystem, ImageRuns};

/// The whole of it.
pub(super) fn runs(plan: &ArtifactPlan, collection: &Collection, base: &BaseImage) -> ImageRuns {
    let manifest = &plan.manifest;
    let mut runs = base.config.runs.clone();
    let Some(image) = &manifest.image else { return runs };
    runs.labels.extend(image.labels.clone());
    match manifest.kind {
        ArtifactKind::LambdaImage => {
            let handler = manifest.handler.clone().unwrap_or_default();
            if !is_lambda_base(base) {
                let python = plan.base.definition.image.python.clone();
                runs.entrypoint = vec![python, "-m".to_owned(), RUNTIME_CLIENT.to_owned()];
            } else if runs.entrypoint.is_empty() {
                runs.entrypoint = vec![LAMBDA_ENTRYPOINT.to_owned()];
            }
            runs.command = vec![handler];
            // The client looks for the handler in the folder that it starts in.
            runs.working_dir = Some(manifest.kind.mount().to_owned());
            runs.health_check = None;
        }
        _ => {
            if let Some(entrypoint) = &image.entrypoint {
                runs.entrypoint.clone_from(entrypoint);
                // Arguments of the base are for the base's program.
                runs.command = Vec::new();
            }
            if let Some(command) = &image.command {
                runs.command.clone_from(command);
            }
            if !manifest.sources.is_empty() {
                runs.working_dir = Some(format!("/{}", manifest.source_folder().unwrap_or_default()));
            }
            runs.working_dir = image.working_dir.clone().or(runs.working_dir);
            runs.user = image.user.clone().or(runs.user);
            runs.stop_signal = image.stop_signal.clone().or(runs.stop_signal);
            runs.ports.extend(image.ports.iter().cloned());
            runs.volumes.extend(image.volumes.iter().cloned());
            runs.health_check = image.health_check.clone().or(runs.health_check);
            if collection.owners.values().any(|owner| owner.ecosystem() == Ecosystem::Python) {
                let folder = format!("/{}", manifest.python_folder().unwrap_or_default());
                let path = match runs.environment.get("PYTHONPATH") {
                    Some(path) if !path.is_empty() => format!("{folder}:{path}"),
                    _ => folder,
                };
                runs.environment.insert("PYTHONPATH".to_owned(), path);
            }
        }
    }
    runs.environment.extend(image.environment.clone());
    runs
}
