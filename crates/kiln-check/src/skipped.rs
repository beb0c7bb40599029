//! Modules of the artifact's own that the manifest says not to look at as its code: `skip` under `[check]`.

use kiln_plan::Manifest;
use kiln_record::TreePath;

/// The name that a file would be imported by, if it can be.
pub(crate) fn dotted(path: &str) -> String {
    let module = path.strip_suffix(".py").unwrap_or(path);
    module.strip_suffix("/__init__").unwrap_or(module).replace('/', ".")
}

/// Whether an entry of `skip` in the manifest is for a module: by its name, or by `package.*`.
pub(crate) fn is_named_by(pattern: &str, module: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(package) => module.strip_prefix(package).is_some_and(|rest| rest.starts_with('.')),
        None => module == pattern,
    }
}

/// Whether a file of the tree is a module that `skip` names. Where modules are looked for is a matter of the kind of artifact.
pub(crate) fn is_skipped(manifest: &Manifest, path: &TreePath) -> bool {
    let skip = &manifest.check.skip;
    let python = manifest.target.runtime.as_ref().and_then(|runtime| runtime.python);
    let site = python.map(|(major, minor)| format!("python/lib/python{major}.{minor}/site-packages"));
    let roots = [Some(""), manifest.python_folder(), manifest.source_folder(), site.as_deref()];
    !skip.is_empty()
        && path.as_str().ends_with(".py")
        && roots.into_iter().flatten().any(|root| {
            let below = path.as_str().strip_prefix(root).map(|below| below.trim_start_matches('/'));
            below.is_some_and(|below| skip.iter().any(|pattern| is_named_by(pattern, &dotted(below))))
        })
}
