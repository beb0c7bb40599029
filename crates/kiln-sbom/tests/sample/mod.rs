//! Records to make documents from.

use kiln_record::{
    Architecture, ArtifactKind, Binary, Cause, Component, ComponentId, Digest, Ecosystem, Embedded,
    EmbeddedScope, Entry, Epoch, FORMAT_VERSION, FileRecord, Gap, Input, InputRole, LinkEvidence, Linked,
    Metadata, Mode, Organization, Origin, Output, Record, Supplier, Target, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};

/// One function without dependencies.
pub(crate) fn minimal() -> Record {
    let id = ComponentId::new(Ecosystem::Application, "tiny");
    record(
        "tiny",
        vec![component(id.clone(), Ecosystem::Application, "tiny", None)],
        vec![file("index.py", b"def handler(e, c): return e", &id)],
    )
}

/// A function with a compiled wheel, a bundled library, awkward metadata, a gap and all kinds of inputs.
pub(crate) fn rich() -> Record {
    with_library(b"fortran")
}

/// The same with another byte in the bundled library.
pub(crate) fn with_one_changed_byte() -> Record {
    with_library(b"Fortran")
}

fn with_library(library: &[u8]) -> Record {
    let application = ComponentId::new(Ecosystem::Application, "sample");
    let numpy = ComponentId::new(Ecosystem::Python, "numpy");
    let odd = ComponentId::new(Ecosystem::Python, "odd");
    let native = ComponentId::new(Ecosystem::Native, "numpy/libgfortran-040039e1.so.5.0.0");

    let mut own = component(application.clone(), Ecosystem::Application, "sample", None);
    own.requires = BTreeSet::from([numpy.clone(), odd.clone()]);
    let mut first = component(numpy.clone(), Ecosystem::Python, "numpy", Some("2.2.6"));
    first.bytes = 40;
    first.origin = Some(Origin {
        file_name: "numpy-2.2.6-cp313-cp313-manylinux_2_17_x86_64.whl".to_owned(),
        size: 1000,
        digest: Digest::of(b"numpy wheel"),
        sha512: Some("ab".repeat(64)),
        source: None,
    });
    first.metadata = Metadata {
        license_expression: Some("BSD-3-Clause AND MIT".to_owned()),
        supplier: Some(Supplier {
            name: Some("NumPy Developers".to_owned()),
            email: Some("numpy@example.org".to_owned()),
        }),
        summary: Some("Fundamental package for array computing".to_owned()),
        homepage: Some("https://numpy.example.org".to_owned()),
        source: Some("https://git.example.org/numpy".to_owned()),
        ..Metadata::default()
    };
    let text = |path: &str, license: &str| (TreePath::new(path).unwrap(), Some(license.to_owned()));
    first.license_files = BTreeMap::from([
        text("numpy-2.2.6.dist-info/LICENSE.txt", "BSD-3-Clause"),
        text("numpy-2.2.6.dist-info/LICENSE.mit", "MIT"),
    ]);
    // Requires itself and something that is not there: neither may reach the graph.
    first.requires = BTreeSet::from([numpy.clone(), ComponentId::new(Ecosystem::Python, "elsewhere")]);
    let mut second = component(odd.clone(), Ecosystem::Python, "odd", Some("1.0+local.1"));
    second.origin = Some(Origin {
        file_name: "odd-1.0+local.1-py3-none-any.whl".to_owned(),
        size: 10,
        digest: Digest::of(b"odd wheel"),
        sha512: Some("not hexadecimal".to_owned()),
        source: None,
    });
    second.metadata = Metadata {
        license: Some("Odd License\n\nAnyone may be odd.\n".to_owned()),
        license_classifiers: vec!["MIT License".to_owned()],
        supplier: Some(Supplier { name: None, email: Some("not <a> mail address".to_owned()) }),
        summary: Some("two\nlines".to_owned()),
        homepage: Some("javascript:alert(1)".to_owned()),
        source: Some("no url at all".to_owned()),
        ..Metadata::default()
    };
    second.embedded = vec![Embedded {
        version: Some("0.8.4".to_owned()),
        purl: Some("pkg:cargo/aes@0.8.4".to_owned()),
        sha256: Some(Digest::of(b"aes")),
        license: Some("MIT OR Apache-2.0".to_owned()),
        author: Some("The odd people".to_owned()),
        scope: Some(EmbeddedScope::Excluded),
        requires: BTreeSet::from(["pkg:cargo/cipher@0.4.4".to_owned()]),
        ..Embedded::named(
            "org.odd/aes".to_owned(),
            TreePath::new("odd-1.0.dist-info/sboms/odd.cdx.json").unwrap(),
        )
    }];
    second.embedded.push(Embedded {
        version: Some("0.4.4".to_owned()),
        purl: Some("pkg:cargo/cipher@0.4.4".to_owned()),
        ..Embedded::named("cipher".to_owned(), TreePath::new("odd-1.0.dist-info/sboms/odd.cdx.json").unwrap())
    });
    second.unread_sboms = BTreeMap::from([(
        TreePath::new("odd-1.0.dist-info/sboms/odd.spdx.json").unwrap(),
        "it is not a CycloneDX document".to_owned(),
    )]);
    let mut inside = component(native.clone(), Ecosystem::Native, "libgfortran-040039e1.so.5.0.0", None);
    inside.within = Some(numpy.clone());

    let mut record = record(
        "sample",
        vec![own, inside, first, second],
        vec![
            file("app.py", b"import numpy", &application),
            file("numpy-2.2.6.dist-info/METADATA", b"Name: numpy", &numpy),
            file("numpy.libs/libgfortran-040039e1.so.5.0.0", library, &native),
            file("numpy/__init__.py", b"", &numpy),
            file("odd.py", b"pass", &odd),
            file("odd.so", b"ELF", &odd),
        ],
    );
    let linked = |name: &str, version: &str| Linked {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        purl: format!("pkg:cargo/{name}@{version}"),
        evidence: LinkEvidence::SourcePath,
        archive: None,
    };
    record.binaries = BTreeMap::from([(
        TreePath::new("odd.so").unwrap(),
        Binary {
            needed: vec!["libc.so.6".to_owned()],
            linked: vec![linked("aes", "0.8.4"), linked("gimli", "0.31.1")],
            ..Binary::default()
        },
    )]);
    record.organization = Some(Organization {
        name: "Example Observatory".to_owned(),
        url: Some("https://example.org".to_owned()),
        contact: Some("builds@example.org".to_owned()),
        license: Some("Apache-2.0 OR MIT".to_owned()),
    });
    record.handler = Some("app.handler".to_owned());
    record.layers = vec!["powertools-layer".parse().unwrap()];
    record.gaps = vec![Gap {
        distribution: "tomli".to_owned(),
        version: "2.2.1".to_owned(),
        cause: Cause::Marker {
            marker: "python_version < \"3.11\"".to_owned(),
            values: vec!["python_version = \"3.13\"".to_owned()],
        },
    }];
    record.inputs = [
        (InputRole::Manifest, "manifests/sample.toml"),
        (InputRole::Base, "base"),
        (InputRole::Lock, "requirements.txt"),
        (InputRole::Source, "manifests/sample/src"),
        (InputRole::Distribution, "odd-1.0+local.1-py3-none-any.whl"),
        (InputRole::Layer, "powertools-layer"),
    ]
    .into_iter()
    .map(|(role, name)| Input { role, name: name.to_owned(), digest: Digest::of(name.as_bytes()) })
    .collect();
    record
}

