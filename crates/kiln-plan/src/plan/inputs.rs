//! Every input of an artifact that is known before it is built.

use super::digest::{manifest_digest, value_digest};
use super::parts::Parts;
use super::read::PlanInputs;
use crate::base::PinnedBase;
use crate::manifest::Manifest;
use crate::settings::{NamedIndex, PolicySection};
use crate::tools_lock::CrateArchive;
use kiln_record::{ComponentStatement, Digest, Input, InputRole, Organization, Target};

/// What the workspace states that bears on an artifact.
pub(super) struct Stated<'a> {
    pub(super) policy: &'a PolicySection,
    pub(super) indexes: &'a [NamedIndex],
    pub(super) organization: Option<&'a Organization>,
    pub(super) components: &'a [ComponentStatement],
    pub(super) crates: &'a [CrateArchive],
}

/// Lists them, sorted, each once.
pub(super) fn inputs(
    manifest: &Manifest,
    target: &Target,
    read: &PlanInputs,
    parts: &Parts,
    stated: Stated<'_>,
) -> Vec<Input> {
    let Stated { policy, indexes, organization, components, crates } = stated;
    let input = |role, name: &str, digest: &Digest| Input { role, name: name.to_owned(), digest: *digest };
    let file = |role| move |(name, digest): &(String, Digest)| input(role, name, digest);
    let base = |role, base: &PinnedBase| {
        input(role, &format!("{} {}", base.definition.name, parts.platform), &base.lock.manifest)
    };

    let mut inputs = vec![
        input(InputRole::Manifest, &manifest.file, &manifest_digest(manifest, target)),
        input(InputRole::Settings, "policy", &value_digest(policy)),
        base(InputRole::Base, &parts.base),
    ];
    inputs.extend(organization.map(|one| input(InputRole::Settings, "organization", &value_digest(one))));
    if !components.is_empty() {
        inputs.push(input(InputRole::Settings, "components", &value_digest(&components)));
    }
    if !crates.is_empty() {
        inputs.push(input(InputRole::Settings, "crates", &value_digest(&crates)));
    }
    if manifest.python.is_some() && !indexes.is_empty() {
        // Which name is bound to which index decides findings; where an index is decides nothing.
        let stated: Vec<_> = indexes.iter().map(NamedIndex::stated).collect();
        inputs.push(input(InputRole::Settings, "indexes", &value_digest(&stated)));
    }
    if let (Some(recipe), Some(section)) = (&parts.recipe, manifest.dockerfile()) {
        inputs.push(input(InputRole::Dockerfile, &section.path, &recipe.text));
        let context = match section.context.as_str() {
            "." => ".".to_owned(),
            folder => format!("{folder}/"),
        };
        inputs.extend(read.context.iter().map(|digest| input(InputRole::Source, &context, digest)));
        let others = parts.recipe_bases().filter(|other| other.definition.name != parts.base.definition.name);
        inputs.extend(others.map(|other| base(InputRole::BuildBase, other)));
    }
    inputs.extend(read.lock.iter().chain(&read.included).map(file(InputRole::Lock)));
    inputs.extend(read.project.iter().map(file(InputRole::Project)));
    if let Some(build) = &parts.build {
        inputs.push(base(InputRole::BuildBase, &build.base));
        inputs.extend(read.build_locks.iter().map(file(InputRole::BuildLock)));
        inputs.extend(read.build_projects.iter().map(file(InputRole::Project)));
    }
    inputs.extend(read.local.iter().map(file(InputRole::Source)));
    inputs.extend(read.check_files.iter().map(file(InputRole::Check)));
    let sources = manifest.sources.iter().zip(&read.sources);
    inputs.extend(sources.map(|(source, digest)| input(InputRole::Source, &source.path, digest)));
    inputs.extend(parts.upstreams.iter().map(|one| input(InputRole::Upstream, &one.name, &one.tree)));
    inputs.extend(parts.steps.iter().map(|step| base(InputRole::StepBase, &step.base)));
    inputs.extend(
        read.step_files
            .iter()
            .map(|(step, path, digest)| input(InputRole::StepSource, &format!("{step}: {path}"), digest)),
    );
    inputs.sort();
    inputs.dedup();
    inputs
}
