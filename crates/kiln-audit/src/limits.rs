//! Lambda's size limits, and the tighter ones that a manifest sets.

use crate::quantity;
use kiln_record::{ArtifactKind, ArtifactName, Check, Code, Finding};

/// Largest zip, in bytes, that Lambda's API takes in a request: 50 MiB (AWS, "Lambda quotas"; `CodeSizeZipped` of
/// `GetAccountSettings`). A larger one must be put in S3 first.
pub const ZIP_UPLOAD_LIMIT: u64 = 52_428_800;

/// Largest sum, in bytes, of a function's unpacked files and all its layers' files: 250 MiB (AWS, "Lambda quotas";
/// `CodeSizeUnzipped` of `GetAccountSettings`). It cannot be raised.
pub const UNPACKED_LIMIT: u64 = 262_144_000;

/// What a manifest allows, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// For the zip.
    pub zip: Option<u64>,
    /// For the unpacked files, without layers.
    pub unpacked: Option<u64>,
}

/// Judges an artifact's sizes. `layers` are the unpacked sizes of the layers it is used with.
#[must_use]
pub fn check_limits(
    kind: ArtifactKind,
    zip: u64,
    unpacked: u64,
    layers: &[(ArtifactName, u64)],
    budget: &Budget,
) -> (Vec<Finding>, Check) {
    let mut findings = Vec::new();
    let mut checks = 2;
    if zip > ZIP_UPLOAD_LIMIT {
        findings.push(
            Finding::new(
                Code::ZipTooLarge,
                "zip",
                format!(
                    "the zip has {}, {} more than the {} that Lambda takes in a direct upload",
                    bytes(zip),
                    bytes(zip - ZIP_UPLOAD_LIMIT),
                    bytes(ZIP_UPLOAD_LIMIT)
                ),
            )
            .detail("a zip that is put in S3 first may be larger; only the unpacked limit holds for it")
            .remedy("make it smaller: exclude what the runtime or a layer provides, or move dependencies to a layer")
            .remedy("if you deploy through S3, set `zip-too-large` to `note` in the policy"),
        );
    }
    let layered = layers.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    let all = unpacked.saturating_add(layered);
    if all > UNPACKED_LIMIT {
        let what = match kind {
            ArtifactKind::LambdaZip => "function",
            ArtifactKind::LambdaLayer => "layer",
        };
        let with = if layers.is_empty() { "" } else { " with its layers" };
        let mut finding = Finding::new(
            Code::UnzippedTooLarge,
            "unpacked",
            format!(
                "the {what}{with} unpacks to {}, {} more than the {} that Lambda allows",
                bytes(all),
                bytes(all - UNPACKED_LIMIT),
                bytes(UNPACKED_LIMIT)
            ),
        )
        .detail(format!("the {what} itself: {}", bytes(unpacked)));
        for (layer, size) in layers {
            finding = finding.detail(format!("layer {layer}: {}", bytes(*size)));
        }
        if !layers.is_empty() {
            let rest = UNPACKED_LIMIT.saturating_sub(layered);
            finding =
                finding.detail(format!("with these layers, the {what} itself may have {}", bytes(rest)));
        }
        findings.push(
            finding
                .remedy(
                    "remove or replace what is largest, or exclude what is not needed when the function runs",
                )
                .remedy("Lambda does not raise this limit; a container image may have 10 GB"),
        );
    }
    for (what, size, allowed, key) in [
        ("the zip takes", zip, budget.zip, "zip"),
        ("the unpacked files take", unpacked, budget.unpacked, "unpacked"),
    ] {
        let Some(allowed) = allowed else { continue };
        checks += 1;
        if size > allowed {
            findings.push(
                Finding::new(
                    Code::BudgetExceeded,
                    key,
                    format!(
                        "{what} {}, {} more than the manifest's {}",
                        bytes(size),
                        bytes(size - allowed),
                        bytes(allowed)
                    ),
                )
                .remedy("leave out what is not needed; `kiln show` tells what the last build had")
                .remedy(format!("or raise the budget `{key}` in the manifest, with the reviewer's consent")),
            );
        }
    }
    (findings, Check::ran("limits", checks, "limits"))
}

fn bytes(n: u64) -> String {
    format!("{} bytes ({})", quantity::grouped(n), quantity::binary(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(zip: u64, unpacked: u64, layer: u64, budget: Budget) -> Vec<Code> {
        let layers = [("tools-layer".parse().unwrap(), layer)];
        let (findings, check) = check_limits(ArtifactKind::LambdaZip, zip, unpacked, &layers, &budget);
        assert_eq!(check.name, "limits");
        findings.iter().map(|f| f.code).collect()
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        assert_eq!(codes(ZIP_UPLOAD_LIMIT, UNPACKED_LIMIT, 0, Budget::default()), []);
        assert_eq!(codes(ZIP_UPLOAD_LIMIT + 1, 1, 0, Budget::default()), [Code::ZipTooLarge]);
        assert_eq!(codes(1, UNPACKED_LIMIT, 1, Budget::default()), [Code::UnzippedTooLarge]);
        assert_eq!(codes(1, u64::MAX, u64::MAX, Budget::default()), [Code::UnzippedTooLarge]);
    }

    #[test]
    fn budgets_are_the_manifests() {
        let budget = Budget { zip: Some(10), unpacked: Some(100) };
        assert_eq!(codes(10, 100, 500, budget), []);
        assert_eq!(codes(11, 101, 0, budget), [Code::BudgetExceeded, Code::BudgetExceeded]);
    }

    #[test]
    fn each_layers_share_is_told() {
        let layers = [("powertools-layer".parse().unwrap(), 200_000_000)];
        let (findings, _) =
            check_limits(ArtifactKind::LambdaZip, 1, 100_000_000, &layers, &Budget::default());
        assert!(findings[0].detail.iter().any(|d| d.contains("powertools-layer: 200,000,000 bytes")));
        assert!(findings[0].detail.iter().any(|d| d.contains("may have 62,144,000 bytes")), "{findings:?}");
    }
}
