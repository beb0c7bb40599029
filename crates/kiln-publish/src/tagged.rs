//! All that a repository of a registry has under its tags, as records: a history of what was released.

use crate::PublishError;
use crate::pull::{InRegistry, look_up, pull_record};
use crate::repository::{connect, without_login};
use kiln_image::Reference;
use kiln_invocation::Environment;
use kiln_record::{Digest, Platform, Record, excerpt};
use std::collections::BTreeMap;
use std::path::Path;

/// The records of a repository.
#[derive(Clone, Debug, Default)]
pub struct Tagged {
    /// The builds, by the epochs of their records, and equal ones by their tags, in which numbers count as numbers.
    pub builds: Vec<TaggedBuild>,
    /// Tags that gave no record, each with the reason.
    pub unread: Vec<(String, String)>,
}

/// A build that tags of a repository name.
#[derive(Clone, Debug)]
pub struct TaggedBuild {
    /// Its tags, in order: a tag that moves names a build that another one names, too.
    pub tags: Vec<String>,
    /// `registry/repository@digest`.
    pub label: String,
    /// Its record.
    pub record: Record,
}

/// Whether a text can only mean a whole repository of a registry: it has a host, and neither tag nor digest. A path of which the first
/// folder is there is one that was mistyped, and nothing is asked of a server.
#[must_use]
pub fn is_registry_repository(text: &str) -> bool {
    let Some((first, _)) = text.split_once('/') else { return false };
    !Path::new(first).exists()
        && text.parse::<Reference>().is_ok_and(|found| found.tag().is_none() && found.digest().is_none())
}

/// Reads the record of each build that a repository has under a tag; of an index that of each platform. Each build is read once.
///
/// # Errors
/// If the registry cannot be asked, has no such repository, or has more than a thousand tags in it. A tag that gives no record is no
/// error: it is among what was not read.
pub async fn tagged_records(
    environment: &Environment,
    text: &str,
    plain_http: bool,
) -> Result<Tagged, PublishError> {
    let error = |reason: String| PublishError::Repository { text: without_login(text), reason };
    let reference = text.parse::<Reference>().map_err(|reason| error(reason.to_string()))?;
    let registry = connect(environment, &reference, plain_http).await?;
    registry.log_in(reference.repository(), false).await?;
    let tags = registry.tags(reference.repository()).await?;
    let tags = tags.ok_or_else(|| error("the registry has no such repository".to_owned()))?;
    let mut tags: Vec<String> = tags.into_iter().filter(|tag| !is_list_of_referrers(tag)).collect();
    tags.sort_by_cached_key(|tag| natural(tag));
    tags.dedup();
    let mut tagged = Tagged::default();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for tag in tags {
        match builds_of(environment, &format!("{text}:{tag}"), plain_http).await {
            Ok(builds) => {
                for (label, record) in builds {
                    let place = *known.entry(label.clone()).or_insert_with(|| {
                        tagged.builds.push(TaggedBuild { tags: Vec::new(), label, record });
                        tagged.builds.len() - 1
                    });
                    tagged.builds[place].tags.push(tag.clone());
                }
            }
            Err(error) => tagged.unread.push((excerpt(&tag), error.to_string())),
        }
    }
    tagged
        .builds
        .sort_by_cached_key(|build| (build.record.epoch, build.tags.first().map(|tag| natural(tag))));
    Ok(tagged)
}

/// What a tag names: one build, or one for each platform that kiln knows.
async fn builds_of(
    environment: &Environment,
    reference: &str,
    plain_http: bool,
) -> Result<Vec<(String, Record)>, PublishError> {
    let index = match look_up(environment, reference, None, plain_http).await? {
        InRegistry::Build(build) => return Ok(vec![(build.label, build.record)]),
        InRegistry::Index(index) => index,
    };
    let mut builds = Vec::new();
    // An index holds more than platforms: what a builder attests, for one.
    for platform in index.platforms.iter().filter_map(|(name, _)| name.parse::<Platform>().ok()) {
        let build = pull_record(environment, reference, Some(platform), plain_http).await?;
        builds.push((build.label, build.record));
    }
    match builds.is_empty() {
        false => Ok(builds),
        true => Err(PublishError::NotUsable {
            what: reference.to_owned(),
            reason: "it is an index without a platform that kiln knows".to_owned(),
        }),
    }
}

/// Whether a tag is the list of what refers to a manifest, in a registry without such lists (distribution specification, "Referrers Tag
/// Schema").
fn is_list_of_referrers(tag: &str) -> bool {
    tag.strip_prefix("sha256-").is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// A tag by which others can be ordered so that `v9` comes before `v10`: each run of digits by its length without zeros in front.
fn natural(tag: &str) -> (String, String) {
    let mut key = String::with_capacity(tag.len() * 2);
    let mut rest = tag;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (text, numbered) = rest.split_at(start);
        let end = numbered.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbered.len());
        let number = numbered[..end].trim_start_matches('0');
        key.push_str(text);
        // A tag has at most 128 characters.
        key.push_str(&format!("{:03}", number.len()));
        key.push_str(number);
        rest = &numbered[end..];
    }
    key.push_str(rest);
    (key, tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_tags_count_as_numbers() {
        let mut tags = ["v1.10", "v1.9", "v10", "v2", "main", "1", "v1.09", "v1.9-rc2"];
        tags.sort_by_cached_key(|tag| natural(tag));
        assert_eq!(tags, ["1", "main", "v1.09", "v1.9", "v1.9-rc2", "v1.10", "v2", "v10"]);
    }

    #[test]
    fn a_repository_is_told_from_a_tag_a_digest_and_a_path() {
        let digest = format!("registry.example/team/app@sha256:{}", "0".repeat(64));
        assert!(is_registry_repository("registry.example/team/app"));
        assert!(is_registry_repository("localhost:5000/app"));
        for other in ["registry.example/team/app:v1", &digest, "team/app", "app", "./dist", "../x/y", "a.b"] {
            assert!(!is_registry_repository(other), "{other}");
        }
        assert!(is_list_of_referrers(&format!("sha256-{}", "0".repeat(64))));
        assert!(!is_list_of_referrers("sha256-v1"));
    }
}
