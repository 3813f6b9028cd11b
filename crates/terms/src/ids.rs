//! Ids: sixteen bytes, a type each, written as a prefix and 26 characters of Crockford base 32.
//!
//! An id names a row; it never authenticates anyone (R13). The bytes come from [`Ambient`](crate::Ambient).

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(bytes: [u8; 16]) -> String {
    let value = u128::from_be_bytes(bytes);
    (0..26)
        .rev()
        .filter_map(|place| ALPHABET.get((value >> (5 * place) & 31) as usize))
        .map(|&b| char::from(b))
        .collect()
}

fn decode(text: &str) -> Option<[u8; 16]> {
    if text.len() != 26 {
        return None;
    }
    let value = text.bytes().try_fold(0_u128, |value, byte| {
        let digit = ALPHABET.iter().position(|&a| a == byte)?;
        value.checked_mul(32)?.checked_add(digit as u128)
    })?;
    Some(value.to_be_bytes())
}

/// The text is not an id of this kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {prefix}_ and 26 characters")]
pub struct NotAnId {
    /// The prefix that ids of this kind carry.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text of every id of this kind starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// The id of nothing: stands where an id is written and nobody is meant.
            pub const NIL: Self = Self([0; 16]);

            /// A new id.
            #[must_use]
            pub fn fresh(ambient: &dyn crate::Ambient) -> Self {
                let mut bytes = [0; 16];
                ambient.fill(&mut bytes);
                Self(bytes)
            }

            /// A new id that sorts after earlier ones to the millisecond, as UUIDv7 does (RFC 9562 §5.7):
            /// for rows of which there are many.
            #[must_use]
            pub fn ordered(ambient: &dyn crate::Ambient) -> Self {
                let mut bytes = [0; 16];
                ambient.fill(&mut bytes);
                let at = ambient.now().millis().to_be_bytes();
                for (byte, at) in bytes.iter_mut().zip(at.iter().skip(2)) {
                    *byte = *at;
                }
                Self(bytes)
            }

            /// From the sixteen bytes of a stored row.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The sixteen bytes.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}_{}", $prefix, encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(NotAnId { prefix: $prefix })
            }
        }

        impl From<$name> for crate::Json {
            fn from(id: $name) -> Self {
                Self::String(id.to_string())
            }
        }
    )*};
}

ids! {
    /// One installation; what it signs is worth nothing in another.
    InstallId "ins";
    /// One elevation: the request that a challenge opens.
    ElevationId "elv";
    /// One grant: the authority an approved elevation yields.
    GrantId "grt";
    /// One attempt to run one access under one permit.
    AttemptId "att";
    /// One record of the log.
    RecordId "rec";
    /// One registered caller.
    CallerId "clr";
    /// One key of a caller.
    KeyId "key";
    /// One human: one row is one person.
    HumanId "hum";
    /// One lock.
    LockId "lck";
    /// One pinned definition of one upstream.
    PinId "pin";
    /// One node's one run, from start to stop.
    BootId "bot";
}
