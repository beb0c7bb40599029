//! Which test folders of distributions nothing else imports.
//!
//! A folder stays if any module outside of test folders imports it or a part of it, names it in a string as a module, or
//! if an entry point does. What such a folder holds counts as outside from then on.

use super::files::{DistributionFiles, Selected, contains, may_be_tests, test_folder};
use crate::WheelError;
use crate::bring::distribution::ReadyWheel;
use kiln_collect::Collection;
use kiln_record::{Ecosystem, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// The test folders of an artifact's distributions.
pub(super) struct TestFolders<'a> {
    store: &'a Store,
    collection: &'a Collection,
    wheels: &'a [ReadyWheel],
    files: &'a DistributionFiles,
}

impl<'a> TestFolders<'a> {
    pub(super) fn new(
        store: &'a Store,
        collection: &'a Collection,
        wheels: &'a [ReadyWheel],
        files: &'a DistributionFiles,
    ) -> Self {
        Self { store, collection, wheels, files }
    }

    /// The files of the folders that nothing imports.
    pub(super) fn selected(&self) -> Result<Selected, WheelError> {
        let mut folders: BTreeMap<String, Vec<&TreePath>> = BTreeMap::new();
        let mut outside: Vec<(&TreePath, &TreePath)> = Vec::new();
        for (path, there) in &self.files.by_path {
            match may_be_tests(path).filter(|folder| folder.contains('/') || !self.is_all_of(there)) {
                Some(folder) => folders.entry(folder.to_owned()).or_default().push(there),
                None => outside.push((path, there)),
            }
        }
        let mut left = BTreeMap::new();
        if folders.is_empty() {
            return Ok(Selected::default());
        }
        for (text, said) in self.own_texts()? {
            keep(&mut folders, &mut left, &mut outside, self.files, &text, &said);
        }
        // What a kept folder holds may import another one.
        while let Some((path, there)) = outside.pop() {
            if folders.is_empty() {
                break;
            }
            if !path.file_name().ends_with(".py") {
                continue;
            }
            let content = self.collection.read(self.store, there)?;
            if !contains(&content, b"test") {
                continue;
            }
            let text =
                Source { text: String::from_utf8_lossy(&content).into_owned(), package: package(path) };
            keep(&mut folders, &mut left, &mut outside, self.files, &text, there.as_str());
        }
        Ok(Selected { out: folders.into_values().flatten().cloned().collect(), left })
    }

    /// Whether the owner of a path offers nothing but tests.
    fn is_all_of(&self, path: &TreePath) -> bool {
        let Some(owner) = self.collection.owners.get(path) else { return true };
        let name = owner.as_str().split('/').nth(1).unwrap_or_default();
        self.wheels
            .iter()
            .find(|ready| ready.wheel.name.as_str() == name)
            .is_none_or(|r| r.wheel.top_level.is_empty())
    }

    /// The artifact's own modules, and the entry points of its distributions.
    fn own_texts(&self) -> Result<Vec<(Source, String)>, WheelError> {
        let mut texts = Vec::new();
        for (path, owner) in &self.collection.owners {
            let is_module = owner.ecosystem() == Ecosystem::Application && path.file_name().ends_with(".py");
            let is_entry_points =
                path.file_name() == "entry_points.txt" && path.parent().ends_with(".dist-info");
            if is_module || is_entry_points {
                let content = self.collection.read(self.store, path)?;
                let mut text = String::from_utf8_lossy(&content).into_owned();
                if is_entry_points {
                    // `name = module:attribute`: the module is then what a string would be.
                    text = text.replace('=', "'").replace("' ", "'");
                }
                texts.push((Source { text, package: package(path) }, path.to_string()));
            }
        }
        Ok(texts)
    }
}

/// A module's text and the package that relative imports start from.
struct Source {
    text: String,
    package: Vec<String>,
}

