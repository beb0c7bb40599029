//! What a program changed of its root, held against what a container would have let it change.
//!
//! A worker keeps neither owners nor rights: all that it shows a program belongs to that, and so does all that comes back. So
//! whose a path is afterwards is known only where it is new, or was the program's before; and what a container would have refused
//! is no result.

use super::paths::at;
use kiln_image::{FileSystem, Node, NodeContent};

/// The bits by which owner, group and others may write.
const WRITE: [u32; 3] = [0o200, 0o020, 0o002];
const STICKY: u32 = 0o1000;
const SET_GROUP: u32 = 0o2000;

/// Whether a program of a user could have made one state of the other, and so that owners are known; else what it did.
pub(super) fn fits(before: &FileSystem, after: &FileSystem, (user, group): (u32, u32)) -> Result<(), String> {
    let (user, group) = (u64::from(user), u64::from(group));
    let is_own = |node: &Node| node.user == user && (node.group == group || user == 0);
    let may_write = |folder: Option<&Node>| {
        let Some(folder) = folder else { return user == 0 };
        let right = match (folder.user == user, folder.group == group) {
            (true, _) => WRITE[0],
            (false, true) => WRITE[1],
            (false, false) => WRITE[2],
        };
        user == 0 || folder.mode & right != 0
    };
    for (path, node) in after.iter().filter(|(path, node)| before.get(path) != Some(node)) {
        let parent = at(before, path.parent());
        match before.get(path) {
            Some(there) if !is_own(there) || node.user != there.user || node.group != there.group => {
                return Err(format!(
                    "changed `/{path}`, which belonged to {}:{}: whose it would be now is not told",
                    there.user, there.group
                ));
            }
            Some(there) if !there.xattrs.is_empty() => {
                return Err(format!("changed `/{path}`, whose attributes are not told"));
            }
            Some(_) => {}
            None => {
                let is_below_new = !path.parent().is_empty()
                    && at(before, path.parent()).is_none_or(|node| node.content != NodeContent::Folder);
                if is_below_new {
                    continue;
                }
                if parent.is_some_and(|parent| parent.mode & SET_GROUP != 0) {
                    return Err(format!(
                        "made `/{path}` in a folder that gives its group to what is new in it: that is not told"
                    ));
                }
                if !may_write(parent) {
                    return Err(format!("made `/{path}`, where {user}:{group} may not write"));
                }
            }
        }
    }
    for (path, node) in before.iter().filter(|(path, _)| after.get(path).is_none()) {
        let parent = at(before, path.parent());
        let keeps = parent.is_some_and(|parent| parent.mode & STICKY != 0 && parent.user != user)
            && node.user != user;
        if !may_write(parent) || keeps && user != 0 {
            return Err(format!("removed `/{path}`, where {user}:{group} may not write"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::paths::folder;
    use super::*;
    use kiln_record::TreePath;

    fn files(nodes: &[(&str, u32, (u32, u32))]) -> FileSystem {
        let mut files = FileSystem::new();
        for (path, mode, owner) in nodes {
            files.put(TreePath::new(path).unwrap(), Node { mode: *mode, ..folder(*owner) });
        }
        files
    }

    #[test]
    fn what_a_container_would_refuse_or_a_worker_does_not_tell_is_no_result() {
        let before = [
            ("etc", 0o755, (0, 0)),
            ("etc/a", 0o755, (0, 0)),
            ("home", 0o755, (5, 5)),
            ("home/x", 0o755, (5, 5)),
            ("mail", 0o2775, (0, 8)),
            ("pub", 0o1777, (0, 0)),
            ("pub/a", 0o755, (0, 0)),
        ];
        let check = |removed: &str, put: &[(&str, u32, (u32, u32))], user: (u32, u32)| {
            let kept = before.iter().filter(|(path, ..)| *path != removed).copied();
            let after: Vec<_> = kept.chain(put.iter().copied()).collect();
            fits(&files(&before), &files(&after), user)
        };
        let (root, other) = ((0, 0), (5, 5));
        for (removed, put, user) in [
            ("etc/a", &[("etc/new", 0o755, root), ("etc/new/below", 0o755, root)][..], root),
            ("home/x", &[("home/new", 0o700, other)], other),
            ("", &[("etc/a", 0o700, root)], root),
            ("", &[("pub/new", 0o700, other)], other),
        ] {
            assert_eq!(check(removed, put, user), Ok(()), "{removed} {put:?}");
        }
        for (removed, put, user, why) in [
            ("", &[("home/x", 0o700, root)][..], root, "belonged to 5:5"),
            ("", &[("etc/new", 0o755, other)], other, "made `/etc/new`, where 5:5 may not write"),
            ("", &[("top", 0o755, other)], other, "made `/top`, where"),
            ("", &[("mail/x", 0o755, root)], root, "gives its group"),
            ("etc/a", &[], other, "removed `/etc/a`"),
            ("pub/a", &[], other, "removed `/pub/a`"),
        ] {
            let error = check(removed, put, user).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
