//! What manifests say about bases and about each other.

use crate::Problem;
use crate::base::{BaseDefinition, BaseLock, known_base, usual_base_name};
use crate::dockerfile::Dockerfile;
use crate::manifest::{BaseChoice, Manifest, TargetSection};
use crate::nearest::asked;
use kiln_record::{ArtifactKind, ArtifactName, BaseName, Platform, Runtime};
use std::collections::BTreeMap;

/// What there is to name.
pub(super) struct Known<'a> {
    pub(super) manifests: &'a BTreeMap<ArtifactName, Manifest>,
    /// Those whose manifest cannot be read are there, too; what is wrong with them is told of them.
    pub(super) broken: &'a BTreeMap<ArtifactName, Vec<Problem>>,
    pub(super) bases: &'a BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    pub(super) broken_bases: &'a BTreeMap<BaseName, Vec<Problem>>,
}

/// What a manifest names and is not there, is not what it must be, or is broken itself.
pub(super) fn references(
    manifest: &Manifest,
    recipe: Option<&Dockerfile>,
    known: &Known<'_>,
) -> Vec<Problem> {
    let Known { manifests, broken, bases, broken_bases } = known;
    let (mut problems, mut of_bases) = (Vec::new(), Vec::new());
    let mut problem = |span: std::ops::Range<usize>, message: String, help: String| {
        problems.push(Problem::in_file(&manifest.file, message).at(&manifest.text, span).help(help));
    };
    let build = manifest.python.as_ref().and_then(|python| python.build.as_ref()?.base.as_ref());
    let of_recipe = recipe.iter().flat_map(|recipe| &recipe.bases).map(|base| (Some(base), 0..0));
    let named = match &manifest.base {
        BaseChoice::Named { name, span } => (Some(name), span.clone()),
        BaseChoice::OfDockerfile(_) => (recipe.map(|recipe| &recipe.base), 0..0),
    };
    let of_steps = manifest.steps.iter().map(|step| (step.base.as_ref(), step.spans.base.clone()));
    for (base, span) in [named, (build, 0..0)]
        .into_iter()
        .chain(of_steps)
        .chain(of_recipe)
        .filter_map(|(base, span)| Some((base?, span)))
    {
        match bases.get(base) {
            None if broken_bases.contains_key(base) => of_bases.extend(broken_bases[base].clone()),
            None => {
                problem(span, format!("there is no base `{base}`"), no_base(manifest, base, bases));
            }
            Some((definition, _)) => {
                let platform = Platform { architecture: manifest.target.architecture };
                if !definition.platforms.contains(&platform) {
                    problem(
                        span,
                        format!("the base `{base}` has no {platform}, which the target asks for"),
                        format!(
                            "add it to `platforms` in {} and run kiln lock --base {base}",
                            definition.file
                        ),
                    );
                }
            }
        }
    }
    for (layer, span) in manifest.layers.iter().zip(&manifest.layer_spans) {
        match manifests.get(layer) {
            None if broken.contains_key(layer) => {}
            None => problem(span.clone(), format!("there is no artifact `{layer}`"), {
                let layers = manifests.values().filter(|other| other.kind == ArtifactKind::LambdaLayer);
                let meant = asked(layer.as_str(), layers.map(|other| other.name.as_str()));
                format!("{meant}add manifests/{layer}.toml with kind = \"lambda-layer\"")
            }),
            Some(other) if other.kind != ArtifactKind::LambdaLayer => {
                problem(
                    span.clone(),
                    format!("`{layer}` is a {}, not a lambda-layer", other.kind),
                    "name a layer".to_owned(),
                );
            }
            Some(other) if other.target != manifest.target => problem(
                span.clone(),
                format!(
                    "the layer `{layer}` is for {}, this function for {}",
                    in_words(&other.target),
                    in_words(&manifest.target)
                ),
                "use a layer for the same target".to_owned(),
            ),
            Some(_) => {}
        }
    }
    problems.extend(of_bases);
    problems
}

/// What helps where a base is not there: a base of the workspace for the same Python, the command that makes the one that is
/// named, or any other.
fn no_base(
    manifest: &Manifest,
    base: &BaseName,
    bases: &BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
) -> String {
    let is_its_own = matches!(&manifest.base, BaseChoice::Named { name, .. } if name == base);
    let runtime = manifest.target.runtime.as_ref().filter(|_| is_its_own);
    let fits = |definition: &BaseDefinition| {
        runtime.is_none_or(|runtime| runtime.python.is_none() || definition.python() == runtime.python)
    };
    let fitting: Vec<&str> =
        bases.values().filter(|(definition, _)| fits(definition)).map(|(one, _)| one.name.as_str()).collect();
    let there = match fitting.is_empty() {
        true => String::new(),
        false => {
            let meant = asked(base.as_str(), fitting.iter().copied());
            format!("{meant}use one of: {}, or ", fitting.join(", "))
        }
    };
    let makes = |name: &str, runtime: &Runtime| format!("kiln lock --base {name} --runtime {}", runtime.name);
    match runtime.filter(|runtime| known_base(runtime, &[]).is_some()) {
        // A name of another Python is a slip, or a runtime that was forgotten: nothing is made by it.
        Some(runtime) if says_other_python(base, runtime) => {
            let usual = usual_base_name(runtime);
            match fitting.is_empty() && !bases.keys().any(|name| name.as_str() == usual) {
                true => format!("make and pin the one of {}: {}", runtime.name, makes(&usual, runtime)),
                false => format!("{there}add images/{base}.toml"),
            }
        }
        Some(runtime) => format!("{there}make and pin it: {}", makes(base.as_str(), runtime)),
        None => format!("{there}add images/{base}.toml"),
    }
}

/// Whether the name of a base speaks of another Python than that of a runtime: `python-3.14`.
fn says_other_python(base: &BaseName, runtime: &Runtime) -> bool {
    let version = base.as_str().strip_prefix("python-").and_then(|version| version.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.is_some() && version != runtime.python
}

/// What a zip is for.
fn in_words(target: &TargetSection) -> String {
    let runtime = target.runtime.as_ref().map_or("no runtime", |runtime| runtime.name.as_str());
    format!("{runtime} on {}", target.architecture.lambda())
}