fn package(path: &TreePath) -> Vec<String> {
    path.parent().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Moves the folders that a module needs from the candidates to what is outside.
fn keep<'a>(
    folders: &mut BTreeMap<String, Vec<&'a TreePath>>,
    left: &mut BTreeMap<TreePath, String>,
    outside: &mut Vec<(&'a TreePath, &'a TreePath)>,
    files: &'a DistributionFiles,
    source: &Source,
    said: &str,
) {
    let imported = imported_modules(&source.text, &source.package);
    let needed: Vec<String> = folders
        .keys()
        .filter(|folder| {
            let module = folder.replace('/', ".");
            imported.iter().any(|name| {
                name.strip_prefix(module.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }) || is_quoted(&source.text, &module)
        })
        .cloned()
        .collect();
    for folder in needed {
        let paths = folders.remove(&folder).unwrap_or_default();
        if let Some(path) = paths.first().and_then(|path| TreePath::new(test_folder(path)?).ok()) {
            left.insert(path, format!("{said} imports it"));
        }
        outside.extend(files.by_path.iter().filter(|(path, _)| path.is_within(&folder)));
    }
}

/// Whether a text holds a string that starts with a module's name: `"numpy.tests"`, `'numpy.tests.x'`.
fn is_quoted(text: &str, module: &str) -> bool {
    module.contains('.')
        && text.match_indices(module).any(|(at, _)| {
            let ends =
                text[at + module.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            ends && text[..at].ends_with(['"', '\''])
        })
}

/// The modules that import statements of a text name, absolute. For `from a import b` that is `a` and `a.b`, because `b` may
/// be a module.
fn imported_modules(text: &str, package: &[String]) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n').or((!rest.is_empty()).then_some((rest, ""))) {
        let start = rest;
        rest = after;
        // A statement may follow another on its line: `try: import a`.
        let statement = line
            .split([':', ';'])
            .map(str::trim_start)
            .find(|part| part.starts_with("import ") || part.starts_with("from "));
        let Some(statement) = statement else { continue };
        if let Some(names) = statement.strip_prefix("import ") {
            modules.extend(
                names.split(',').filter_map(|name| name.split_whitespace().next()).map(str::to_owned),
            );
            continue;
        }
        let Some((module, names)) =
            statement.strip_prefix("from ").and_then(|rest| rest.split_once(" import"))
        else {
            continue;
        };
        let module = module.trim();
        let dots = module.len() - module.trim_start_matches('.').len();
        let named = module.trim_start_matches('.');
        let mut full: Vec<&str> = Vec::new();
        if dots > 0 {
            let Some(depth) = package.len().checked_sub(dots - 1) else { continue };
            full.extend(package[..depth].iter().map(String::as_str));
        }
        if !named.is_empty() {
            full.push(named);
        }
        let full = full.join(".");
        // Names in brackets go on over lines.
        let names = match names.trim_start().strip_prefix('(') {
            Some(_) => {
                let at = start.find('(').map_or(0, |at| at + 1);
                start[at..].split(')').next().unwrap_or_default()
            }
            None => names,
        };
        for name in names.split([',', '\n']).filter_map(|name| name.split_whitespace().next()) {
            modules.insert(if full.is_empty() { name.to_owned() } else { format!("{full}.{name}") });
        }
        modules.insert(full);
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(text: &str, package: &[&str]) -> Vec<String> {
        let package: Vec<String> = package.iter().map(|part| (*part).to_owned()).collect();
        imported_modules(text, &package).into_iter().collect()
    }

    #[test]
    fn imports_are_read_off_the_text() {
        assert_eq!(modules("import a.tests, b as c\n", &[]), ["a.tests", "b"]);
        assert_eq!(
            modules("    from numpy._core.tests._natype import pd_NA", &["numpy"]),
            ["numpy._core.tests._natype", "numpy._core.tests._natype.pd_NA"]
        );
        assert_eq!(modules("from . import tests", &["a", "b"]), ["a.b", "a.b.tests"]);
        assert_eq!(modules("try: from ..tests import x", &["a", "b"]), ["a.tests", "a.tests.x"]);
        assert_eq!(
            modules("from .x import (\n    one,\n    tests,\n)\n", &["a"]),
            ["a.x", "a.x.one", "a.x.tests"]
        );
        assert_eq!(modules("text = 'from here'\nfrom .... import x\n", &["a"]), [""; 0]);
    }

    #[test]
    fn strings_that_name_a_module() {
        assert!(is_quoted("run(\"a.tests.unit\")", "a.tests"));
        assert!(is_quoted("x = 'a.tests'", "a.tests"));
        assert!(!is_quoted("# see a.tests", "a.tests"));
        assert!(!is_quoted("'a.tests_of'", "a.tests"));
        assert!(!is_quoted("'tests'", "tests"));
    }
}
