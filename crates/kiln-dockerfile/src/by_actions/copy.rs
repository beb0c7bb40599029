//! COPY: what of one file system is put where in another, as BuildKit does it.

use super::paths::{at, is_folder, is_pattern, make_folders, matching, resolved, tree_path};
use kiln_image::{FileSystem, Node, NodeContent};
use kiln_record::TreePath;

/// One COPY.
#[derive(Debug)]
pub(super) struct Copying {
    /// What is copied, each a path or a pattern from the root.
    pub(super) sources: Vec<String>,
    /// Where to, absolute; a folder if it ends in a slash.
    pub(super) target: String,
    /// Whom it belongs to afterwards, where that is stated.
    pub(super) owner: Option<(u32, u32)>,
    /// The mode that it has afterwards, where that is stated.
    pub(super) mode: Option<u32>,
}

impl Copying {
    /// Copies.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub(super) fn copy(&self, from: &FileSystem, to: &mut FileSystem) -> Result<(), String> {
        if self.sources.len() > 1 && !self.target.ends_with('/') {
            return Err("copies several things, and its target does not end in a slash".to_owned());
        }
        for source in &self.sources {
            if !is_pattern(source) {
                self.one(source, from, to)?;
                continue;
            }
            let found = matching(from, source)?;
            if found.len() > 1 && !self.target.ends_with('/') {
                return Err(format!("copies {} things, and its target does not end in a slash", found.len()));
            }
            for path in found {
                self.one(&path, from, to)?;
            }
        }
        Ok(())
    }

    fn one(&self, source: &str, from: &FileSystem, to: &mut FileSystem) -> Result<(), String> {
        let path = resolved(from, source)?;
        let owner = self.owner.unwrap_or_default();
        let target = resolved(to, &self.target)?;
        if is_folder(from, &path) {
            make_folders(to, &target, owner)?;
            let beginning = if path.is_empty() { String::new() } else { format!("{path}/") };
            for (path, node) in from.iter() {
                if let Some(below) = path.as_str().strip_prefix(&beginning) {
                    let place =
                        if target.is_empty() { below.to_owned() } else { format!("{target}/{below}") };
                    self.put(&place, node, to)?;
                }
            }
            return Ok(());
        }
        let Some(node) = at(from, &path) else { return Err(format!("finds no `{source}`")) };
        if self.target.ends_with('/') {
            make_folders(to, &target, owner)?;
        }
        let place = match is_folder(to, &target) {
            true => {
                let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
                let inside = format!("{target}/{name}");
                inside.trim_start_matches('/').to_owned()
            }
            false => target,
        };
        if let Some((above, _)) = place.rsplit_once('/') {
            make_folders(to, above, owner)?;
        }
        self.put(&place, node, to)
    }

    fn put(&self, place: &str, node: &Node, to: &mut FileSystem) -> Result<(), String> {
        let path: TreePath = tree_path(place)?;
        let mut node = node.clone();
        if let Some((user, group)) = self.owner {
            (node.user, node.group) = (user.into(), group.into());
        }
        if let (Some(mode), false) = (self.mode, matches!(node.content, NodeContent::Symlink { .. })) {
            node.mode = mode;
        }
        let is_folder = node.content == NodeContent::Folder;
        match to.get(&path).map(|there| there.content == NodeContent::Folder) {
            Some(there) if there != is_folder => {
                let (new, there) = if is_folder { ("a folder", "none") } else { ("a file", "a folder") };
                return Err(format!("would put {new} over `/{path}`, which is {there}"));
            }
            _ => to.put(path, node),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Digest;
    use std::collections::BTreeMap;

    fn node(content: NodeContent, mode: u32) -> Node {
        Node { content, mode, user: 7, group: 8, xattrs: BTreeMap::new() }
    }

    fn from() -> FileSystem {
        let mut files = FileSystem::new();
        let file = |text: &str| NodeContent::File { digest: Digest::of(text.as_bytes()), size: 1 };
        for (path, node) in [
            ("d", node(NodeContent::Folder, 0o700)),
            ("d/sub", node(NodeContent::Folder, 0o700)),
            ("d/sub/f", node(file("f"), 0o600)),
            ("d/l", node(NodeContent::Symlink { target: "sub/f".to_owned() }, 0o777)),
        ] {
            files.put(TreePath::new(path).unwrap(), node);
        }
        files
    }

    fn copied(sources: &[&str], target: &str, with: fn(&mut Copying)) -> Result<Vec<String>, String> {
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        let mut copying = Copying { sources, target: target.to_owned(), owner: None, mode: None };
        with(&mut copying);
        let mut to = FileSystem::new();
        to.put(TreePath::new("there").unwrap(), node(NodeContent::Folder, 0o711));
        copying.copy(&from(), &mut to)?;
        let told =
            |(path, node): (&TreePath, &Node)| format!("{path} {:o} {}:{}", node.mode, node.user, node.group);
        Ok(to.iter().map(told).filter(|told| told != "there 711 7:8").collect())
    }

    #[test]
    fn what_is_copied_comes_where_builders_put_it() {
        let none = |_: &mut Copying| ();
        for (sources, target, expected) in [
            (
                &["d"][..],
                "/new/x",
                &[
                    "new 755 0:0",
                    "new/x 755 0:0",
                    "new/x/l 777 7:8",
                    "new/x/sub 700 7:8",
                    "new/x/sub/f 600 7:8",
                ][..],
            ),
            (&["d/sub/f"], "/there", &["there/f 600 7:8"]),
            (&["d/l"], "/a/", &["a 755 0:0", "a/l 600 7:8"]),
            (&["d/sub/f"], "/a", &["a 600 7:8"]),
            (&["d/*"], "/a/", &["a 755 0:0", "a/f 600 7:8", "a/l 600 7:8"]),
            (&["d/x*"], "/a/", &[]),
        ] {
            assert_eq!(copied(sources, target, none).unwrap(), expected, "{sources:?}");
        }
        let stated = |copying: &mut Copying| (copying.owner, copying.mode) = (Some((1, 2)), Some(0o640));
        assert_eq!(
            copied(&["d"], "/n/", stated).unwrap(),
            ["n 755 1:2", "n/l 777 1:2", "n/sub 640 1:2", "n/sub/f 640 1:2"]
        );
        for (sources, target, why) in [
            (&["d", "d/l"][..], "/a", "does not end in a slash"),
            (&["d/*"], "/a", "copies 2 things"),
            (&["x"], "/a", "finds no `x`"),
        ] {
            let error = copied(sources, target, none).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
