//! What is looked for.

use crate::versions::Versions;
use crate::{Fact, FactKind, FindError};
use globset::{GlobBuilder, GlobMatcher};
use kiln_record::{Digest, excerpt};
use packageurl::PackageUrl;
use std::str::FromStr as _;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query(Wanted);

#[derive(Clone, Debug)]
enum Wanted {
    /// A component of any ecosystem, or of one.
    Part { name: String, kind: Option<FactKind>, purl_type: Option<String>, versions: Versions },
    /// What says that it has such a licence.
    License(GlobMatcher),
    /// A base by its name.
    BaseName(String),
    /// A base by its digest.
    BaseDigest(Digest),
    /// Whatever has a digest.
    Digest(Digest),
    /// A native library by the name of its file.
    Library(GlobMatcher),
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// [`FindError::Query`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, FindError> {
        let wanted = wanted(text.trim());
        wanted.map(Self).map_err(|reason| FindError::Query { text: excerpt(text), reason: excerpt(&reason) })
    }

    /// Whether it asks for files, which are listed apart from all else.
    pub(crate) fn is_of_files(&self) -> bool {
        matches!(self.0, Wanted::Digest(_) | Wanted::Library(_))
    }

    /// Whether a fact is what is looked for; nothing if its version cannot be judged.
    pub(crate) fn matches(&self, fact: &Fact) -> Option<bool> {
        let has = |digest: &Digest| Some(fact.digest.as_ref() == Some(digest));
        match &self.0 {
            Wanted::Part { name, kind, purl_type, versions } => {
                if matches!(fact.kind, FactKind::Base | FactKind::File | FactKind::Output | FactKind::Input)
                    || kind.is_some_and(|kind| kind != fact.kind)
                    || normal(fact.kind, &fact.name) != normal(fact.kind, name)
                {
                    return Some(false);
                }
                if let Some(kind) = purl_type
                    && !fact.purl.as_ref().is_some_and(|purl| purl.starts_with(&format!("pkg:{kind}/")))
                {
                    return Some(false);
                }
                versions.accept(fact.kind, fact.purl.as_deref(), fact.version.as_deref())
            }
            Wanted::License(glob) => Some(fact.licenses.iter().any(|license| {
                let words = license.split([' ', '(', ')', ',']).filter(|word| !word.is_empty());
                glob.is_match(license) || words.into_iter().any(|word| glob.is_match(word))
            })),
            // Inputs name a base with its platform.
            Wanted::BaseName(name) => {
                Some(fact.kind == FactKind::Base && fact.name.split(' ').next() == Some(name.as_str()))
            }
            Wanted::BaseDigest(digest) if fact.kind == FactKind::Base => has(digest),
            Wanted::BaseDigest(_) => Some(false),
            Wanted::Digest(digest) => has(digest),
            Wanted::Library(glob) => {
                let name = fact.name.rsplit('/').next().unwrap_or_default();
                let is_library = fact.kind == FactKind::Native
                    || fact.kind == FactKind::File && (name.ends_with(".so") || name.contains(".so."));
                Some(is_library && glob.is_match(name))
            }
        }
    }
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if let Some(license) = text.strip_prefix("license:").or_else(|| text.strip_prefix("licence:")) {
        return Ok(Wanted::License(glob(license)?));
    }
    if let Some(base) = text.strip_prefix("base:") {
        return match base.parse::<Digest>() {
            Ok(digest) => Ok(Wanted::BaseDigest(digest)),
            Err(_) if base.is_empty() || base.contains(':') => {
                Err(format!("`{base}` is neither a name nor a digest"))
            }
            Err(_) => Ok(Wanted::BaseName(base.to_owned())),
        };
    }
    if let Some(library) = text.strip_prefix("library:") {
        return Ok(Wanted::Library(glob(library)?));
    }
    if text.starts_with("file:") || text.starts_with("sha256:") {
        let digest = text.trim_start_matches("file:");
        return digest.parse().map(Wanted::Digest).map_err(|_| format!("`{digest}` is no digest (sha256:…)"));
    }
    if text.starts_with("pkg:") {
        return package(text);
    }
    let end = text.find(['<', '>', '=', '!', '~']).unwrap_or(text.len());
    let (name, versions) = text.split_at(end);
    let name = name.trim();
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains(':') {
        return Err("it names nothing".to_owned());
    }
    Ok(Wanted::Part {
        name: name.to_owned(),
        kind: None,
        purl_type: None,
        versions: Versions::parse(versions)?,
    })
}

