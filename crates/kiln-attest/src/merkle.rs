//! The tree over a log: RFC 6962, section 2.1; verification of proofs as in RFC 9162, section 2.1.

use crate::AttestError;
use kiln_record::{Digest, Hasher};

/// The hash of a leaf, which no hash of a node can be.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[0]);
    hasher.update(data);
    hasher.finish()
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// The hashes of all leaves of a log, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafHashes(Vec<Digest>);

impl FromIterator<Digest> for LeafHashes {
    fn from_iter<I: IntoIterator<Item = Digest>>(hashes: I) -> Self {
        Self(hashes.into_iter().collect())
    }
}

impl LeafHashes {
    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.len() as u64
    }

    /// The root over the first leaves; none if there are not as many.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        self.first(size).map(root)
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        root(&self.0)
    }

    /// What proves that a leaf is in the tree over all leaves, from its sibling up; none if there is no such leaf.
    #[must_use]
    pub fn inclusion(&self, index: u64) -> Option<Vec<Digest>> {
        let index = usize::try_from(index).ok().filter(|index| *index < self.0.len())?;
        let mut path = Vec::new();
        inclusion(index, &self.0, &mut path);
        Some(path)
    }

    /// What proves that the tree over all leaves continues the one over the first; none if there are not as many.
    #[must_use]
    pub fn consistency(&self, old: u64) -> Option<Vec<Digest>> {
        self.first(old)?;
        let mut path = Vec::new();
        if old > 0 && old < self.size() {
            consistency(usize::try_from(old).ok()?, &self.0, true, &mut path);
        }
        Some(path)
    }

    fn first(&self, size: u64) -> Option<&[Digest]> {
        self.0.get(..usize::try_from(size).ok()?)
    }
}

/// The largest power of two below a number of leaves above 1.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

fn inclusion(index: usize, leaves: &[Digest], path: &mut Vec<Digest>) {
    if leaves.len() < 2 {
        return;
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if index < middle {
        inclusion(index, left, path);
        path.push(root(right));
    } else {
        inclusion(index - middle, right, path);
        path.push(root(left));
    }
}

/// `SUBPROOF` of the standard; `whole` says whether the old tree is all of `leaves` up to here.
fn consistency(old: usize, leaves: &[Digest], whole: bool, path: &mut Vec<Digest>) {
    if old == leaves.len() {
        if !whole {
            path.push(root(leaves));
        }
        return;
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if old <= middle {
        consistency(old, left, whole, path);
        path.push(root(right));
    } else {
        consistency(old - middle, right, false, path);
        path.push(root(left));
    }
}

fn unproven(reason: &str) -> AttestError {
    AttestError::Unproven { reason: reason.to_owned() }
}

/// Whether a path proves that a leaf is at an index of the tree with this size and root.
///
/// # Errors
/// [`AttestError::Unproven`].
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), AttestError> {
    if index >= size {
        return Err(unproven("there is no such entry in a log of that size"));
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(unproven("it has more hashes than the tree is high"));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(unproven("it has fewer hashes than the tree is high"));
    }
    if hash != *root {
        return Err(unproven("it leads to another root"));
    }
    Ok(())
}

/// Whether a path proves that a tree continues an older one: the same entries, and more behind them.
///
/// # Errors
/// [`AttestError::Unproven`].
pub fn verify_consistency(
    (old, old_root): (u64, &Digest),
    (size, root): (u64, &Digest),
    path: &[Digest],
) -> Result<(), AttestError> {
    if old > size {
        return Err(unproven("the older log has more entries than the newer one"));
    }
    if old == size || old == 0 {
        if !path.is_empty() {
            return Err(unproven("it has hashes where none are needed"));
        }
        return match old {
            0 if *old_root != Digest::of(b"") => Err(unproven("a log without entries has another root")),
            0 => Ok(()),
            _ if old_root == root => Ok(()),
            _ => Err(unproven("two logs of one size have different roots: one of them is a fork")),
        };
    }
    let mut hashes = path.iter();
    // A complete older tree is a node of the newer one, and its root is known.
    let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return Err(unproven("it has no hashes")) };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(unproven("it has more hashes than the tree is high"));
        }
        if node & 1 == 1 || node == last {
            (of_old, of_new) = (node_hash(hash, &of_old), node_hash(hash, &of_new));
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            of_new = node_hash(&of_new, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(unproven("it has fewer hashes than the tree is high"));
    }
    if of_old != *old_root {
        return Err(unproven("it does not lead to the older root: the older entries were rewritten"));
    }
    if of_new != *root {
        return Err(unproven("it does not lead to the newer root"));
    }
    Ok(())
}
