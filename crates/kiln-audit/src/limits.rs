//! Lambda's size limits, and the tighter ones that a manifest sets.

use crate::quantity;
use kiln_record::{ArtifactKind, ArtifactName, Check, CheckName, Code, Finding};

/// Largest zip, in bytes, that Lambda's API takes in a request: 50 MiB (AWS, "Lambda quotas"; `CodeSizeZipped` of
/// `GetAccountSettings`). A larger one must be put in S3 first.
pub const ZIP_UPLOAD_LIMIT: u64 = 52_428_800;

/// Largest sum, in bytes, of a function's unpacked files and all its layers' files: 250 MiB (AWS, "Lambda quotas";
/// `CodeSizeUnzipped` of `GetAccountSettings`). It cannot be raised.
pub const UNPACKED_LIMIT: u64 = 262_144_000;

/// Largest sum, in bytes, of the unpacked layers of a function's image: 10 GiB (AWS, "Lambda quotas": "container image code
/// package size", uncompressed, all layers included).
pub const IMAGE_LIMIT: u64 = 10 << 30;

/// What a manifest allows, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// For the zip.
    pub zip: Option<u64>,
    /// For the unpacked files, without layers and without the base of an image.
    pub unpacked: Option<u64>,
    /// For all layers of an image as a registry keeps them.
    pub image: Option<u64>,
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
        let what = if kind == ArtifactKind::LambdaLayer { "layer" } else { "function" };
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
    let budgets = [
        ("the zip takes", zip, budget.zip, "zip"),
        ("the unpacked files take", unpacked, budget.unpacked, "unpacked"),
    ];
    for (what, size, allowed, key) in budgets {
        let Some(allowed) = allowed else { continue };
        checks += 1;
        findings.extend(over_budget(what, size, allowed, key));
    }
    (findings, Check::ran(CheckName::Limits, checks, "limits"))
}

/// The sizes of an image, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSizes {
    /// All layers as a registry keeps them, those of the base included.
    pub layers: u64,
    /// The files of the base.
    pub base: u64,
    /// The artifact's own files.
    pub own: u64,
}

/// Judges the sizes of an image.
#[must_use]
pub fn check_image_limits(kind: ArtifactKind, sizes: &ImageSizes, budget: &Budget) -> (Vec<Finding>, Check) {
    let mut findings = Vec::new();
    let mut checks = 0;
    if kind == ArtifactKind::LambdaImage {
        checks += 1;
        let all = sizes.base.saturating_add(sizes.own);
        if all > IMAGE_LIMIT {
            findings.push(
                Finding::new(
                    Code::ImageTooLarge,
                    "image",
                    format!(
                        "the image unpacks to {}, {} more than the {} that Lambda allows",
                        bytes(all),
                        bytes(all - IMAGE_LIMIT),
                        bytes(IMAGE_LIMIT)
                    ),
                )
                .detail(format!("the base: {}", bytes(sizes.base)))
                .detail(format!("the function itself: {}", bytes(sizes.own)))
                .remedy("use a smaller base, or leave out what is not needed when the function runs")
                .remedy("what is only read can be fetched at the start, or mounted from EFS"),
            );
        }
    }
    let budgets = [
        ("all layers take", sizes.layers, budget.image, "image"),
        ("the unpacked files, without the base, take", sizes.own, budget.unpacked, "unpacked"),
    ];
    for (what, size, allowed, key) in budgets {
        let Some(allowed) = allowed else { continue };
        checks += 1;
        findings.extend(over_budget(what, size, allowed, key));
    }
    let check = match checks {
        0 => {
            Check::not_checked(CheckName::Limits, "the manifest has no [budget], and nothing limits an image")
        }
        checks => Check::ran(CheckName::Limits, checks, "limits"),
    };
    (findings, check)
}

fn over_budget(what: &str, size: u64, allowed: u64, key: &str) -> Option<Finding> {
    let over = size.checked_sub(allowed).filter(|over| *over > 0)?;
    Some(
        Finding::new(
            Code::BudgetExceeded,
            key,
            format!("{what} {}, {} more than the manifest's {}", bytes(size), bytes(over), bytes(allowed)),
        )
        .remedy("leave out what is not needed; `kiln show` tells what the last build had")
        .remedy(format!("or raise the budget `{key}` in the manifest, with the reviewer's consent")),
    )
}

fn bytes(n: u64) -> String {
    format!("{} bytes ({})", quantity::grouped(n), quantity::binary(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_counts_with_its_base_for_lambda_and_alone_for_budgets() {
        let codes = |kind, sizes: ImageSizes, budget: Budget| -> Vec<(Code, String)> {
            let (findings, _) = check_image_limits(kind, &sizes, &budget);
            findings.into_iter().map(|finding| (finding.code, finding.subject)).collect()
        };
        let none = Budget::default();
        let full = ImageSizes { layers: 1, base: 100, own: IMAGE_LIMIT - 100 };
        assert_eq!(codes(ArtifactKind::LambdaImage, full, none), []);
        let over = ImageSizes { own: full.own + 1, ..full };
        let found = codes(ArtifactKind::LambdaImage, over, none);
        assert_eq!(found, [(Code::ImageTooLarge, "image".to_owned())]);
        assert_eq!(codes(ArtifactKind::Image, over, none), [], "nothing limits a service");
        let small = ImageSizes { layers: 11, base: 1000, own: 6 };
        let budget = Budget { image: Some(10), unpacked: Some(6), zip: None };
        let found = codes(ArtifactKind::Image, small, budget);
        assert_eq!(found, [(Code::BudgetExceeded, "image".to_owned())]);
        let check = check_image_limits(ArtifactKind::Image, &small, &none).1;
        assert!(matches!(check.outcome, kiln_record::CheckOutcome::NotChecked { .. }), "{check:?}");
    }

    fn codes(zip: u64, unpacked: u64, layer: u64, budget: Budget) -> Vec<Code> {
        let layers = [("tools-layer".parse().unwrap(), layer)];
        let (findings, check) = check_limits(ArtifactKind::LambdaZip, zip, unpacked, &layers, &budget);
        assert_eq!(check.name, CheckName::Limits);
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
        let budget = Budget { zip: Some(10), unpacked: Some(100), image: None };
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
