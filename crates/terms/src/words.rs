//! The four words on the card and in the caller's message, for a person to compare.
//!
//! 44 bits of a hash over the elevation's id and the access hash. The id is ours and random, so a caller
//! cannot search for an access that shows the words of another (decisions A30). The list is BIP 39's.

use crate::{AccessHash, Digest, ElevationId};

/// Four words that name one elevation of one access.
#[must_use]
pub fn words(elevation: ElevationId, access: AccessHash) -> [&'static str; 4] {
    let digest = Digest::of("stepup/words/v1\0", &[elevation.bytes(), access.digest().bytes()]);
    let mut bits = [0; 8];
    for (to, from) in bits.iter_mut().zip(digest.bytes()) {
        *to = *from;
    }
    let bits = u64::from_be_bytes(bits);
    let list = bip39::Language::English.word_list();
    [53, 42, 31, 20].map(|shift| list.get((bits >> shift & 0x7ff) as usize).copied().unwrap_or_default())
}
