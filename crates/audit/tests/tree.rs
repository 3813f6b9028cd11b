//! The tree against the published vectors of certificate transparency and against the recursive definitions of
//! RFC 9162 §2.1, written down here a second time as the RFC has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use audit::tree::{
    Frontier, Head, leaf_hash, node_hash, prove_consistency, prove_inclusion, root, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;
use terms::Digest;

/// The eight leaves of certificate-transparency's tests.
const LEAVES: [&[u8]; 8] = [
    &[],
    &[0x00],
    &[0x10],
    &[0x20, 0x21],
    &[0x30, 0x31],
    &[0x40, 0x41, 0x42, 0x43],
    &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
    &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
];

/// The roots over the first 0, 1, … 8 of them.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn hash(hex: &str) -> Digest {
    format!("sha256:{hex}").parse().unwrap()
}

fn leaves(n: usize) -> Vec<Digest> {
    (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

/// MTH(D\[n\]) of RFC 9162 §2.1.1.
fn mth(d: &[Digest]) -> Digest {
    match d.len() {
        0 => Digest::plain(b""),
        1 => d[0],
        n => node_hash(mth(&d[..below(n)]), mth(&d[below(n)..])),
    }
}

/// The largest power of two smaller than n.
fn below(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// PATH(m, D\[n\]) of RFC 9162 §2.1.3.1.
fn path(m: usize, d: &[Digest]) -> Vec<Digest> {
    let n = d.len();
    if n == 1 {
        return Vec::new();
    }
    let k = below(n);
    let (mut inner, sibling) =
        if m < k { (path(m, &d[..k]), mth(&d[k..])) } else { (path(m - k, &d[k..]), mth(&d[..k])) };
    inner.push(sibling);
    inner
}

/// SUBPROOF(m, D\[n\], b) of RFC 9162 §2.1.4.1.
fn subproof(m: usize, d: &[Digest], b: bool) -> Vec<Digest> {
    let n = d.len();
    if m == n {
        return if b { Vec::new() } else { vec![mth(d)] };
    }
    let k = below(n);
    let (mut inner, sibling) = if m <= k {
        (subproof(m, &d[..k], b), mth(&d[k..]))
    } else {
        (subproof(m - k, &d[k..], false), mth(&d[..k]))
    };
    inner.push(sibling);
    inner
}

#[test]
fn the_roots_are_those_that_certificate_transparency_publishes() {
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), hash(ROOTS[0]));
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        frontier.append(leaf_hash(leaf));
        assert_eq!(frontier.root(), hash(root));
    }
}

#[test]
fn every_proof_of_every_small_tree_is_the_rfcs_and_verifies() {
    for size in 1..=40 {
        let d = leaves(size);
        for index in 0..size {
            let proof = prove_inclusion(d.as_slice(), index as u64, size as u64).unwrap();
            assert_eq!(proof, path(index, &d));
            assert!(verify_inclusion(d[index], index as u64, size as u64, &proof, mth(&d)));
        }
        for old in 1..=size {
            let proof = prove_consistency(d.as_slice(), old as u64, size as u64).unwrap();
            assert_eq!(proof, subproof(old, &d, true));
            let (old, new) = (head(&d[..old]), head(&d));
            assert!(verify_consistency(old, new, &proof));
        }
    }
}

fn head(leaves: &[Digest]) -> Head {
    Head { size: leaves.len() as u64, root: mth(leaves) }
}

#[test]
fn no_proof_is_made_of_what_is_not_there() {
    let d = leaves(5);
    assert_eq!(prove_inclusion(d.as_slice(), 5, 5), None);
    assert_eq!(prove_inclusion(d.as_slice(), 0, 0), None);
    assert_eq!(prove_inclusion(d.as_slice(), 2, 6), None);
    assert_eq!(prove_consistency(d.as_slice(), 0, 5), None);
    assert_eq!(prove_consistency(d.as_slice(), 6, 5), None);
    assert_eq!(prove_consistency(d.as_slice(), 3, 6), None);
    assert_eq!(prove_inclusion(&|_: u64| None, 1, u64::MAX), None);
}

