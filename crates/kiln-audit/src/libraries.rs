//! Whether everything that native code asks the dynamic loader for is there: in the artifact, in its layers, or on the
//! system of the target runtime.
//!
//! The search is the loader's own (`ld.so(8)`): RPATH or RUNPATH with `$ORIGIN`, then the `LD_LIBRARY_PATH` that Lambda sets,
//! then the system. A library that is nowhere on that way is accepted if another file of the artifact has its name, because
//! packages load what they bundle before they load what needs it (`ctypes.CDLL`, an `__init__` that imports another
//! extension first): whether they do is for the import check to see. What only the base has does not count: it is not there
//! where the artifact runs.

use crate::owner::{name_of, way};
use crate::{ElfFacts, Libc};
use kiln_record::{Code, Finding, Runtime};
use std::collections::{BTreeMap, BTreeSet};

/// The most links followed for one name.
const MAX_LINKS: usize = 16;

/// A native file where Lambda has it.
#[derive(Clone, Debug)]
pub struct NativeFile<'a> {
    /// Its absolute path, such as `/var/task/numpy.libs/libgfortran.so`.
    pub path: String,
    /// Who brought it, with the version, such as `numpy 2.2.6`.
    pub owner: String,
    /// What it says about itself.
    pub facts: &'a ElfFacts,
    /// Whether it belongs to the artifact that is judged; files of its layers only help.
    pub judged: bool,
}

/// The native files of an artifact and its layers, and the links beside them.
#[derive(Clone, Debug, Default)]
pub struct NativeFiles<'a> {
    /// The files.
    pub files: Vec<NativeFile<'a>>,
    /// Absolute paths of links with their targets as written.
    pub links: BTreeMap<String, String>,
    /// Where Lambda has the loader look besides the system's folders (its `LD_LIBRARY_PATH`).
    pub searched: Vec<String>,
}

/// Judges what the files need. Returns the findings and how many needs were looked at.
#[must_use]
pub fn check_libraries(native: &NativeFiles<'_>, runtime: &Runtime) -> (Vec<Finding>, usize) {
    let search = Search::new(native);
    let mut findings = Vec::new();
    let mut needs = 0;
    for file in native.files.iter().filter(|file| file.judged && file.facts.libc != Libc::Musl) {
        if let Some(loader) = &file.facts.interpreter
            && !runtime.system.loaders.is_empty()
            && !runtime.system.loaders.contains(loader)
        {
            findings.push(loader_missing(file, loader, runtime));
        }
        for name in &file.facts.needed {
            needs += 1;
            match search.find(file, name) {
                Place::Path | Place::Loaded => {}
                Place::Nowhere if runtime.has_library(name) => {}
                Place::Nowhere => findings.push(missing(file, name, runtime, &search)),
            }
        }
        findings.extend(newer_interfaces(file, runtime, &search));
        findings.extend(foreign_search_paths(file));
    }
    (findings, needs)
}

/// Where a needed library is.
enum Place {
    /// The loader finds it by its search path.
    Path,
    /// A file of the artifact or a layer has its name, and must have been loaded before.
    Loaded,
    /// Neither.
    Nowhere,
}

struct Search<'a> {
    native: &'a NativeFiles<'a>,
    paths: BTreeMap<&'a str, &'a NativeFile<'a>>,
    /// File names, names of links, and names that libraries give themselves.
    names: BTreeSet<&'a str>,
}

impl<'a> Search<'a> {
    fn new(native: &'a NativeFiles<'a>) -> Self {
        let paths = native.files.iter().map(|file| (file.path.as_str(), file)).collect();
        let names = native.files.iter().flat_map(|file| {
            file.facts.soname.as_deref().into_iter().chain(std::iter::once(last(&file.path)))
        });
        let names = names.chain(native.links.keys().map(|path| last(path))).collect();
        Self { native, paths, names }
    }

