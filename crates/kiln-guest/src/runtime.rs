//! The runtime that an artifact is judged against.

use crate::{BaseImage, Bases, GuestError, finds, is_lambda_base};
use kiln_plan::{Manifest, PinnedBase};
use kiln_record::{DistributionName, OperatingSystem, Provided, Runtime};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the runtime client is in AWS's images.
const CLIENT_FOLDER: &str = "var/runtime";

/// The runtime that an artifact is judged against: the one that its manifest states, or what the base of an image is,
/// which has its system inside.
///
/// # Errors
/// If the base cannot be had or asked.
pub async fn target_runtime(
    bases: &Bases,
    manifest: &Manifest,
    base: &PinnedBase,
) -> Result<Arc<Runtime>, GuestError> {
    match &manifest.target.runtime {
        Some(stated) => Ok(Arc::clone(stated)),
        None => runtime_of(bases, base).await,
    }
}

/// Native code of what a Dockerfile made is judged against what that has itself: libraries, and the C library above all.
#[must_use]
pub fn with_system_of(runtime: Arc<Runtime>, made: Option<&BaseImage>) -> Arc<Runtime> {
    let Some(made) = made else { return runtime };
    Arc::new(Runtime { system: system(made, &runtime.name, None), ..Runtime::clone(&runtime) })
}

/// What native code finds in an image.
fn system(image: &BaseImage, name: &str, glibc: Option<(u32, u32)>) -> OperatingSystem {
    let contents = &image.contents;
    let glibc = glibc.or_else(|| {
        contents.interfaces.get("GLIBC").and_then(|version| {
            let (major, rest) = version.split_once('.')?;
            Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
        })
    });
    let searched = image.config.runs.environment.get("LD_LIBRARY_PATH").map_or("", String::as_str);
    let searched: Vec<&str> = searched.split(':').filter(|folder| !folder.is_empty()).collect();
    let mut interfaces = contents.interfaces.clone();
    interfaces.remove("GLIBC");
    OperatingSystem {
        name: contents.system.clone().unwrap_or_else(|| format!("the base {name}")),
        glibc: glibc.unwrap_or((0, 0)),
        interfaces,
        libraries: contents.libraries(&searched).into_iter().collect(),
        loaders: contents.loaders(),
    }
}

/// The runtime that a base is: what native code finds there, which Python, which distributions.
async fn runtime_of(bases: &Bases, base: &PinnedBase) -> Result<Arc<Runtime>, GuestError> {
    let image = bases.base_image(base).await?;
    let environment = &image.config.runs.environment;
    let python = &base.definition.image.python;
    let interpreter = match finds(&image.contents, python, environment.get("PATH")) {
        true => Some(bases.interpreter(base).await?),
        false => None,
    };
    let name = base.definition.name.to_string();
    Ok(Arc::new(Runtime {
        system: system(&image, &name, interpreter.as_ref().and_then(|interpreter| interpreter.glibc)),
        name,
        python: interpreter.as_ref().map(|interpreter| interpreter.python()),
        // What an image is built on is what it runs on.
        python_patch: interpreter.as_ref().and_then(|interpreter| interpreter.patch()),
        provides: interpreter
            .iter()
            .flat_map(|interpreter| interpreter.distributions.iter().map(|(name, _)| name.as_str()))
            .chain(beside_client(&image))
            .filter_map(|name| name.parse::<DistributionName>().ok())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|name| Provided { distribution: name.to_string(), modules: Vec::new() })
            .collect(),
    }))
}

/// The distributions in the folder of AWS's runtime client, which only that client searches: the SDK is there until Python
/// 3.10. From 3.11 it is among the interpreter's own, which says so itself (AWS documentation, "Python base images for
/// Lambda", "search path").
fn beside_client(image: &BaseImage) -> impl Iterator<Item = &str> {
    let entries = image.contents.entries.keys().filter(|_| is_lambda_base(image));
    entries
        .filter(|path| path.parent() == CLIENT_FOLDER)
        .filter_map(|path| path.file_name().strip_suffix(".dist-info")?.split('-').next())
}