fn component(id: ComponentId, ecosystem: Ecosystem, name: &str, version: Option<&str>) -> Component {
    Component {
        id,
        ecosystem,
        name: name.to_owned(),
        version: version.map(str::to_owned),
        bytes: 4,
        files: 1,
        origin: None,
        file_sha512: None,
        metadata: Metadata::default(),
        requires: BTreeSet::new(),
        within: None,
        from_base: false,
        embedded: Vec::new(),
        unread_sboms: BTreeMap::new(),
        license_files: BTreeMap::new(),
        package: None,
        upstream: None,
        built_from: None,
        made_by: None,
    }
}

fn file(path: &str, content: &[u8], component: &ComponentId) -> FileRecord {
    FileRecord {
        path: TreePath::new(path).unwrap(),
        entry: Entry::File { digest: Digest::of(content), size: content.len() as u64, mode: Mode::Plain },
        component: component.clone(),
    }
}

fn record(name: &str, components: Vec<Component>, files: Vec<FileRecord>) -> Record {
    let tree: Tree = files.iter().map(|f| (f.path.clone(), f.entry.clone())).collect();
    let archive = Digest::of(tree.digest().as_bytes());
    Record {
        format: FORMAT_VERSION,
        artifact: name.parse().unwrap(),
        kind: ArtifactKind::LambdaZip,
        target: Target { runtime: "python3.13".to_owned(), architecture: Architecture::Amd64 },
        handler: None,
        layers: Vec::new(),
        plan: Digest::of(b"plan"),
        epoch: Epoch::from_seconds(1_780_000_000).unwrap(),
        organization: None,
        stated: Vec::new(),
        policy: None,
        inputs: Vec::new(),
        tree: tree.digest(),
        unpacked_size: tree.size(),
        image: None,
        files,
        components,
        environment: Vec::new(),
        binaries: BTreeMap::new(),
        transformations: Vec::new(),
        gaps: Vec::new(),
        findings: Vec::new(),
        checks: Vec::new(),
        imports: None,
        tools: BTreeMap::from([
            ("kiln".to_owned(), "0.1.0".to_owned()),
            ("libdeflate".to_owned(), "1.26.1".to_owned()),
        ]),
        outputs: vec![Output {
            file_name: format!("{name}.zip"),
            media_type: "application/zip".to_owned(),
            size: 500,
            digest: archive,
            sha256_base64: archive.base64(),
            sha512: None,
        }],
    }
}