    fn find(&self, file: &NativeFile<'_>, name: &str) -> Place {
        let folder = folder_of(&file.path);
        if name.contains('/') {
            let path = if name.starts_with('/') { name.to_owned() } else { format!("/var/task/{name}") };
            return if self.is_at(&path) { Place::Path } else { Place::Nowhere };
        }
        let own =
            file.facts.runpath.as_deref().unwrap_or_default().split(':').filter(|entry| !entry.is_empty());
        let own = own.map(|entry| entry.replace("${ORIGIN}", folder).replace("$ORIGIN", folder));
        for searched in own.chain(self.native.searched.iter().cloned()) {
            if self.is_at(&format!("{searched}/{name}")) {
                return Place::Path;
            }
        }
        if self.names.contains(name) { Place::Loaded } else { Place::Nowhere }
    }

    /// Whether a path leads to a native file, through links.
    fn is_at(&self, path: &str) -> bool {
        let mut path = normal(path);
        for _ in 0..MAX_LINKS {
            if self.paths.contains_key(path.as_str()) {
                return true;
            }
            let Some(target) = self.native.links.get(&path) else { return false };
            path = match target.starts_with('/') {
                true => normal(target),
                false => normal(&format!("{}/{target}", folder_of(&path))),
            };
        }
        false
    }

    /// A judged file that needs this one, for messages.
    fn needed_by(&self, file: &NativeFile<'_>) -> Option<&'a NativeFile<'a>> {
        let name = file.facts.soname.as_deref().unwrap_or_else(|| last(&file.path));
        self.native.files.iter().find(|other| {
            other.judged && other.path != file.path && other.facts.needed.iter().any(|n| n == name)
        })
    }
}

fn missing(file: &NativeFile<'_>, name: &str, runtime: &Runtime, search: &Search<'_>) -> Finding {
    let mut finding = Finding::new(
        Code::NeededLibraryMissing,
        shown(&file.path),
        format!(
            "`{}` of {} needs `{name}`, which is neither in the artifact, nor in its layers, nor on {} ({})",
            shown(&file.path),
            file.owner,
            runtime.name,
            runtime.system.name
        ),
    );
    if let Some(parent) = search.needed_by(file) {
        finding = finding.detail(format!("`{}` of {} loads it", shown(&parent.path), parent.owner));
    }
    if let Some(runpath) = &file.facts.runpath {
        finding = finding.detail(format!("it looks in {runpath} first"));
    }
    if let Some(other) = headless(&file.owner) {
        finding = finding.remedy(format!("use {other}, which is made for systems without a display"));
    }
    finding
        .remedy(way(
            &file.owner,
            |owner| format!("use a wheel of {owner} that brings `{name}` along (manylinux wheels do)"),
            format!("link `{name}` into it statically"),
        ))
        .remedy(format!("or put `{name}` into `lib/` of the artifact or of a layer, built for the target"))
}

/// The variant of a distribution that needs no display, for those that are asked for most.
fn headless(owner: &str) -> Option<&'static str> {
    match name_of(owner) {
        "opencv-python" => Some("opencv-python-headless"),
        "opencv-contrib-python" => Some("opencv-contrib-python-headless"),
        _ => None,
    }
}

fn loader_missing(file: &NativeFile<'_>, loader: &str, runtime: &Runtime) -> Finding {
    Finding::new(
        Code::NeededLibraryMissing,
        shown(&file.path),
        format!(
            "`{}` of {} is started by `{loader}`, which {} ({}) does not have",
            shown(&file.path),
            file.owner,
            runtime.name,
            runtime.system.name
        ),
    )
    .detail(format!("it has {}", runtime.system.loaders.join(", ")))
    .remedy("build it for glibc at its usual place, or link it statically")
}

/// Versions of libstdc++ and libgcc that the target's are too old for, unless the artifact brings its own.
fn newer_interfaces(file: &NativeFile<'_>, runtime: &Runtime, search: &Search<'_>) -> Vec<Finding> {
    let system = &runtime.system;
    let mut findings = Vec::new();
    for (interface, has) in &system.interfaces {
        let Some(needed) = file.facts.versions.get(interface) else { continue };
        let has_numbers: Vec<u32> = has.split('.').filter_map(|number| number.parse().ok()).collect();
        if needed.number <= has_numbers
            || matches!(search.find(file, &needed.library), Place::Path | Place::Loaded)
        {
            continue;
        }
        let mut finding = Finding::new(
            Code::LibstdcxxTooNew,
            shown(&file.path),
            format!(
                "`{}` of {} needs {} of {}, but {} ({}) ends at {interface}_{has}",
                shown(&file.path),
                file.owner,
                needed.text,
                needed.library,
                runtime.name,
                system.name
            ),
        );
        if let Some(symbol) = &needed.symbol {
            finding = finding.detail(format!("the symbol `{symbol}` is wanted at {}", needed.text));
        }
        findings.push(
            finding
                .remedy(way(
                    &file.owner,
                    |owner| format!("lock a version of {owner} whose wheel has an older manylinux tag"),
                    "build it with an older compiler, in a [[step]]",
                ))
                .remedy(format!(
                    "or bring {} along, in `lib/` of the artifact or of a layer",
                    needed.library
                )),
        );
    }
    findings
}

