//! Images from a registry: always by digest, and checked.

use super::images::stream_error;
use super::{Docker, causes};
use crate::image::{check_reference, pinned_digest};
use crate::{Credentials, EngineError, ImageInfo, PullProgress};
use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use kiln_record::Digest;
use std::time::Duration;

impl Docker {
    /// See [`crate::Engine::pull`].
    pub(crate) async fn pull(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
        progress: impl Fn(PullProgress) + Send + Sync,
    ) -> Result<ImageInfo, EngineError> {
        let expected = pinned_digest(reference)?;
        // A pull asks the registry even for what is there; without this, an image could not be used offline.
        if let Some(image) = self.image(reference).await?
            && holds(&image, expected)
        {
            return Ok(image);
        }
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        let credentials = credentials.map(DockerCredentials::from);
        let mut steps = Box::pin(self.shared.transfers.create_image(Some(options), None, credentials));
        let most = self.shared.silence * PULL_SILENCES;
        let silent = |_| EngineError::PullFailed { reference: reference.to_owned(), why: silent_for(most) };
        while let Some(step) = tokio::time::timeout(most, steps.next()).await.map_err(silent)? {
            let step = step.map_err(|e| self.pull_failed(reference, e))?;
            let bytes = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
            let detail = step.progress_detail.unwrap_or_default();
            progress(PullProgress {
                layer: step.id.unwrap_or_default(),
                status: step.status.unwrap_or_default(),
                current: bytes(detail.current),
                total: bytes(detail.total),
            });
        }
        let Some(image) = self.image(reference).await? else {
            return Err(EngineError::PullFailed {
                reference: reference.to_owned(),
                why: "the engine reported success, but does not have the image".to_owned(),
            });
        };
        if holds(&image, expected) {
            return Ok(image);
        }
        let found = if image.repo_digests.is_empty() {
            "no digest".to_owned()
        } else {
            image.repo_digests.join(", ")
        };
        Err(EngineError::DigestMismatch { reference: reference.to_owned(), expected, found })
    }

    /// See [`crate::Engine::resolve_digest`].
    pub(crate) async fn resolve_digest(
        &self,
        reference: &str,
        credentials: Option<Credentials>,
    ) -> Result<(Digest, String), EngineError> {
        check_reference(reference)?;
        let failed = |why: String| EngineError::ResolveFailed { reference: reference.to_owned(), why };
        if self.shared.is_podman() {
            // It has no question for that. Whoever reads the document holds it against the digest.
            return match pinned_digest(reference) {
                Ok(digest) => Ok((digest, String::new())),
                Err(_) => Err(failed(
                    "Podman does not tell what a tag names; add the digest to the reference (@sha256:…), or pin it where \
                     there is a Docker"
                        .to_owned(),
                )),
            };
        }
        let credentials = credentials.map(DockerCredentials::from);
        let most = self.shared.silence * ASK_SILENCES;
        let answer = self.shared.client.inspect_registry_image(reference, credentials);
        let answer = tokio::time::timeout(most, answer).await.map_err(|_| failed(silent_for(most)))?;
        let descriptor = match answer {
            Ok(answer) => answer.descriptor,
            Err(error) => {
                let why = stream_error(&error);
                return Err(failed(why.map_or_else(|| causes(&error), |why| explained(why, ABSENT_TAG))));
            }
        };
        let digest = descriptor.digest.ok_or_else(|| failed("the registry names no digest".to_owned()))?;
        let digest = digest.parse().map_err(|e: kiln_record::DigestError| failed(e.to_string()))?;
        Ok((digest, descriptor.media_type.unwrap_or_default()))
    }

    fn pull_failed(&self, reference: &str, error: bollard::errors::Error) -> EngineError {
        match stream_error(&error) {
            Some(why) => EngineError::PullFailed {
                reference: reference.to_owned(),
                why: explained(why, ABSENT_DIGEST),
            },
            None => match self.failed("pull", error) {
                EngineError::Broken { why, .. } => {
                    EngineError::PullFailed { reference: reference.to_owned(), why }
                }
                other => other,
            },
        }
    }
}

fn holds(image: &ImageInfo, digest: Digest) -> bool {
    let suffix = format!("@{digest}");
    image.repo_digests.iter().any(|known| known.ends_with(&suffix))
}

/// How many times the silence of a server the engine may take to say what a tag names: it asks for a token, too.
const ASK_SILENCES: u32 = 2;
/// The same for a pull. The engine checks and unpacks large layers without saying a word.
const PULL_SILENCES: u32 = 6;

fn silent_for(time: Duration) -> String {
    format!(
        "nothing was heard of the registry for {} s: it is silent, or cannot be reached from the engine; KILN_SILENCE allows more",
        time.as_secs()
    )
}

const ABSENT_DIGEST: &str = "; the registry does not have it (any more): pin again with `kiln lock --base`";
const ABSENT_TAG: &str = "; the registry does not have it: check the name and the tag";

/// The engine's words, followed by what to do about the usual causes; `absent` is for what the registry does not have.
fn explained(why: &str, absent: &'static str) -> String {
    let lower = why.to_lowercase();
    let advice =
        if lower.contains("unauthorized") || lower.contains("no basic auth") || lower.contains("denied") {
            "; log in with `docker login`, or check that the name is right"
        } else if lower.contains("manifest unknown") || lower.contains("not found") {
            absent
        } else if lower.contains("verification failed") || lower.contains("digest") {
            "; the registry serves other bytes than the digest names: do not use it before the cause is known"
        } else if lower.contains("dial tcp") || lower.contains("timeout") || lower.contains("no such host") {
            "; the registry cannot be reached from the engine"
        } else if lower.contains("server gave http response") {
            "; the registry speaks plain HTTP: the engine must list it under insecure-registries"
        } else {
            ""
        };
    format!("{}{advice}", why.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_causes_come_with_advice() {
        let told = |why| explained(why, ABSENT_DIGEST);
        assert!(told("unauthorized: authentication required").contains("docker login"));
        assert!(told("manifest for x not found: manifest unknown").contains("kiln lock --base"));
        assert_eq!(told("odd\n"), "odd");
    }
}
