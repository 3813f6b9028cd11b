//! Hashes that know what they are of. Each use has its own domain tag, so no preimage of one use is a
//! preimage of another (T06), and its own type, so none is passed where another is meant.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A SHA-256 digest; its text is `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// SHA-256 over a domain tag (ending in a zero byte) and the parts, in order. The caller makes sure
    /// that the parts are self-delimiting (JCS text, or fixed length).
    #[must_use]
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(domain.as_bytes());
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    /// SHA-256 of the bytes alone, for formats that fix it so.
    #[must_use]
    pub fn plain(bytes: &[u8]) -> Self {
        Self::of("", &[bytes])
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 stored bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16))
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        hex(&self.0).try_for_each(|digit| f.write_char(digit))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hex = text.strip_prefix("sha256:").filter(|h| h.len() == 64).ok_or(NotADigest)?;
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let [high, low] = pair else { return Err(NotADigest) };
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(bytes))
    }
}

/// The text is not `sha256:` and 64 lower-case hexadecimal digits: one digest has one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected sha256: and 64 lower-case hexadecimal digits")]
pub struct NotADigest;

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident $tag:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Digest);

        impl $name {
            /// The hash of canonical JSON under this use's domain tag.
            #[must_use]
            pub fn of(value: &crate::Json) -> Self {
                Self(Digest::of(concat!($tag, "\0"), &[value.text().as_bytes()]))
            }

            /// From a digest read back from the store or a statement.
            #[must_use]
            pub const fn from_digest(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest.
            #[must_use]
            pub const fn digest(&self) -> Digest {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for crate::Json {
            fn from(hash: $name) -> Self {
                Self::String(hash.to_string())
            }
        }
    )*};
}

hashes! {
    /// Of one canonical [`Access`](crate::Access): what is judged, shown, signed and forwarded.
    AccessHash "stepup/access/v1";
    /// Of an access without the arguments that its requirement leaves free, and the list of those.
    BindHash "stepup/bind/v1";
    /// Of the data model of the card that an approver was shown.
    CardHash "stepup/card/v1";
    /// Of a joined requirement with its terms.
    RequirementHash "stepup/requirement/v1";
    /// Of a tool's definition as its upstream states it.
    DefinitionHash "stepup/definition/v1";
    /// Of what an upstream is: its configuration and the files that it runs.
    UpstreamHash "stepup/upstream/v1";
    /// Of one bundle of policy: texts, requirements and attributes.
    PolicyHash "stepup/policy/v1";
}

/// Base64url without padding (RFC 4648 §5), as WebAuthn and JOSE write bytes.
#[must_use]
pub fn b64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a base64url text without padding.
#[must_use]
pub fn from_b64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