/// Search paths that lead out of what Lambda has: they name folders of the machine that built the file.
fn foreign_search_paths(file: &NativeFile<'_>) -> Option<Finding> {
    const HERE: [&str; 8] =
        ["$ORIGIN", "${ORIGIN}", "/var/task", "/opt", "/var/lang", "/usr/lib", "/lib", "/usr/local/lib"];
    let runpath = file.facts.runpath.as_deref()?;
    let foreign: Vec<&str> = runpath
        .split(':')
        .filter(|entry| {
            !entry.is_empty()
                && !HERE.iter().any(|here| {
                    entry.strip_prefix(here).is_some_and(|rest| {
                        rest.is_empty()
                            || rest.starts_with('/')
                            || (*here != "$ORIGIN" && rest.starts_with("64"))
                    })
                })
        })
        .collect();
    if foreign.is_empty() {
        return None;
    }
    Some(
        Finding::new(
            Code::RpathOutside,
            shown(&file.path),
            format!(
                "`{}` of {} has the loader look in {}, which is no folder of the artifact or of Lambda",
                shown(&file.path),
                file.owner,
                foreign.join(", ")
            ),
        )
        .remedy(
            "build it with $ORIGIN in its RUNPATH; it does no harm where everything that it needs is found",
        ),
    )
}

