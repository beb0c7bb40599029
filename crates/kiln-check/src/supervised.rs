//! What a program that runs code under judgement starts with, and what only that code gets.

use kiln_collect::Collection;
use kiln_record::Defect;
use std::collections::BTreeMap;
use std::path::Path;

/// Where the dynamic loader looks first.
pub(crate) const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
const PATH: &str = "PATH";
const HOME: &str = "HOME";

/// An environment in two parts.
pub(crate) struct Parted {
    /// What the supervising program starts with: nothing that makes it take files of the artifact.
    pub(crate) own: BTreeMap<String, String>,
    /// What the code under judgement gets on top.
    pub(crate) judged: BTreeMap<String, String>,
}

impl Parted {
    /// Parts an environment at the variables that the dynamic loader obeys (`ld.so(8)`), at PATH, and at HOME, which Lambda does
    /// not set and every engine does: the code under judgement has the one that is stated here, or none. Of the folders of libraries
    /// and programs those of the base stay, as its interpreter may need them. `mount` is where the artifact is, besides `/var/task`
    /// and `/opt`; empty if nowhere else.
    pub(crate) fn new(mut environment: BTreeMap<String, String>, mount: &str) -> Self {
        let roots = ["/var/task", "/opt", if mount.is_empty() { "/var/task" } else { mount }];
        let judged: BTreeMap<String, String> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("LD_") || [PATH, HOME].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment.retain(|name, _| !judged.contains_key(name));
        for name in [LIBRARY_PATH, PATH] {
            let of_base: Vec<&str> = folders(&judged, name)
                .filter(|folder| folder.starts_with('/') && !folder.split('/').any(|part| part == ".."))
                .filter(|folder| !roots.iter().any(|root| Path::new(folder).starts_with(root)))
                .collect();
            if !of_base.is_empty() {
                environment.insert(name.to_owned(), of_base.join(":"));
            }
        }
        Self { own: environment, judged }
    }

    /// Whether the loader takes something of these trees for what starts with the second part, so that this has to start
    /// anew. Each tree comes with the folder that it is in. Extension modules, whose names end in one of `tags`, are opened by the
    /// interpreter, by their path: no library needs a file of such a name.
    pub(crate) fn changes_what_is_loaded<'a>(
        &self,
        trees: impl IntoIterator<Item = (&'a str, &'a Collection)>,
        tags: &[String],
    ) -> bool {
        let looked: Vec<&Path> = folders(&self.judged, LIBRARY_PATH).map(Path::new).collect();
        let mut trees = trees.into_iter();
        self.judged.keys().any(|name| ![LIBRARY_PATH, PATH, HOME].contains(&name.as_str()))
            || trees.any(|(root, collection)| {
                collection.tree.iter().any(|(path, _)| {
                    let path = Path::new(root).join(path.as_str());
                    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                    is_library(&name, tags) && path.parent().is_some_and(|folder| looked.contains(&folder))
                })
            })
    }
}

/// Whether a file of this name may be what another one needs.
fn is_library(name: &str, tags: &[String]) -> bool {
    name.contains(".so") && !tags.iter().any(|tag| tag != ".so" && name.ends_with(tag.as_str()))
}

/// The folders that a variable lists: where the loader looks first, or a shell.
fn folders<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> impl Iterator<Item = &'a str> {
    environment.get(name).into_iter().flat_map(|path| path.split(':'))
}

/// A numeric `user:group` as two numbers.
pub(crate) fn numbers(user: &str) -> Result<(u32, u32), Defect> {
    let numbers = user.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    numbers.ok_or_else(|| Defect::new(format!("`{user}` is not numeric `user:group`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_judges_finds_nothing_of_the_artifact() {
        let stated = [
            ("HOME", "/var/task/home"),
            ("LANG", "C.UTF-8"),
            ("LD_LIBRARY_PATH", "/var/lang/lib:/var/task/lib:/opt/lib"),
            ("LD_PRELOAD", "/var/task/x.so"),
            ("PATH", "/opt/bin:/usr/bin:/usr/../opt/bin:bin:/app/bin"),
        ];
        let stated: BTreeMap<String, String> =
            stated.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let parted = Parted::new(stated.clone(), "/app");
        let own = [("LANG", "C.UTF-8"), ("LD_LIBRARY_PATH", "/var/lang/lib"), ("PATH", "/usr/bin")];
        assert_eq!(parted.own, own.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let mut all = parted.own;
        all.extend(parted.judged);
        assert_eq!(all, stated, "what is judged gets all of it");
        let none: BTreeMap<String, String> = [("PATH".to_owned(), "/opt/bin".to_owned())].into();
        assert!(Parted::new(none, "").own.is_empty());
    }

    #[test]
    fn an_extension_module_is_no_library_that_another_needs() {
        let tags = [".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so"].map(str::to_owned);
        for name in
            ["libx.so", "libx.so.1", "libx-1a2b.so.5.0.0", "module.so", "m.cpython-312-x86_64-linux-gnu.so"]
        {
            assert!(is_library(name, &tags), "{name}");
        }
        for name in ["_cffi_backend.cpython-313-x86_64-linux-gnu.so", "_rust.abi3.so", "module.py", "libx.a"]
        {
            assert!(!is_library(name, &tags), "{name}");
        }
    }
}