fn package(text: &str) -> Result<Wanted, String> {
    let url = PackageUrl::from_str(text).map_err(|error| format!("it is no package URL: {error}"))?;
    let versions = match url.version() {
        Some(version) => Versions::parse(&format!("=={version}"))?,
        None => Versions::parse("")?,
    };
    let kind = match url.ty() {
        "pypi" => FactKind::Python,
        "deb" => FactKind::Debian,
        "rpm" => FactKind::Rpm,
        _ => FactKind::Embedded,
    };
    let purl_type = (kind == FactKind::Embedded).then(|| url.ty().to_owned());
    let name = match (kind, url.namespace()) {
        (FactKind::Embedded, Some(namespace)) => format!("{namespace}/{}", url.name()),
        _ => url.name().to_owned(),
    };
    Ok(Wanted::Part { name, kind: Some(kind), purl_type, versions })
}

fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    if pattern.is_empty() {
        return Err("it names nothing".to_owned());
    }
    let glob = GlobBuilder::new(pattern).case_insensitive(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
}

/// A name as its ecosystem compares it (PEP 503 for Python).
fn normal(kind: FactKind, name: &str) -> String {
    match kind {
        FactKind::Python => {
            let mut normal = String::new();
            for c in name.chars() {
                match c {
                    '-' | '_' | '.' if normal.ends_with('-') => {}
                    '-' | '_' | '.' => normal.push('-'),
                    c => normal.extend(c.to_lowercase()),
                }
            }
            normal
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(kind: FactKind, name: &str, version: Option<&str>) -> Fact {
        let (name, version) = (name.to_owned(), version.map(str::to_owned));
        Fact { kind, name, version, digest: None, purl: None, licenses: Vec::new(), via: Vec::new() }
    }

    fn matches(query: &str, fact: &Fact) -> Option<bool> {
        Query::parse(query).unwrap().matches(fact)
    }

    #[test]
    fn each_form_finds_what_it_names() {
        let python = fact(FactKind::Python, "zope-interface", Some("5.0"));
        assert_eq!(matches("Zope.Interface<6", &python), Some(true));
        assert_eq!(matches("pkg:pypi/zope.interface@5.0", &python), Some(true));
        assert_eq!(matches("pkg:deb/debian/zope-interface", &python), Some(false));
        let mut licensed = fact(FactKind::Python, "x", None);
        licensed.licenses = vec!["MIT OR (GPL-3.0-only AND X)".to_owned()];
        assert_eq!(matches("license:gpl-3.0*", &licensed), Some(true));
        assert_eq!(matches("license:GPL-2.0*", &licensed), Some(false));
        let mut part = fact(FactKind::Embedded, "ring", Some("0.17.8"));
        part.purl = Some("pkg:cargo/ring@0.17.8".to_owned());
        assert_eq!(matches("ring<0.17.12", &part), Some(true));
        assert_eq!(matches("pkg:cargo/ring", &part), Some(true));
        assert_eq!(matches("pkg:npm/ring", &part), Some(false));
        let library = fact(FactKind::File, "numpy.libs/libgfortran-0.so.5.0", None);
        assert_eq!(matches("library:libgfortran*", &library), Some(true));
        assert_eq!(matches("library:libssl*", &library), Some(false));
        assert_eq!(
            matches("base:python-3.13", &fact(FactKind::Base, "python-3.13 linux/amd64", None)),
            Some(true)
        );
        for wrong in ["", "<2", "license:", "base:x:y", "file:abc", "pkg:x", "two words", "a<"] {
            assert!(Query::parse(wrong).is_err(), "{wrong:?}");
        }
        for long in [format!("base:x:{}", "*".repeat(4000)), format!("file:{}", "a".repeat(4000))] {
            let error = Query::parse(&long).unwrap_err().to_string();
            assert!(error.len() < 600, "{} bytes", error.len());
        }
    }
}
