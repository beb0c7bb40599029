//! Roots and proofs of logs, held against a definition of their own: levels, in which the odd one out moves up as it is.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

use kiln_attest::{LeafHashes, leaf_hash, verify_consistency, verify_inclusion};
use kiln_record::Digest;
use proptest::prelude::*;

const SIZES: u64 = 300;

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes().as_slice(), right.as_bytes()].concat())
}

/// All levels of a tree, from the leaves up.
fn levels(leaves: &[Digest]) -> Vec<Vec<Digest>> {
    let mut levels = vec![leaves.to_vec()];
    while levels[levels.len() - 1].len() > 1 {
        let above = levels[levels.len() - 1]
            .chunks(2)
            .map(|pair| if let [left, right] = pair { node(*left, *right) } else { pair[0] })
            .collect();
        levels.push(above);
    }
    levels
}

fn naive_root(leaves: &[Digest]) -> Digest {
    levels(leaves).last().and_then(|top| top.first()).copied().unwrap_or_else(|| Digest::of(b""))
}

fn naive_path(mut index: usize, levels: &[Vec<Digest>]) -> Vec<Digest> {
    let mut path = Vec::new();
    for level in levels {
        path.extend(level.get(index ^ 1));
        index /= 2;
    }
    path
}

fn log(size: u64) -> Vec<Digest> {
    (0..size).map(|number| leaf_hash(format!("orders {number} sha256:…\n").as_bytes())).collect()
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let leaves =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let all: LeafHashes = leaves.iter().map(|leaf| leaf_hash(&hex(leaf))).collect();
    let root = |size| all.root_at(size).unwrap().hex();
    assert_eq!(root(0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(root(1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(root(2), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    assert_eq!(root(8), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    assert_eq!(all.root_at(9), None);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_entry_of_every_size_is_proven_and_no_other() {
    for size in 1..=SIZES {
        let leaves = log(size);
        let hashes: LeafHashes = leaves.iter().copied().collect();
        let (root, levels) = (naive_root(&leaves), levels(&leaves));
        assert_eq!(hashes.root(), root, "{size}");
        let other = leaf_hash(b"another");
        // Of large logs each seventh entry and the last ones.
        for index in (0..size).filter(|index| size < 70 || index % 7 == 0 || index + 3 > size) {
            let path = hashes.inclusion(index).unwrap();
            let leaf = &leaves[usize::try_from(index).unwrap()];
            assert_eq!(path, naive_path(usize::try_from(index).unwrap(), &levels), "{index} of {size}");
            verify_inclusion(leaf, index, size, &path, &root).unwrap();
            verify_inclusion(&other, index, size, &path, &root).unwrap_err();
            verify_inclusion(leaf, index ^ 1, size, &path, &root).unwrap_err();
        }
        assert_eq!(hashes.inclusion(size), None);
    }
}

#[test]
fn every_log_continues_every_older_one_and_no_fork_of_it() {
    let (all, fork) = (log(SIZES), leaf_hash(b"another"));
    let roots: Vec<Digest> = (0..=all.len()).map(|size| naive_root(&all[..size])).collect();
    for size in 1..=SIZES {
        let of = |size: u64| &roots[usize::try_from(size).unwrap()];
        let hashes: LeafHashes = all[..usize::try_from(size).unwrap()].iter().copied().collect();
        for old in
            (0..=size).filter(|old| size < 70 || old % 7 == 0 || old.is_power_of_two() || old + 3 > size)
        {
            let path = hashes.consistency(old).unwrap();
            verify_consistency((old, of(old)), (size, of(size)), &path).unwrap();
            verify_consistency((old, &fork), (size, of(size)), &path).unwrap_err();
            if old > 0 {
                verify_consistency((old, of(old)), (size, &fork), &path).unwrap_err();
            }
        }
        assert_eq!(hashes.consistency(size + 1), None);
    }
}

proptest! {
    #[test]
    fn a_changed_proof_proves_nothing(size in 2_u64..SIZES, at: prop::sample::Index, which: prop::sample::Index, bit in 0_usize..256) {
        let leaves = log(size);
        let hashes: LeafHashes = leaves.iter().copied().collect();
        let root = hashes.root();
        let index = at.index(leaves.len());
        let old = u64::try_from(index).unwrap();
        let old_root = hashes.root_at(old).unwrap();
        let (inclusion, consistency) = (hashes.inclusion(old).unwrap(), hashes.consistency(old).unwrap());
        let holds = |path: &[Digest]| verify_inclusion(&leaves[index], old, size, path, &root).is_ok();
        let continues = |path: &[Digest]| verify_consistency((old, &old_root), (size, &root), path).is_ok();
        for (path, holds) in [(inclusion, &holds as &dyn Fn(&[Digest]) -> bool), (consistency, &continues)] {
            prop_assert!(holds(&path));
            let mut more = path.clone();
            more.push(root);
            prop_assert!(!holds(&more));
            if path.is_empty() {
                continue;
            }
            prop_assert!(!holds(&path[1..]));
            prop_assert!(!holds(&path[..path.len() - 1]));
            let mut changed = path.clone();
            let mut bytes = *changed[which.index(path.len())].as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            changed[which.index(path.len())] = Digest::from_bytes(bytes);
            prop_assert!(!holds(&changed));
        }
    }

    #[test]
    fn no_hashes_of_others_are_a_proof(size in 0_u64..u64::MAX, index in 0_u64..u64::MAX, count in 0_usize..70) {
        let path = vec![leaf_hash(b"another"); count];
        let (leaf, root) = (leaf_hash(b"leaf"), leaf_hash(b"root"));
        prop_assert!(verify_inclusion(&leaf, index, size, &path, &root).is_err());
        prop_assert!(index == 0 || verify_consistency((index, &leaf), (size, &root), &path).is_err());
    }
}
