//! One component of the record as a CycloneDX component.

use crate::SbomError;
use crate::license;
use crate::model::{
    Component, Contact, Evidence, ExternalReference, Hash, Identity, IdentityMethod, Occurrence,
    Organization, Property,
};
use crate::organization::generic_url;
use crate::spec_version::SpecVersion;
use crate::text;
use kiln_record as record;
use kiln_record::{Archive, Ecosystem, EmbeddedScope, Entry, FileRecord, OriginSource, is_sha512};
use packageurl::PackageUrl;

/// Places of files listed as evidence for one component; the record lists all.
const MAX_OCCURRENCES: usize = 16;

/// Describes a component, without the components inside it. `files` are those it owns, in path order.
pub(crate) fn describe(
    component: &record::Component,
    files: &[&FileRecord],
    version: SpecVersion,
) -> Result<Component, SbomError> {
    let only = match files {
        [FileRecord { entry: Entry::File { digest, .. }, .. }] => Some(digest),
        _ => None,
    };
    let purl = package_url(component, only)?;
    let supplier = component.metadata.supplier.as_ref().and_then(organization);
    let mut properties = vec![
        Property::new("kiln:bytes", component.bytes),
        Property::new("kiln:ecosystem", component.ecosystem.as_str()),
        Property::new("kiln:files", component.files),
    ];
    if component.from_base {
        properties.push(Property::new("kiln:from-base", "true"));
    }
    let mut references = Vec::new();
    for (kind, url) in [("website", &component.metadata.homepage), ("vcs", &component.metadata.source)] {
        match url.as_deref() {
            Some(url) if text::is_web_url(url) => {
                references.push(ExternalReference { kind, url: url.to_owned(), hashes: Vec::new() });
            }
            Some(url) => properties.push(Property::new(&format!("kiln:{kind}"), text::line(url))),
            None => {}
        }
    }
    if let Some(upstream) = &component.upstream {
        match text::is_web_url(&upstream.git) {
            true => references.push(ExternalReference {
                kind: "vcs",
                url: upstream.git.clone(),
                hashes: Vec::new(),
            }),
            false => properties.push(Property::new("kiln:vcs", text::line(&upstream.git))),
        }
        properties.push(Property::new("kiln:commit", text::line(&upstream.commit)));
        properties.push(Property::new("kiln:revision", text::line(&upstream.revision)));
        properties.extend(
            upstream.folder.as_deref().map(|folder| Property::new("kiln:folder", text::line(folder))),
        );
    }
    let mut hashes = Vec::new();
    if let Some(origin) = &component.origin {
        properties.extend(origin.source.as_ref().into_iter().flat_map(source_properties));
        hashes = origin_hashes(origin);
        // BSI TR-03183-2, 5.2.2: file name, and whether it runs, holds other files, and keeps them separable.
        properties.push(Property::new("bsi:component:archive", "archive"));
        properties.push(Property::new("bsi:component:executable", "non-executable"));
        properties.push(Property::new("bsi:component:filename", text::line(&origin.file_name)));
        properties.push(Property::new("bsi:component:structured", "structured"));
        properties.push(Property::new("kiln:origin:size", origin.size));
        // A wheel that was built here is nowhere to be had; what it was built from is.
        if component.built_from.is_none() && text::is_file_reference(&origin.file_name) {
            references.push(ExternalReference {
                kind: "distribution",
                url: origin.file_name.clone(),
                hashes: hashes.clone(),
            });
        }
    } else if let Some(digest) = only {
        hashes.push(Hash { alg: "SHA-256", content: digest.hex() });
        hashes.extend(sha512(component.file_sha512.as_deref()));
    }
    if let Some(built) = &component.built_from {
        properties.extend(built_from(built)?);
        if text::is_file_reference(&built.sdist.file_name) {
            references.push(ExternalReference {
                // The kind that says so came with 1.6.
                kind: if version >= SpecVersion::V1_6 { "source-distribution" } else { "other" },
                url: built.sdist.file_name.clone(),
                hashes: origin_hashes(&built.sdist),
            });
        }
    }
    properties.extend(component.made_by.as_ref().into_iter().flat_map(made_by));
    properties.extend(component.license_files.iter().map(|(path, license)| {
        let license = license.as_deref().unwrap_or("no licence that is known");
        Property::new("kiln:license-text", text::line(&format!("{path}: {license}")))
    }));
    properties.extend(
        component.unread_sboms.iter().map(|(path, reason)| {
            Property::new("kiln:sbom-not-read", text::line(&format!("{path}: {reason}")))
        }),
    );
    properties.sort();
    Ok(Component {
        kind: if component.ecosystem == Ecosystem::Application { "application" } else { "library" },
        bom_ref: Some(text::line(component.id.as_str())),
        manufacturer: supplier.clone().filter(|_| version >= SpecVersion::V1_6),
        supplier,
        name: text::line(&component.name),
        version: component.version.as_deref().map(text::line),
        description: component.metadata.summary.as_deref().map(text::line),
        hashes,
        licenses: license::of_component(component, version),
        evidence: evidence(component, files, purl.is_some()),
        purl,
        external_references: references,
        properties,
        ..Component::default()
    })
}