#[test]
fn nothing_extends_or_is_extended_by_the_empty_tree() {
    let (empty, one) = (head(&[]), head(&leaves(1)));
    assert!(!verify_consistency(empty, one, &[]));
    assert!(!verify_consistency(one, empty, &[]));
    assert!(!verify_consistency(empty, empty, &[]));
}

#[test]
fn an_inner_node_is_never_taken_for_a_leaf() {
    let d = leaves(2);
    let forged = [d[0].bytes().as_slice(), d[1].bytes()].concat();
    assert!(!verify_inclusion(leaf_hash(&forged), 0, 1, &[], root(&d)));
}

#[test]
fn proofs_of_the_largest_trees_end() {
    let path = vec![Digest::plain(b""); 80];
    let (old, new) = (head(&leaves(3)), Head { size: u64::MAX, root: mth(&[]) });
    assert!(!verify_inclusion(path[0], u64::MAX - 1, u64::MAX, &path, path[0]));
    assert!(!verify_inclusion(path[0], u64::MAX, u64::MAX, &path, path[0]));
    assert!(!verify_consistency(old, new, &path));
}

proptest! {
    #[test]
    fn a_frontier_has_the_root_of_the_recursive_definition(size in 0_usize..300) {
        let d = leaves(size);
        prop_assert_eq!(root(&d), mth(&d));
    }

    #[test]
    fn a_frontier_goes_on_from_where_it_was_kept(size in 0_usize..200, more in 0_usize..50) {
        let d = leaves(size + more);
        let mut first = Frontier::new();
        first.extend(d[..size].iter().copied());
        let mut second = Frontier::from_roots(first.size(), first.roots().to_vec()).unwrap();
        second.extend(d[size..].iter().copied());
        prop_assert_eq!(second.root(), mth(&d));
        prop_assert_eq!(Frontier::from_roots(size as u64 + 1, vec![mth(&d); size.count_ones() as usize + 7]), None);
    }

    #[test]
    fn a_leaf_is_proven_only_at_its_own_place(size in 2_u64..200, index in any::<u64>(), other in any::<u64>()) {
        let (d, index, other) = (leaves(size as usize), index % size, other % size);
        let proof = prove_inclusion(d.as_slice(), index, size).unwrap();
        prop_assert!(verify_inclusion(d[index as usize], index, size, &proof, root(&d)));
        if other != index {
            prop_assert!(!verify_inclusion(d[index as usize], other, size, &proof, root(&d)));
            prop_assert!(!verify_inclusion(d[other as usize], index, size, &proof, root(&d)));
        }
    }

    #[test]
    fn an_altered_proof_proves_nothing(size in 2_u64..200, index in any::<u64>(), old in any::<u64>(), at in any::<prop::sample::Index>(), how in 0..3) {
        let (d, index, old) = (leaves(size as usize), index % size, 1 + old % (size - 1));
        let alter = |mut proof: Vec<Digest>| {
            let at = at.index(proof.len().max(1));
            match how {
                0 if !proof.is_empty() => proof[at] = Digest::plain(b"forged"),
                1 if !proof.is_empty() => drop(proof.remove(at)),
                _ => proof.insert(at, Digest::plain(b"forged")),
            }
            proof
        };
        let forged = alter(prove_inclusion(d.as_slice(), index, size).unwrap());
        prop_assert!(!verify_inclusion(d[index as usize], index, size, &forged, root(&d)));
        let forged = alter(prove_consistency(d.as_slice(), old, size).unwrap());
        prop_assert!(!verify_consistency(head(&d[..old as usize]), head(&d), &forged));
    }

    #[test]
    fn a_tree_that_changed_an_old_leaf_never_extends_the_old_tree(size in 2_usize..120, old in any::<usize>(), changed in any::<usize>()) {
        let mut d = leaves(size);
        let old_size = 1 + old % (size - 1);
        let old = head(&d[..old_size]);
        d[changed % old_size] = Digest::plain(b"rewritten");
        let proof = prove_consistency(d.as_slice(), old_size as u64, size as u64).unwrap();
        prop_assert!(!verify_consistency(old, head(&d), &proof));
    }
}
