//! The artifact's tree against what its base has at the same places.

use crate::CheckError;
use kiln_collect::{Collection, Part, Verdict};
use kiln_guest::{BaseImage, in_image, is_lambda_base};
use kiln_image::{ContentEntry, ImageContents, RUNTIME_CLIENT};
use kiln_plan::{ArtifactPlan, BaseKind};
use kiln_record::{ArtifactKind, Check, CheckName, Code, Entry, Finding, TreePath};

/// Judges what can be judged before anything runs.
///
/// # Errors
/// If a path has no place in an image.
pub fn against_base(
    plan: &ArtifactPlan,
    collection: &Collection,
    parts: &[Part],
    base: &BaseImage,
) -> Result<Verdict, CheckError> {
    let mut findings = Vec::new();
    let has_client = parts.iter().any(|part| part.component.name == RUNTIME_CLIENT);
    if plan.manifest.kind == ArtifactKind::LambdaImage && !is_lambda_base(base) && !has_client {
        findings.push(client_missing(plan));
    }
    let mount = plan.manifest.kind.mount().trim_start_matches('/');
    for path in collection.owners.keys() {
        let place = in_image(path, mount)?;
        findings.extend(collision(path, &place, &collection.owners[path].to_string(), base));
    }
    let mut checks =
        vec![Check::ran(CheckName::BasePaths, collection.owners.len(), "paths against the base")];
    checks.push(
        base.contents
            .package_check("packages of the base", &format!("the base {}", plan.base.definition.name)),
    );
    Ok(Verdict { findings, checks })
}

fn client_missing(plan: &ArtifactPlan) -> Finding {
    let lock = plan.manifest.python.as_ref().map(|python| python.lock.clone());
    let cause = format!(
        "the base {} has no Lambda runtime client, and {} does not bring `{RUNTIME_CLIENT}`: nothing would ask Lambda for events",
        plan.base.definition.name,
        lock.as_deref().unwrap_or("the manifest, which has no [python] section,")
    );
    let finding = Finding::new(Code::RuntimeClientMissing, RUNTIME_CLIENT, cause);
    let finding = match lock {
        Some(lock) => finding.remedy(format!("lock it: add `{RUNTIME_CLIENT}` to what {lock} is made from")),
        None => finding.remedy(format!("add a [python] section with a lock that has `{RUNTIME_CLIENT}`")),
    };
    match &plan.base.definition.kind {
        BaseKind::Debian(_) | BaseKind::Scratch => {
            finding.remedy("or use one of AWS's base images for Lambda, from their registry")
        }
        BaseKind::Registry(registry) => finding
            .detail(format!("{} has no /lambda-entrypoint.sh", registry.reference))
            .remedy("or use one of AWS's base images for Lambda"),
    }
}

/// What becomes of something in the base that lies where a path of the artifact goes.
fn collision(path: &TreePath, place: &TreePath, owner: &str, base: &BaseImage) -> Option<Finding> {
    let entries = &base.contents.entries;
    let deny = |at: &str, what: &str| {
        Finding::new(
            Code::PathCollision,
            path.as_str(),
            format!("`/{place}` of {owner} lies below `/{at}`, which is {what} in the base"),
        )
        .remedy("put it into another folder: see `into` under [source] and [python]")
    };
    for (end, _) in place.as_str().match_indices('/') {
        let folder = TreePath::new(&place.as_str()[..end]).ok()?;
        match entries.get(&folder) {
            None | Some(ContentEntry::Folder) => {}
            Some(ContentEntry::Symlink { target }) => {
                return Some(
                    deny(folder.as_str(), &format!("a link to `{target}`"))
                        .detail("unpacked there, the image would have a folder instead of the link"),
                );
            }
            Some(_) => return Some(deny(folder.as_str(), "a file")),
        }
    }
    match entries.get(place) {
        None => None,
        Some(ContentEntry::Folder) => Some(
            Finding::new(
                Code::PathCollision,
                path.as_str(),
                format!("`/{place}` of {owner} is a folder in the base, which would be gone with all that is in it"),
            )
            .remedy("rename it, or put it into another folder"),
        ),
        Some(_) => Some(
            Finding::new(
                Code::ReplacesBaseFile,
                path.as_str(),
                format!("`/{place}` of {owner} takes the place of the base's own"),
            )
            .remedy("leave it out where the base's will do, or except it in the policy with the reason"),
        ),
    }
}

/// Whether a link of the artifact leads to something that the base has.
pub(crate) fn leads_into_base(path: &TreePath, entry: &Entry, mount: &str, contents: &ImageContents) -> bool {
    let Entry::Symlink { target } = entry else { return false };
    let mount = mount.trim_start_matches('/');
    let Ok(place) = in_image(path, mount) else { return false };
    let target = match target.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("{}/{target}", place.parent()),
    };
    contents.resolve(&target).is_some()
}