/// A part that a component's own bill of materials names. It is its publisher's word, and says so; what the bytes confirm is
/// linked.
pub(crate) fn describe_embedded(
    holder: &record::ComponentId,
    part: &record::Embedded,
    is_linked: bool,
    version: SpecVersion,
) -> Component {
    let sha256 = part.sha256.map(|digest| Hash { alg: "SHA-256", content: digest.hex() });
    let author = part.author.as_deref().map(|name| Organization {
        name: Some(text::line(name)),
        url: Vec::new(),
        contact: Vec::new(),
    });
    let mut component = Component {
        kind: "library",
        bom_ref: Some(embedded_reference(holder, part)),
        name: text::line(&part.name),
        version: part.version.as_deref().map(text::line),
        hashes: sha256.into_iter().chain(sha512(part.sha512.as_deref())).collect(),
        purl: part.purl.clone(),
        manufacturer: author.clone().filter(|_| version >= SpecVersion::V1_6),
        supplier: author,
        licenses: part
            .license
            .as_deref()
            .map(|license| license::of_words(license, version))
            .unwrap_or_default(),
        scope: part.scope.map(|scope| match scope {
            EmbeddedScope::Required => "required",
            EmbeddedScope::Optional => "optional",
            EmbeddedScope::Excluded => "excluded",
        }),
        properties: vec![
            Property::new("kiln:state", if is_linked { "linked" } else { "given" }),
            Property::new("kiln:stated-in", text::line(part.stated_in.as_str())),
        ],
        ..Component::default()
    };
    if let Some(archive) = &part.archive {
        identify_by_archive(&mut component, archive, version);
    }
    component
}

/// Adds what the archive tells that a part is distributed as. Its digests are the part's, unless somebody states another for it.
pub(crate) fn identify_by_archive(component: &mut Component, archive: &Archive, version: SpecVersion) {
    let hashes: Vec<Hash> = std::iter::once(Hash { alg: "SHA-256", content: archive.digest.hex() })
        .chain(sha512(Some(&archive.sha512)))
        .collect();
    let of = match &archive.member {
        Some(member) => format!("{}, which has {member}", archive.file_name),
        None => archive.file_name.clone(),
    };
    if !take_hashes(component, hashes, &archive.file_name, &of) {
        return;
    }
    if let (true, Some(words)) = (component.licenses.is_empty(), &archive.license) {
        component.licenses = license::of_words(words, version);
        component.properties.push(Property::new("kiln:license-from", "its archive"));
    }
    component.properties.sort();
}

