//! What a container of an image has, held against what the image's layers make of each other.
//!
//! Layers are written by an engine from what its storage driver tells of two folders, and a driver can leave something out:
//! the whiteouts of a folder that was removed and made again in one instruction, so that what was in it is in the layers
//! still (moby/moby issue 42662). What is shipped is what a container has.

use kiln_image::{FileSystem, Node, NodeContent};
use kiln_record::TreePath;
use std::collections::BTreeSet;

/// What engines put in a container's way before it starts, below the root.
const ENGINE_MADE: [&str; 8] =
    [".dockerenv", "dev", "etc/hosts", "etc/hostname", "etc/mtab", "etc/resolv.conf", "proc", "sys"];

/// The extended attribute that holds a file's capabilities (capabilities(7)).
pub(crate) const CAPABILITY: &str = "security.capability";

/// The paths that layers have and a container has not.
///
/// # Errors
/// What is otherwise than in the layers and cannot be explained by something that they leave out, in words.
pub(crate) fn left_out(
    layers: &FileSystem,
    container: &FileSystem,
    volumes: &BTreeSet<String>,
) -> Result<Vec<TreePath>, String> {
    let mut gone = Vec::new();
    for (path, node) in layers.iter().filter(|(path, _)| !is_engine_made(path)) {
        match container.get(path) {
            None => gone.push(path.clone()),
            Some(found) => {
                // A folder that no layer has an entry of is made by whoever unpacks them.
                let is_free = layers.is_implied(path) || container.is_implied(path);
                if let Some((one, other)) = difference(node, found, is_free) {
                    return Err(format!(
                        "`/{path}` is {one} by the image's layers, and {other} in a container"
                    ));
                }
            }
        }
    }
    let made = ENGINE_MADE.iter().map(|path| (*path).to_owned());
    let made: Vec<String> =
        made.chain(volumes.iter().map(|path| path.trim_matches('/').to_owned())).collect();
    for (path, _) in container.iter().filter(|(path, _)| layers.get(path).is_none() && !is_engine_made(path))
    {
        let leads_to = made.iter().any(|made| {
            made == path.as_str()
                || made.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        if !leads_to {
            return Err(format!("`/{path}` is in a container of the image, and in none of its layers"));
        }
    }
    Ok(gone)
}

fn is_engine_made(path: &TreePath) -> bool {
    ENGINE_MADE.iter().any(|made| path.is_within(made))
}

/// How one thing differs from another, both in words; times and extended attributes but capabilities apart, which no export has
/// whole.
fn difference(one: &Node, other: &Node, is_free: bool) -> Option<(String, String)> {
    let owner = |node: &Node| format!("mode {:04o} of {}:{}", node.mode, node.user, node.group);
    if one.content != other.content {
        return Some((kind(one), kind(other)));
    }
    let capabilities = |node: &Node| node.xattrs.get(CAPABILITY).cloned();
    if capabilities(one) != capabilities(other) {
        let words = |node: &Node| match capabilities(node) {
            Some(value) => format!("{} with capabilities ({value})", kind(node)),
            None => format!("{} without capabilities", kind(node)),
        };
        return Some((words(one), words(other)));
    }
    let same = one.mode == other.mode && one.user == other.user && one.group == other.group;
    (!same && !is_free).then(|| (owner(one), owner(other)))
}

fn kind(node: &Node) -> String {
    match &node.content {
        NodeContent::Folder => "a folder".to_owned(),
        NodeContent::File { digest, size } => format!("a file of {size} bytes ({})", &digest.hex()[..12]),
        NodeContent::Symlink { target } => format!("a link to `{target}`"),
        NodeContent::Special { what } => what.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Digest;
    use std::collections::BTreeMap;

    fn files(nodes: &[(&str, NodeContent, u32)]) -> FileSystem {
        let mut files = FileSystem::new();
        for (path, content, mode) in nodes {
            let node =
                Node { content: content.clone(), mode: *mode, user: 0, group: 0, xattrs: BTreeMap::new() };
            files.put(TreePath::new(path).unwrap(), node);
        }
        files
    }

    fn file(text: &str) -> NodeContent {
        NodeContent::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64 }
    }

    fn link(target: &str) -> NodeContent {
        NodeContent::Symlink { target: target.to_owned() }
    }

    #[test]
    fn what_a_container_has_not_is_told_and_what_it_has_otherwise_is_refused() {
        let layers = files(&[
            ("srv/d", NodeContent::Folder, 0o755),
            ("srv/d/new", file("n"), 0o644),
            ("srv/d/secret", file("s"), 0o644),
            ("etc/hosts", file("mine"), 0o600),
            ("l", link("a"), 0o777),
        ]);
        let check = |changed: &[(&str, NodeContent, u32)], volumes: &[&str]| {
            let mut nodes = vec![
                (".dockerenv", file(""), 0o755),
                ("dev/console", NodeContent::Special { what: "a character device".to_owned() }, 0o600),
                ("etc/hosts", file(""), 0o755),
                ("l", link("a"), 0o777),
                ("srv", NodeContent::Folder, 0o700),
                ("srv/d", NodeContent::Folder, 0o755),
                ("srv/d/new", file("n"), 0o644),
            ];
            nodes.extend(changed.iter().cloned());
            let volumes = volumes.iter().map(|path| (*path).to_owned()).collect();
            left_out(&layers, &files(&nodes), &volumes)
        };
        let with_capability = |of: &FileSystem| {
            let mut of = of.clone();
            let path = TreePath::new("srv/d/new").unwrap();
            let mut node = of.get(&path).unwrap().clone();
            node.xattrs.insert(CAPABILITY.to_owned(), "01".to_owned());
            of.put(path, node);
            of
        };
        let same = with_capability(&layers);
        assert!(left_out(&same, &same, &BTreeSet::new()).is_ok());
        let error = left_out(&same, &layers, &BTreeSet::new()).unwrap_err();
        assert!(error.contains("with capabilities (01) by the image's layers, and"), "{error}");
        assert!(left_out(&layers, &same, &BTreeSet::new()).is_err());
        let secret = TreePath::new("srv/d/secret").unwrap();
        assert_eq!(check(&[], &[]), Ok(vec![secret]));
        assert_eq!(check(&[("srv/d/secret", file("s"), 0o644)], &[]), Ok(Vec::new()));
        assert!(check(&[("data/x", NodeContent::Folder, 0o755)], &["/data/x"]).is_ok());
        for (changed, why) in [
            (("srv/d/new", file("other"), 0o644), "`/srv/d/new` is a file of 1 bytes"),
            (("srv/d/new", file("n"), 0o600), "mode 0644 of 0:0 by the image's layers, and mode 0600"),
            (("srv/d/new", NodeContent::Folder, 0o755), "and a folder in a container"),
            (("l", link("b"), 0o777), "a link to `b` in a container"),
            (("data", NodeContent::Folder, 0o755), "`/data` is in a container of the image, and in none"),
        ] {
            let error = check(&[changed], &[]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
