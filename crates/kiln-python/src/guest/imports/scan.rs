//! What the imports of an artifact's own code mean, as reading its files told.

use super::check::{ImportReport, UnresolvedImport};
use kiln_record::{Check, CheckName, Code, DistributionName, Finding, Gap, Level};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the distributions around the code.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What is in the artifact, with the modules that it offers (as [`Wheel::top_level`](crate::Wheel) has
    /// them).
    pub installed: BTreeMap<DistributionName, Vec<String>>,
    /// What the project asks for itself; `None` where its lock does not tell that from what others require.
    pub declared: Option<BTreeSet<DistributionName>>,
    /// What the lock has and the artifact has not.
    pub gaps: Vec<Gap>,
}

/// Modules of distributions whose name says nothing of them, for those that people look for most.
const ODD_NAMES: &[(&str, &str)] = &[
    ("attr", "attrs"),
    ("bs4", "beautifulsoup4"),
    ("Crypto", "pycryptodome"),
    ("cv2", "opencv-python-headless"),
    ("dateutil", "python-dateutil"),
    ("docx", "python-docx"),
    ("dotenv", "python-dotenv"),
    ("fitz", "pymupdf"),
    ("git", "gitpython"),
    ("google.protobuf", "protobuf"),
    ("grpc", "grpcio"),
    ("jose", "python-jose"),
    ("jwt", "pyjwt"),
    ("magic", "python-magic"),
    ("markdown_it", "markdown-it-py"),
    ("MySQLdb", "mysqlclient"),
    ("nacl", "pynacl"),
    ("OpenSSL", "pyopenssl"),
    ("PIL", "pillow"),
    ("pkg_resources", "setuptools"),
    ("pptx", "python-pptx"),
    ("psycopg2", "psycopg2-binary"),
    ("serial", "pyserial"),
    ("skimage", "scikit-image"),
    ("sklearn", "scikit-learn"),
    ("slugify", "python-slugify"),
    ("usb", "pyusb"),
    ("websocket", "websocket-client"),
    ("yaml", "pyyaml"),
    ("zmq", "pyzmq"),
];

impl Surroundings {
    /// The distribution in the artifact that offers a top-level module, if exactly one does.
    fn owner(&self, top: &str) -> Option<&DistributionName> {
        let mut owners = self
            .installed
            .iter()
            .filter(|(_, modules)| modules.iter().any(|module| module.split('.').next() == Some(top)));
        let (name, _) = owners.next()?;
        owners.next().is_none().then_some(name)
    }

    /// Says what is known of a module that is missing: the distribution of the lock that was left out, or the
    /// one that usually has it.
    pub fn explain_missing(&self, module: &str, finding: Finding) -> Finding {
        let top = module.split('.').next().unwrap_or(module);
        let usual = ODD_NAMES.iter().find(|(name, _)| *name == module || *name == top).map(|(_, name)| *name);
        let names: Vec<DistributionName> =
            usual.into_iter().chain([top]).filter_map(|name| name.parse().ok()).collect();
        let gap = self.gaps.iter().find(|gap| names.iter().any(|name| name.as_str() == gap.distribution));
        match (gap, usual) {
            (Some(gap), _) => finding.detail(format!(
                "the lock has {} {}, but it is left out: {}",
                gap.distribution, gap.version, gap.cause
            )),
            (None, Some(usual)) => finding.detail(format!("the module `{top}` usually comes from {usual}")),
            (None, None) => finding,
        }
    }
}

/// What the scan means. `found` are the findings of the live import: what they say of a module is not said
/// again.
#[must_use]
pub fn scan_findings(
    report: &ImportReport,
    around: &Surroundings,
    found: &[Finding],
) -> (Vec<Finding>, Check) {
    let scan = &report.scan;
    let mut by_module: BTreeMap<&str, Vec<&UnresolvedImport>> = BTreeMap::new();
    for unresolved in &scan.unresolved {
        by_module.entry(&unresolved.module).or_default().push(unresolved);
    }
    let told = |module: &str| {
        found.iter().filter(|finding| finding.code == Code::ImportFailed).any(|finding| {
            finding.subject == module
                || module.strip_prefix(finding.subject.as_str()).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let mut findings: Vec<Finding> = by_module
        .into_iter()
        .filter(|(module, _)| !told(module))
        .map(|(module, places)| around.explain_missing(module, unresolved(module, &places)))
        .collect();
    findings.extend(not_declared(report, around));
    let check = Check::ran(CheckName::ImportsRead, scan.imports, "imports");
    (findings, check)
}

fn unresolved(module: &str, places: &[&UnresolvedImport]) -> Finding {
    let conditional = places.iter().all(|place| place.conditional);
    let lazy = places.iter().all(|place| place.lazy);
    let when = match (conditional, lazy) {
        (true, _) => "under a condition that is not known here",
        (false, true) => "when a function is called",
        (false, false) => "when its file is imported",
    };
    let mut finding = Finding::new(
        Code::ImportUnresolved,
        module,
        format!(
            "it is imported {when}, and it is neither in the artifact, nor in a layer, the runtime or the standard library"
        ),
    );
    if conditional {
        finding.level = Level::Warn;
    }
    for place in places.iter().take(5) {
        finding = finding.detail(format!("imported at {}:{}", place.file, place.line));
    }
    finding
        .remedy("add the distribution that has it to the project's dependencies and lock again")
        .remedy("or, if the code can do without it, catch `ImportError` around the import")
}

fn not_declared(report: &ImportReport, around: &Surroundings) -> Vec<Finding> {
    let Some(declared) = &around.declared else { return Vec::new() };
    let mut told = BTreeSet::new();
    let mut findings = Vec::new();
    for first in &report.scan.first {
        let Some(owner) = around.owner(&first.module) else { continue };
        if declared.contains(owner) || !told.insert(owner) {
            continue;
        }
        findings.push(
            Finding::new(
                Code::ImportedNotDeclared,
                owner.as_str(),
                format!(
                    "`{}` is imported at {}, but {owner} is here only because another distribution requires it",
                    first.module, first.at
                ),
            )
            .remedy(format!("add {owner} to the project's dependencies, so that it stays when the other one goes")),
        );
    }
    findings
}