/// Gives a component the hashes of an archive and a reference to it, unless it has another SHA-256. `of` says what they are of where
/// it had none. Whether the archive is the component's.
pub(crate) fn take_hashes(component: &mut Component, hashes: Vec<Hash>, archive: &str, of: &str) -> bool {
    let known = component.hashes.iter().find(|hash| hash.alg == "SHA-256").map(|hash| &hash.content);
    let stated = hashes.iter().find(|hash| hash.alg == "SHA-256").map(|hash| &hash.content);
    if component.hashes.is_empty() {
        component.properties.push(Property::new("kiln:hash-of", text::line(of)));
    } else if known.is_none() || known != stated {
        return false;
    }
    if text::is_web_url(archive) || text::is_file_reference(archive) {
        component.external_references.push(ExternalReference {
            kind: "distribution",
            url: archive.to_owned(),
            hashes: hashes.clone(),
        });
    }
    for hash in hashes {
        if component.hashes.iter().all(|known| known.alg != hash.alg) {
            component.hashes.push(hash);
        }
    }
    true
}

/// The bom-ref of such a part: two wheels may link the same one.
pub(crate) fn embedded_reference(holder: &record::ComponentId, part: &record::Embedded) -> String {
    text::line(&format!("{holder}/embedded/{}", part.identity()))
}

/// How a wheel came from a source distribution, as properties.
fn built_from(built: &record::BuiltFrom) -> Result<Vec<Property>, SbomError> {
    let mut properties = vec![
        Property::new("kiln:built-from:backend", text::line(&built.backend)),
        Property::new("kiln:built-from:base", text::line(&format!("{} {}", built.base, built.base_digest))),
        Property::new("kiln:built-from:reason", text::line(&built.reason)),
        Property::new("kiln:built-from:reproducible", built.reproducible),
        Property::new("kiln:built-from:rules", built.rules),
        Property::new(
            "kiln:built-from:sdist",
            text::line(&format!("{} {}", built.sdist.file_name, built.sdist.digest)),
        ),
    ];
    for requirement in &built.requirements {
        let purl = pypi_url(&requirement.name, Some(&requirement.version), Some(&requirement.file_name))?;
        properties.push(Property::new(
            "kiln:built-from:requirement",
            text::line(&format!("{purl} {}", requirement.digest)),
        ));
    }
    Ok(properties)
}

/// The step that made a component, as properties.
fn made_by(step: &record::MadeBy) -> Vec<Property> {
    let argv = step.argv.iter().map(|word| text::line(word)).collect::<Vec<_>>().join(" ");
    let mut properties = vec![
        Property::new("kiln:made-by:base", text::line(&format!("{} {}", step.base, step.base_digest))),
        Property::new("kiln:made-by:command", argv),
        Property::new("kiln:made-by:digest", step.digest),
        Property::new("kiln:made-by:rules", step.rules),
    ];
    properties.extend(step.reproducible.map(|same| Property::new("kiln:made-by:reproducible", same)));
    properties.extend(step.inputs.iter().map(|(at, from)| {
        Property::new("kiln:made-by:input", text::line(&format!("{at} {} {}", from.name, from.tree)))
    }));
    properties
}

/// A package URL of the index, with a file of it where one is meant.
pub(crate) fn pypi_url(name: &str, version: Option<&str>, file: Option<&str>) -> Result<String, SbomError> {
    let error = |reason: packageurl::Error| SbomError::PackageUrl {
        component: format!("python/{name}"),
        reason: reason.to_string(),
    };
    let mut purl = PackageUrl::new("pypi", name.to_owned()).map_err(error)?;
    if let Some(version) = version {
        purl.with_version(version.to_owned()).map_err(error)?;
    }
    if let Some(file) = file {
        purl.add_qualifier("file_name", file.to_owned()).map_err(error)?;
    }
    Ok(purl.to_string())
}

