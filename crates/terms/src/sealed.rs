//! What is given out and comes back: text that only this installation can read or write (MCP 2026-07-28, multi round-trip
//! requests: "attacker-controlled input").

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::access::SealKey;
use crate::hash::{b64url, from_b64url};
use crate::{Ambient, Secret};

/// Seals texts of one purpose, for one holder each. All nodes of an installation make the same one, before and after a
/// restart. Under AES-256-GCM-SIV (RFC 8452) a repeated nonce tells no more than that two texts are the same.
pub struct Sealer(Secret<[u8; 32]>);

impl Sealer {
    /// The sealer of one purpose, which nothing that another sealed opens.
    #[must_use]
    pub fn new(key: &SealKey, purpose: &str) -> Self {
        Self(key.derive(purpose))
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM_SIV, self.0.expose()).ok().map(LessSafeKey::new)
    }

    /// Seals a text for a holder. `None` only where the library fails.
    #[must_use]
    pub fn seal(&self, ambient: &dyn Ambient, holder: &[u8], text: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        ambient.fill(&mut nonce);
        let mut sealed = text.as_bytes().to_vec();
        let nonced = Nonce::assume_unique_for_key(nonce);
        self.key()?.seal_in_place_append_tag(nonced, Aad::from(holder), &mut sealed).ok()?;
        Some(b64url(&[&nonce[..], &sealed].concat()))
    }

    /// The text that was sealed for this holder; `None` for anything else.
    #[must_use]
    pub fn open(&self, holder: &[u8], sealed: &str) -> Option<String> {
        let mut bytes = from_b64url(sealed)?;
        let (nonce, text) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self.key()?.open_in_place(nonce, Aad::from(holder), text).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Boottime, Time};

    struct Counts(std::sync::atomic::AtomicU8);

    impl Ambient for Counts {
        fn now(&self) -> Time {
            Time::from_millis(0)
        }

        fn boottime(&self) -> Boottime {
            Boottime::from_nanos(0)
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn only_whom_it_was_sealed_for_opens_it_and_only_whole() {
        let ambient = Counts(0.into());
        let sealer = |key: u8, purpose| Sealer::new(&SealKey::new([key; 32]), purpose);
        let sealed = sealer(1, "a").seal(&ambient, b"bot", "text").unwrap();
        assert_eq!(sealer(1, "a").open(b"bot", &sealed).as_deref(), Some("text"));
        assert_ne!(sealer(1, "a").seal(&ambient, b"bot", "text").unwrap(), sealed);
        assert_eq!(sealer(1, "a").open(b"spy", &sealed), None);
        assert_eq!(sealer(1, "b").open(b"bot", &sealed), None);
        assert_eq!(sealer(2, "a").open(b"bot", &sealed), None);
        for at in 0..sealed.len() {
            let mut other = sealed.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(sealer(1, "a").open(b"bot", std::str::from_utf8(&other).unwrap()), None, "{at}");
            assert_eq!(sealer(1, "a").open(b"bot", &sealed[..at]), None, "{at}");
        }
        for other in ["", "A", "é", &format!("{sealed}=="), &format!("{sealed}AAAA"), &format!(" {sealed}")]
        {
            assert_eq!(sealer(1, "a").open(b"bot", other), None, "{other}");
        }
    }
}
