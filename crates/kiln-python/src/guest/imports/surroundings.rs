//! What is known of the distributions around an artifact's code, and what that says of a module that is missing.

use kiln_record::{ArtifactName, Cause, DistributionName, Finding, Gap};
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
    pub(super) fn owner(&self, top: &str) -> Option<&DistributionName> {
        let mut owners = self
            .installed
            .iter()
            .filter(|(_, modules)| modules.iter().any(|module| module.split('.').next() == Some(top)));
        let (name, _) = owners.next()?;
        owners.next().is_none().then_some(name)
    }

    /// Says what is known of a module that is missing, and what can be done about it: nothing that is so already. `otherwise`
    /// is advised where nothing is known of it.
    #[must_use]
    pub(super) fn explain_missing(&self, module: &str, finding: Finding, otherwise: &str) -> Finding {
        let top = module.split('.').next().unwrap_or(module);
        let usual = ODD_NAMES.iter().find(|(name, _)| *name == module || *name == top).map(|(_, name)| *name);
        let names: Vec<DistributionName> =
            usual.into_iter().chain([top]).filter_map(|name| name.parse().ok()).collect();
        let gap = self.gaps.iter().find(|gap| names.iter().any(|name| name.as_str() == gap.distribution));
        if let Some(gap) = gap {
            return finding.detail(left_out(gap)).remedy(way_out(gap));
        }
        // One that is there is not to be added.
        let there = names.iter().find(|name| self.installed.contains_key(*name)).or_else(|| self.owner(top));
        match (there, usual) {
            (Some(there), _) => finding
                .detail(format!("{there} is in the artifact, and this module is not in it"))
                .remedy(format!("lock a version of {there} that has `{module}`, or change the import")),
            (None, Some(usual)) => finding
                .detail(format!("the module `{top}` usually comes from {usual}"))
                .remedy(format!("add {usual} to the project's dependencies and lock again")),
            (None, None) => finding.remedy(otherwise),
        }
    }

    /// Why a distribution is the runtime's although the lock has it, where it has, and how its version is decided by who builds.
    pub(super) fn own_version(&self, distribution: &str) -> (Option<String>, String) {
        let decide = "to decide the version yourself";
        match self.gaps.iter().find(|gap| gap.distribution == distribution) {
            Some(gap) => (Some(left_out(gap)), format!("{decide}: {}", way_out(gap))),
            None => {
                (None, format!("{decide}, add `{distribution}` to the project's dependencies and lock again"))
            }
        }
    }

    /// What to do where the code asks for the metadata of a distribution that is not there.
    pub(super) fn metadata_remedies(&self, name: &str) -> Vec<String> {
        let install = format!(
            "`install-project = true` under `[python]` installs {name} with its metadata: it is the project itself"
        );
        let parsed = name.parse::<DistributionName>().ok();
        let is_it = |gap: &&Gap| parsed.as_ref().is_some_and(|name| name.as_str() == gap.distribution);
        match self.gaps.iter().find(is_it) {
            Some(Gap { cause: Cause::OwnProject, .. }) => vec![install],
            Some(gap) => vec![way_out(gap)],
            None => vec![
                format!(
                    "if `{name}` is the project itself: `install-project = true` under [python] installs it with its metadata"
                ),
                "if it is a distribution's, add it to the project's dependencies and lock again".to_owned(),
            ],
        }
    }

    /// The way out for what a layer of the workspace may have; `named` are the layers that the manifest names.
    pub(super) fn layer_remedy(named: &[ArtifactName]) -> String {
        match named {
            [] => "if a layer has it, name the layer in `layers` of the manifest".to_owned(),
            named => {
                let named: Vec<&str> = named.iter().map(ArtifactName::as_str).collect();
                format!("if a layer other than {} has it, name that one, too, in `layers`", named.join(", "))
            }
        }
    }
}

/// That the lock has a distribution, or was not to have it, and why the artifact has it not.
fn left_out(gap: &Gap) -> String {
    let Gap { distribution, version, cause } = gap;
    match version.as_str() {
        Gap::NOT_LOCKED => format!("{distribution} is asked for, and not for this target: {cause}"),
        version => format!("the lock has {distribution} {version}, but it is left out: {cause}"),
    }
}