/// The package URL, by the rules of its type. Of what was built from a source distribution it names that file. A native library is
/// known by its bytes: its file name alone is no identity.
fn package_url(
    component: &record::Component,
    file: Option<&record::Digest>,
) -> Result<Option<String>, SbomError> {
    let error = |reason: packageurl::Error| SbomError::PackageUrl {
        component: component.id.to_string(),
        reason: reason.to_string(),
    };
    if let (Ecosystem::Python, Some(built)) = (component.ecosystem, &component.built_from) {
        let file = Some(built.sdist.file_name.as_str());
        return pypi_url(&component.name, component.version.as_deref(), file).map(Some);
    }
    let source = component.origin.as_ref().and_then(|origin| origin.source.as_ref());
    let (kind, namespace) = match component.ecosystem {
        // A project of the workspace is in no index: a package of its name there is somebody else's.
        Ecosystem::Python if matches!(source, Some(OriginSource::Folder { .. })) => ("generic", None),
        Ecosystem::Python => ("pypi", None),
        Ecosystem::Debian => ("deb", Some("debian")),
        Ecosystem::Rpm => ("rpm", distribution(component).map(|distribution| distribution.id.as_str())),
        // What no registry has is a generic package, told by where its source is (purl types, "generic").
        Ecosystem::Application if component.upstream.is_some() => ("generic", None),
        Ecosystem::Native => {
            return file.map(|digest| generic_url(&component.name, None, Some(digest))).transpose();
        }
        Ecosystem::Application => return Ok(None),
    };
    let mut purl = PackageUrl::new(kind, component.name.clone()).map_err(error)?;
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace).map_err(error)?;
    }
    // `name_version_architecture.deb`: one version has a package for each architecture.
    let architecture = component
        .origin
        .as_ref()
        .filter(|_| component.ecosystem == Ecosystem::Debian)
        .and_then(|origin| origin.file_name.strip_suffix(".deb")?.rsplit_once('_'))
        .map(|(_, architecture)| architecture.to_owned());
    // An epoch is no part of a version in package URLs of rpm (purl types, "rpm").
    let stated = component.version.as_deref();
    let (epoch, version) = match stated.and_then(|version| version.split_once(':')) {
        Some((epoch, version)) if component.ecosystem == Ecosystem::Rpm => (Some(epoch), Some(version)),
        _ => (None, stated),
    };
    let system = component.package.as_ref();
    let distro = distribution(component).map(|distribution| match &distribution.version {
        Some(version) => format!("{}-{version}", distribution.id),
        None => distribution.id.clone(),
    });
    let stated = system.map(|package| package.architecture.clone()).filter(|text| !text.is_empty());
    let architecture = stated.or(architecture);
    // By which advisories know it: `upstream` is what scanners write for it.
    let upstream = system.and_then(|package| {
        let source = package.source.clone()?;
        Some(match &package.source_version {
            Some(version) => format!("{source}@{version}"),
            None => source,
        })
    });
    let qualifiers = [
        ("arch", architecture),
        ("distro", distro),
        ("epoch", epoch.map(str::to_owned)),
        ("upstream", upstream),
    ];
    for (name, value) in qualifiers {
        if let Some(value) = value {
            purl.add_qualifier(name, value).map_err(error)?;
        }
    }
    if let Some(version) = version {
        purl.with_version(version.to_owned()).map_err(error)?;
    }
    if let Some(upstream) = &component.upstream {
        let address = match upstream.git.contains("://") {
            true => upstream.git.clone(),
            // `user@host:path`, as scp writes it.
            false => format!("ssh://{}", upstream.git.replacen(':', "/", 1)),
        };
        purl.add_qualifier("vcs_url", format!("git+{address}@{}", upstream.commit)).map_err(error)?;
    }
    if let Some(OriginSource::Url { url }) = source {
        purl.add_qualifier("download_url", url.clone()).map_err(error)?;
    }
    Ok(Some(purl.to_string()))
}

/// The distribution of Linux whose package a component is.
fn distribution(component: &record::Component) -> Option<&record::Distribution> {
    component.package.as_ref()?.distribution.as_ref()
}

