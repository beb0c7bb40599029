//! What a program that runs code under judgement starts with, and what only that code gets.

use kiln_collect::Collection;
use kiln_plan::Manifest;
use kiln_record::Defect;
use std::collections::BTreeMap;
use std::path::Path;

const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
const HOME: &str = "HOME";

/// An environment in two parts.
pub(crate) struct Parted {
    /// What the supervising program starts with: nothing that makes its loader take files of the artifact.
    pub(crate) own: BTreeMap<String, String>,
    /// What the code under judgement gets on top.
    pub(crate) judged: BTreeMap<String, String>,
}

impl Parted {
    /// Parts an environment at the variables that the dynamic loader obeys (`ld.so(8)`), and at HOME, which Lambda does not set
    /// and every engine does: the code under judgement has the one that is stated here, or none. Of the folders of libraries those of
    /// the base stay, as its interpreter may need them.
    pub(crate) fn new(mut environment: BTreeMap<String, String>, manifest: &Manifest) -> Self {
        let mount = manifest.mount();
        let roots = ["/var/task", "/opt", if mount.is_empty() { "/var/task" } else { mount }];
        let judged: BTreeMap<String, String> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("LD_") || *name == HOME)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        environment.retain(|name, _| !judged.contains_key(name));
        let of_base: Vec<&str> = folders(&judged)
            .filter(|folder| folder.starts_with('/') && !folder.split('/').any(|part| part == ".."))
            .filter(|folder| !roots.iter().any(|root| Path::new(folder).starts_with(root)))
            .collect();
        if !of_base.is_empty() {
            environment.insert(LIBRARY_PATH.to_owned(), of_base.join(":"));
        }
        Self { own: environment, judged }
    }

    /// Whether the loader takes something of these trees for what starts with the second part, so that this has to start
    /// anew. Each tree comes with the folder that it is in.
    pub(crate) fn changes_what_is_loaded<'a>(
        &self,
        trees: impl IntoIterator<Item = (&'a str, &'a Collection)>,
    ) -> bool {
        let looked: Vec<&Path> = folders(&self.judged).map(Path::new).collect();
        let mut trees = trees.into_iter();
        self.judged.keys().any(|name| name != LIBRARY_PATH && name != HOME)
            || trees.any(|(root, collection)| {
                collection.tree.iter().any(|(path, _)| {
                    let path = Path::new(root).join(path.as_str());
                    let is_library =
                        path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
                    is_library && path.parent().is_some_and(|folder| looked.contains(&folder))
                })
            })
    }
}

/// Where the loader looks first.
fn folders(environment: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    environment.get(LIBRARY_PATH).into_iter().flat_map(|path| path.split(':'))
}

/// A numeric `user:group` as two numbers.
pub(crate) fn numbers(user: &str) -> Result<(u32, u32), Defect> {
    let numbers = user.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    numbers.ok_or_else(|| Defect::new(format!("`{user}` is not numeric `user:group`")))
}
