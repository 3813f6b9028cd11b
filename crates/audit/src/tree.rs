//! The Merkle tree of RFC 9162 §2.1 (the same as RFC 6962's): leaves and nodes are hashed under different prefixes,
//! and a tree of n leaves is split at the largest power of two below n.

use std::ops::Range;

use terms::Digest;

/// The hash of a leaf: `SHA-256(0x00 ‖ bytes)`.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Digest::of("\0", &[bytes])
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    Digest::of("\u{1}", &[left.bytes(), right.bytes()])
}

/// The right edge of a tree that only grows: the roots of its complete subtrees, largest first. Appending costs
/// one leaf and amortised one node; memory is logarithmic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Digest>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, roots: Vec::new() }
    }

    /// A tree of `size` leaves from the roots that [`Frontier::roots`] gave; `None` if there are not as many as such a
    /// tree has.
    #[must_use]
    pub fn from_roots(size: u64, roots: Vec<Digest>) -> Option<Self> {
        (u32::try_from(roots.len()) == Ok(size.count_ones())).then_some(Self { size, roots })
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first: one for each set bit of the size.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        // Each trailing one of the size is a complete subtree that the new one completes a larger one with.
        let merged = (0..self.size.trailing_ones())
            .fold(leaf, |right, _| self.roots.pop().map_or(right, |left| node_hash(left, right)));
        self.roots.push(merged);
        self.size = self.size.saturating_add(1);
    }

    /// The root; of the empty tree the hash of nothing (RFC 9162 §2.1.1).
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut smallest_first = self.roots.iter().rev().copied();
        let Some(last) = smallest_first.next() else { return Digest::plain(b"") };
        smallest_first.fold(last, |right, left| node_hash(left, right))
    }
}

impl Extend<Digest> for Frontier {
    fn extend<I: IntoIterator<Item = Digest>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.append(leaf));
    }
}

/// The root over a list of leaf hashes.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    let mut frontier = Frontier::new();
    frontier.extend(leaves.iter().copied());
    frontier.root()
}

/// Where the hashes of leaves come from: a slice, or a closure that reads them from a store.
pub trait Leaves {
    /// The hash of one leaf; `None` when there is no such leaf.
    fn leaf(&self, index: u64) -> Option<Digest>;
}

impl Leaves for [Digest] {
    fn leaf(&self, index: u64) -> Option<Digest> {
        usize::try_from(index).ok().and_then(|index| self.get(index)).copied()
    }
}

impl<F: Fn(u64) -> Option<Digest>> Leaves for F {
    fn leaf(&self, index: u64) -> Option<Digest> {
        self(index)
    }
}

/// The largest power of two below a size of two or more.
const fn split(size: u64) -> u64 {
    1 << (63 - size.saturating_sub(1).leading_zeros())
}

/// The root over a range of leaves.
fn range_root(leaves: &(impl Leaves + ?Sized), range: Range<u64>) -> Option<Digest> {
    let mut frontier = Frontier::new();
    for index in range {
        frontier.append(leaves.leaf(index)?);
    }
    Some(frontier.root())
}

/// The proof that leaf `index` is in the tree over the first `size` leaves (RFC 9162 §2.1.3.1): sibling roots from
/// the leaf upwards. `None` when there is no such leaf in such a tree.
#[must_use]
pub fn prove_inclusion(leaves: &(impl Leaves + ?Sized), index: u64, size: u64) -> Option<Vec<Digest>> {
    if index >= size {
        return None;
    }
    let mut path = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        let (inside, sibling) = if index < middle {
            (range.start..middle, middle..range.end)
        } else {
            (middle..range.end, range.start..middle)
        };
        path.push(range_root(leaves, sibling)?);
        range = inside;
    }
    path.reverse();
    Some(path)
}

/// Whether a leaf with this hash is at `index` of the tree of `size` leaves with this root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: Digest, index: u64, size: u64, path: &[Digest], root: Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(*sibling, hash);
            // A last node without a right sibling goes up unchanged until it has a left one.
            let up = if at & 1 == 0 { at.trailing_zeros() } else { 0 };
            (at, last) = (at >> up, last >> up);
        } else {
            hash = node_hash(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// The proof that the tree over the first `size` leaves extends the one over the first `old` (RFC 9162 §2.1.4.1).
/// `None` unless `0 < old ≤ size`.
#[must_use]
pub fn prove_consistency(leaves: &(impl Leaves + ?Sized), old: u64, size: u64) -> Option<Vec<Digest>> {
    if old == 0 || old > size {
        return None;
    }
    let mut path = Vec::new();
    let mut range = 0..size;
    while range.end != old {
        let middle = range.start + split(range.end - range.start);
        let (inside, sibling) = if old <= middle {
            (range.start..middle, middle..range.end)
        } else {
            (middle..range.end, range.start..middle)
        };
        path.push(range_root(leaves, sibling)?);
        range = inside;
    }
    // The old tree itself is known to whoever asks; a part of it is not.
    if range.start > 0 {
        path.push(range_root(leaves, range)?);
    }
    path.reverse();
    Some(path)
}

/// A tree by its size and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

/// Whether the tree `new` extends the tree `old` (RFC 9162 §2.1.4.2).
#[must_use]
pub fn verify_consistency(old: Head, new: Head, path: &[Digest]) -> bool {
    if old.size == new.size {
        return old.size > 0 && path.is_empty() && old.root == new.root;
    }
    if old.size == 0 || old.size > new.size {
        return false;
    }
    let mut path = path.iter().copied();
    let start = if old.size.is_power_of_two() { Some(old.root) } else { path.next() };
    let Some(start) = start else { return false };
    let up = (old.size - 1).trailing_ones();
    let (mut at, mut last) = ((old.size - 1) >> up, (new.size - 1) >> up);
    let (mut old_hash, mut new_hash) = (start, start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, old_hash);
            new_hash = node_hash(sibling, new_hash);
            // As in an inclusion proof.
            let up = if at & 1 == 0 { at.trailing_zeros() } else { 0 };
            (at, last) = (at >> up, last >> up);
        } else {
            new_hash = node_hash(new_hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_hash == old.root && new_hash == new.root
}