/// The path relative to the artifact, as records write it.
fn shown(path: &str) -> &str {
    path.strip_prefix("/var/task/").or_else(|| path.strip_prefix("/opt/")).unwrap_or(path)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// An absolute path without `.`, `..` and doubled slashes.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NeededVersion;

    fn facts(needed: &[&str], runpath: Option<&str>, soname: Option<&str>) -> ElfFacts {
        ElfFacts {
            machine: 62,
            class64: true,
            little_endian: true,
            shared_object: true,
            interpreter: None,
            needed: needed.iter().map(|n| (*n).to_owned()).collect(),
            soname: soname.map(str::to_owned),
            runpath: runpath.map(str::to_owned),
            versions: BTreeMap::new(),
            libc: Libc::Glibc,
            build_id: None,
            compilers: Vec::new(),
            linked: Vec::new(),
        }
    }

    fn check(files: &[(&str, &ElfFacts)], links: &[(&str, &str)], runtime: &str) -> Vec<(Code, String)> {
        let native = NativeFiles {
            files: files
                .iter()
                .map(|(path, facts)| NativeFile {
                    path: (*path).to_owned(),
                    owner: "sample 1.0".to_owned(),
                    facts,
                    judged: path.starts_with("/var/task"),
                })
                .collect(),
            links: links.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
            searched: ["/var/task", "/var/task/lib", "/opt/lib"].map(str::to_owned).to_vec(),
        };
        let (findings, _) = check_libraries(&native, Runtime::named(runtime).unwrap());
        findings.into_iter().map(|f| (f.code, f.cause)).collect()
    }

    #[test]
    fn a_library_is_found_where_the_loader_looks() {
        let library = facts(&["libc.so.6"], None, Some("libx.so.1"));
        for (place, runpath, links) in [
            ("/var/task/pkg.libs/libx.so.1", Some("$ORIGIN/../pkg.libs"), &[][..]),
            ("/var/task/pkg.libs/libx.so.1", Some("/nowhere:${ORIGIN}/../pkg.libs/"), &[]),
            ("/var/task/lib/libx.so.1", None, &[]),
            ("/opt/lib/libx.so.1", None, &[]),
            ("/var/task/lib/libx.so.1.2", None, &[("/var/task/lib/libx.so.1", "libx.so.1.2")]),
        ] {
            let user = facts(&["libx.so.1", "libm.so.6"], runpath, None);
            let found = check(&[("/var/task/pkg/m.so", &user), (place, &library)], links, "python3.13");
            let found: Vec<_> = found.iter().filter(|(code, _)| *code != Code::RpathOutside).collect();
            assert!(found.is_empty(), "{place}: {found:?}");
        }
    }

    #[test]
    fn what_a_package_loads_before_counts_by_its_name() {
        let user = facts(&["libtorch.so"], None, None);
        let library = facts(&[], None, Some("libtorch.so"));
        let files = [("/var/task/torch/_C.so", &user), ("/var/task/torch/lib/libtorch.so", &library)];
        assert_eq!(check(&files, &[], "python3.13"), []);
    }

    #[test]
    fn a_library_that_lambda_lacks_is_named_with_who_needs_it() {
        let extension = facts(&["libglue.so"], Some("$ORIGIN"), None);
        let glue = facts(&["libGL.so.1", "libpython3.13.so.1.0"], None, Some("libglue.so"));
        let files = [("/var/task/cv2/cv2.so", &extension), ("/var/task/cv2/libglue.so", &glue)];
        let found = check(&files, &[], "python3.13");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, Code::NeededLibraryMissing);
        for words in ["cv2/libglue.so", "sample 1.0", "libGL.so.1", "python3.13", "Amazon Linux 2023"] {
            assert!(found[0].1.contains(words), "{words}: {}", found[0].1);
        }
        // Another Python's library is not there.
        assert_eq!(check(&files, &[], "python3.12").len(), 2);
    }

    #[test]
    fn a_newer_libstdcxx_is_denied_unless_it_is_brought_along() {
        let mut user = facts(&["libstdc++.so.6"], Some("$ORIGIN"), None);
        user.versions.insert(
            "GLIBCXX".to_owned(),
            NeededVersion {
                number: vec![3, 4, 26],
                text: "GLIBCXX_3.4.26".to_owned(),
                library: "libstdc++.so.6".to_owned(),
                symbol: None,
            },
        );
        let alone = [("/var/task/m.so", &user)];
        assert_eq!(check(&alone, &[], "python3.13"), []);
        let found = check(&alone, &[], "python3.11");
        assert_eq!(found[0].0, Code::LibstdcxxTooNew, "{found:?}");
        assert!(found[0].1.contains("GLIBCXX_3.4.24"), "{}", found[0].1);
        let own = facts(&[], None, Some("libstdc++.so.6"));
        assert_eq!(check(&[alone[0], ("/var/task/libstdc++.so.6", &own)], &[], "python3.11"), []);
    }

    #[test]
    fn executables_need_their_loader_and_static_ones_need_nothing() {
        let mut program = facts(&[], None, None);
        program.shared_object = false;
        assert_eq!(check(&[("/var/task/bootstrap", &program)], &[], "provided.al2023"), []);
        program.interpreter = Some("/lib64/ld-linux-x86-64.so.2".to_owned());
        assert_eq!(check(&[("/var/task/bootstrap", &program)], &[], "provided.al2023"), []);
        program.interpreter = Some("/nix/store/x/ld-linux-x86-64.so.2".to_owned());
        let found = check(&[("/var/task/bootstrap", &program)], &[], "provided.al2023");
        assert!(found[0].1.contains("/nix/store/x/"), "{found:?}");
    }

    #[test]
    fn search_paths_of_the_build_machine_are_noted() {
        let fine = facts(&[], Some("$ORIGIN/../x.libs:/usr/lib64:/opt/lib"), None);
        assert_eq!(check(&[("/var/task/m.so", &fine)], &[], "python3.13"), []);
        let foreign = facts(&[], Some("$ORIGIN:/home/builder/lib"), None);
        let found = check(&[("/var/task/m.so", &foreign)], &[], "python3.13");
        assert_eq!(found[0].0, Code::RpathOutside);
        assert!(found[0].1.contains("/home/builder/lib") && !found[0].1.contains("ORIGIN"), "{found:?}");
    }
}