/// Where a distribution is from, if not from the default index.
fn source_properties(source: &OriginSource) -> Vec<Property> {
    match source {
        OriginSource::Index { name } => vec![Property::new("kiln:source:index", text::line(name))],
        OriginSource::Url { url } => vec![Property::new("kiln:source:url", text::line(url))],
        OriginSource::File { path } => vec![Property::new("kiln:source:workspace", text::line(path))],
        OriginSource::Folder { path, tree } => vec![
            Property::new("kiln:source:tree", tree),
            Property::new("kiln:source:workspace", text::line(path)),
        ],
    }
}

fn origin_hashes(origin: &record::Origin) -> Vec<Hash> {
    let mut hashes = vec![Hash { alg: "SHA-256", content: origin.digest.hex() }];
    hashes.extend(sha512(origin.sha512.as_deref()));
    hashes
}

/// A SHA-512 that is one.
pub(crate) fn sha512(stated: Option<&str>) -> Option<Hash> {
    let hex = stated.filter(|text| is_sha512(text))?;
    Some(Hash { alg: "SHA-512", content: hex.to_ascii_lowercase() })
}

fn organization(supplier: &record::Supplier) -> Option<Organization> {
    let name = supplier.name.as_deref().map(text::line).filter(|n| !n.is_empty());
    let (email, other) = match supplier.email.as_deref() {
        Some(email) if text::is_email(email) => (Some(email.to_owned()), None),
        Some(other) => (None, Some(text::line(other)).filter(|o| !o.is_empty())),
        None => (None, None),
    };
    let name = name.or(other);
    if name.is_none() && email.is_none() {
        return None;
    }
    let contact = email.map(|email| Contact { name: name.clone(), email: Some(email) });
    Some(Organization { name, url: Vec::new(), contact: contact.into_iter().collect() })
}

/// Where a distribution lies that an image carries and that owns no file: its id says the folder.
fn carried_at(component: &record::Component) -> Option<&str> {
    let is_carried = component.ecosystem == Ecosystem::Python && component.files == 0;
    let place = component.id.name().strip_prefix(component.name.as_str())?.strip_prefix('/')?;
    is_carried.then_some(place)
}

fn evidence(component: &record::Component, files: &[&FileRecord], has_purl: bool) -> Option<Evidence> {
    let metadata =
        files.iter().find(|f| f.path.file_name() == "METADATA" && f.path.parent().ends_with(".dist-info"));
    let identity = match (component.ecosystem, metadata) {
        (Ecosystem::Python, Some(file)) if has_purl => Some(("purl", "manifest-analysis", 1.0, file)),
        // The name of a bundled library is a hint, not a proof.
        (Ecosystem::Native, _) => files.first().map(|file| ("name", "filename", 0.5, file)),
        _ => None,
    };
    let identity = identity.map(|(field, technique, confidence, file)| {
        let method = IdentityMethod { technique, confidence, value: file.path.to_string() };
        // From 1.6 on it may be a list, which some readers cannot read.
        Identity { field, confidence, methods: vec![method] }
    });
    let occurrences: Vec<Occurrence> = match metadata {
        Some(file) => vec![Occurrence { location: file.path.parent().to_owned() }],
        None => {
            files.iter().take(MAX_OCCURRENCES).map(|f| Occurrence { location: f.path.to_string() }).collect()
        }
    };
    let occurrences = match carried_at(component) {
        Some(place) => {
            let file = component.origin.as_ref().map(|origin| &origin.file_name);
            let path = match file.filter(|file| !place.ends_with(file.as_str())) {
                Some(file) => format!("{place}/{file}"),
                None => place.to_owned(),
            };
            vec![Occurrence { location: text::line(&path) }]
        }
        None => occurrences,
    };
    let licenses = license::of_texts(component);
    let is_empty = identity.is_none() && occurrences.is_empty() && licenses.is_empty();
    (!is_empty).then_some(Evidence { identity, occurrences, licenses })
}