/// What brings back a distribution of the lock that was left out.
fn way_out(gap: &Gap) -> String {
    let name = &gap.distribution;
    match &gap.cause {
        Cause::Marker { .. } | Cause::Replaced { .. } => {
            format!("see the condition of {name} in the project: it is false for the target; change it and lock again")
        }
        Cause::Group { groups } => {
            format!("choose its group: add one of {} to `groups` under `[python]`", groups.join(", "))
        }
        Cause::Extra { extras } => {
            format!("choose the extra: add one of {} to `extras` under `[python]`", extras.join(", "))
        }
        Cause::Runtime { .. } => format!("ship it: take {name} out of `from-runtime` under `[python]`"),
        Cause::Layer { layer, .. } => {
            format!("see whether the module is in {name} as the layer {layer} has it, or lock another version for both")
        }
        Cause::Excluded => format!("take {name} out of `exclude` under `[python]`"),
        Cause::OwnProject => {
            "see that `path` and `include` under `[source]` bring it, or set `install-project = true` under `[python]`"
                .to_owned()
        }
        Cause::Unreachable => {
            format!("the project does not ask for {name}: add it to its dependencies and lock again")
        }
        Cause::NoWheel { .. } => format!("lock a version of {name} that has a wheel for the target"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Code;

    /// What is advised for a module that is missing.
    fn advice(around: &Surroundings, module: &str) -> String {
        let finding = Finding::new(Code::ImportUnresolved, module, "missing");
        let finding = around.explain_missing(module, finding, "add what has it and lock again");
        finding.remedy.join("\n")
    }

    fn locked(cause: Cause) -> Surroundings {
        let gap = Gap { distribution: "pyyaml".to_owned(), version: "6.0".to_owned(), cause };
        Surroundings { gaps: vec![gap], ..Surroundings::default() }
    }

    #[test]
    fn nothing_is_advised_that_is_so_already() {
        let add = "lock again";
        assert_eq!(
            advice(&Surroundings::default(), "yaml"),
            "add pyyaml to the project's dependencies and lock again"
        );
        assert!(advice(&Surroundings::default(), "acme").contains(add));
        let (values, by) = (Vec::new(), "7".to_owned());
        let rows = [
            (Cause::Group { groups: vec!["dev".to_owned()] }, "add one of dev to `groups`"),
            (Cause::Extra { extras: vec!["fast".to_owned()] }, "add one of fast to `extras`"),
            (Cause::Runtime { runtime: "python3.13".to_owned() }, "take pyyaml out of `from-runtime`"),
            (Cause::Layer { layer: "tools".parse().unwrap(), version: "6.0".to_owned() }, "the layer tools"),
            (Cause::Excluded, "take pyyaml out of `exclude`"),
            (Cause::OwnProject, "install-project"),
            (Cause::Marker { marker: "m".to_owned(), values }, "see the condition of pyyaml"),
            (Cause::Replaced { by, marker: None, values: Vec::new() }, "see the condition of pyyaml"),
            (Cause::NoWheel { exist: Vec::new(), accepted: String::new() }, "that has a wheel"),
            (Cause::Unreachable, "does not ask for pyyaml"),
        ];
        for (cause, says) in rows {
            let advised = advice(&locked(cause.clone()), "yaml");
            assert!(advised.contains(says), "{cause:?}: {advised}");
            assert!(!advised.contains("add pyyaml"), "{cause:?}: it is locked: {advised}");
            let (left_out, decide) = locked(cause.clone()).own_version("pyyaml");
            assert!(left_out.is_some() && decide.contains(says), "{cause:?}: {decide}");
        }
        // A distribution that is there is not to be added, under its own name or another.
        let installed = |name: &str, modules: &[&str]| Surroundings {
            installed: BTreeMap::from([(
                name.parse().unwrap(),
                modules.iter().map(|m| (*m).to_owned()).collect(),
            )]),
            ..Surroundings::default()
        };
        for (name, modules, wanted) in
            [("pyyaml", &["yaml"][..], "yaml.fast"), ("acme-lib", &["acme"], "acme.sub")]
        {
            let advised = advice(&installed(name, modules), wanted);
            assert_eq!(
                advised,
                format!("lock a version of {name} that has `{wanted}`, or change the import")
            );
        }
        // The metadata of what is locked is not to be locked, and the project is no guess where the lock says so.
        let metadata = |around: &Surroundings| around.metadata_remedies("PyYAML").join("\n");
        assert!(metadata(&Surroundings::default()).contains("lock again"));
        assert!(!metadata(&locked(Cause::OwnProject)).contains("if "));
        assert_eq!(metadata(&locked(Cause::Excluded)), "take pyyaml out of `exclude` under `[python]`");
        // A layer that is named is not to be named.
        assert!(Surroundings::layer_remedy(&[]).contains("name the layer"));
        assert!(Surroundings::layer_remedy(&["tools".parse().unwrap()]).contains("other than tools"));
    }
}
