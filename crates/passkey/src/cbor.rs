//! CBOR (RFC 8949) as far as authenticators send it: integers, byte and text strings, arrays and maps of definite
//! length, `false`, `true`, `null`. Tags, floats, `undefined` and indefinite lengths are refused: CTAP2 forbids them
//! (CTAP 2.2 §8). Its canonical order of keys is not required, because nothing here is ever compared as encoded bytes.

use std::fmt;

/// Containers inside containers that are followed. An attestation object needs three: object, statement, `x5c`.
const MAX_DEPTH: u8 = 4;

/// Entries of one array or map. The longest that WebAuthn defines (a TPM statement) has six.
const MAX_ENTRIES: u64 = 64;

/// Why bytes are not CBOR that an authenticator sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CborFault {
    /// It ends before its own lengths say so.
    Truncated,
    /// Bytes follow the value.
    Trailing,
    /// A map has the same key twice.
    DuplicateKey,
    /// Arrays and maps are nested deeper than four.
    TooDeep,
    /// An array or map has more than 64 entries.
    TooMany,
    /// A text string is not UTF-8.
    NotUtf8,
    /// A map key is neither an integer nor a text string.
    StrangeKey,
    /// An indefinite length, tag, float or simple value that authenticators do not send.
    Unsupported,
}

impl fmt::Display for CborFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "it ends too early",
            Self::Trailing => "bytes follow its end",
            Self::DuplicateKey => "a map has the same key twice",
            Self::TooDeep => "it is nested deeper than four",
            Self::TooMany => "an array or map has more than 64 entries",
            Self::NotUtf8 => "a text string is not UTF-8",
            Self::StrangeKey => "a map key is neither an integer nor text",
            Self::Unsupported => "it uses an indefinite length, a tag, a float or an unknown simple value",
        })
    }
}

/// One value. What nobody here reads (arrays, `false`, `true`, `null`) is validated and not kept.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Integer(i128),
    Bytes(&'a [u8]),
    Text(&'a str),
    Map(Map<'a>),
    Other,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Key<'a> {
    Integer(i128),
    Text(&'a str),
}

/// A map's entries. Readers take what they know and then ask whether anything is left.
#[derive(Debug)]
pub(crate) struct Map<'a>(Vec<(Key<'a>, Value<'a>)>);

impl<'a> Map<'a> {
    pub(crate) fn take(&mut self, key: Key<'_>) -> Option<Value<'a>> {
        let at = self.0.iter().position(|(k, _)| *k == key)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(crate) fn take_bytes(&mut self, key: Key<'_>) -> Option<&'a [u8]> {
        match self.take(key)? {
            Value::Bytes(bytes) => Some(bytes),
            Value::Integer(_) | Value::Text(_) | Value::Map(_) | Value::Other => None,
        }
    }

    pub(crate) fn take_text(&mut self, key: Key<'_>) -> Option<&'a str> {
        match self.take(key)? {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Bytes(_) | Value::Map(_) | Value::Other => None,
        }
    }

    pub(crate) fn take_integer(&mut self, key: Key<'_>) -> Option<i128> {
        match self.take(key)? {
            Value::Integer(integer) => Some(integer),
            Value::Bytes(_) | Value::Text(_) | Value::Map(_) | Value::Other => None,
        }
    }

    pub(crate) fn take_map(&mut self, key: Key<'_>) -> Option<Map<'a>> {
        self.take(key)?.into_map()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Value<'a> {
    pub(crate) fn into_map(self) -> Option<Map<'a>> {
        match self {
            Value::Map(map) => Some(map),
            Value::Integer(_) | Value::Bytes(_) | Value::Text(_) | Value::Other => None,
        }
    }
}

/// The one value that `bytes` is.
pub(crate) fn whole(bytes: &[u8]) -> Result<Value<'_>, CborFault> {
    match leading(bytes)? {
        (value, _, []) => Ok(value),
        (_, _, [_, ..]) => Err(CborFault::Trailing),
    }
}

/// The value that `bytes` begins with, its own encoded bytes, and what follows them.
pub(crate) fn leading(bytes: &[u8]) -> Result<(Value<'_>, &[u8], &[u8]), CborFault> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(MAX_DEPTH)?;
    let (encoded, rest) =
        bytes.split_at_checked(bytes.len() - reader.rest.len()).ok_or(CborFault::Truncated)?;
    Ok((value, encoded, rest))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u8) -> Result<Value<'a>, CborFault> {
        let [initial] = self.array::<1>()?;
        let (major, info) = (initial >> 5, initial & 0b1_1111);
        match major {
            0 => Ok(Value::Integer(i128::from(self.argument(info)?))),
            1 => Ok(Value::Integer(-1 - i128::from(self.argument(info)?))),
            2 => {
                let length = self.argument(info)?;
                self.bytes(length).map(Value::Bytes)
            }
            3 => {
                let length = self.argument(info)?;
                let text = std::str::from_utf8(self.bytes(length)?);
                text.map(Value::Text).map_err(|_| CborFault::NotUtf8)
            }
            4 => {
                let entries = self.entries(info)?;
                let depth = depth.checked_sub(1).ok_or(CborFault::TooDeep)?;
                for _ in 0..entries {
                    self.value(depth)?;
                }
                Ok(Value::Other)
            }
            5 => {
                let entries = self.entries(info)?;
                let depth = depth.checked_sub(1).ok_or(CborFault::TooDeep)?;
                self.map(entries, depth).map(Value::Map)
            }
            // RFC 8949 §3.3: 20, 21, 22 are false, true, null.
            7 if (20..=22).contains(&info) => Ok(Value::Other),
            _ => Err(CborFault::Unsupported),
        }
    }

    fn map(&mut self, entries: u64, depth: u8) -> Result<Map<'a>, CborFault> {
        let mut map: Vec<(Key<'a>, Value<'a>)> = Vec::new();
        for _ in 0..entries {
            let key = match self.value(depth)? {
                Value::Integer(integer) => Key::Integer(integer),
                Value::Text(text) => Key::Text(text),
                Value::Bytes(_) | Value::Map(_) | Value::Other => return Err(CborFault::StrangeKey),
            };
            if map.iter().any(|(known, _)| *known == key) {
                return Err(CborFault::DuplicateKey);
            }
            map.push((key, self.value(depth)?));
        }
        Ok(Map(map))
    }

    /// RFC 8949 §3: the argument is in the initial byte itself or in the 1, 2, 4 or 8 bytes after it.
    fn argument(&mut self, info: u8) -> Result<u64, CborFault> {
        match info {
            0..=23 => Ok(u64::from(info)),
            24 => Ok(u64::from(u8::from_be_bytes(self.array()?))),
            25 => Ok(u64::from(u16::from_be_bytes(self.array()?))),
            26 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            27 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(CborFault::Unsupported),
        }
    }

    fn entries(&mut self, info: u8) -> Result<u64, CborFault> {
        let entries = self.argument(info)?;
        if entries > MAX_ENTRIES {
            return Err(CborFault::TooMany);
        }
        Ok(entries)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CborFault> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(CborFault::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], CborFault> {
        let (head, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or(CborFault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> CborFault {
        whole(bytes).unwrap_err()
    }

    #[test]
    fn a_key_encoded_in_two_ways_is_one_key() {
        // {1: 0, 1: 0}, the second key as 0x18 01.
        assert_eq!(fault(&[0xa2, 0x01, 0x00, 0x18, 0x01, 0x00]), CborFault::DuplicateKey);
        assert_eq!(fault(&[0xa2, 0x61, b'a', 0x00, 0x61, b'a', 0x00]), CborFault::DuplicateKey);
    }

    #[test]
    fn depth_four_is_read_and_depth_five_is_refused() {
        assert!(whole(&[0x81, 0x81, 0x81, 0x81, 0x00]).is_ok());
        assert_eq!(fault(&[0x81, 0x81, 0x81, 0x81, 0x80]), CborFault::TooDeep);
        assert_eq!(fault(&[0x81; 10_000]), CborFault::TooDeep);
    }

    #[test]
    fn a_length_that_is_not_there_costs_nothing_and_is_refused() {
        let huge = |initial: u8| [initial, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(fault(&huge(0x5b)), CborFault::Truncated);
        assert_eq!(fault(&huge(0x7b)), CborFault::Truncated);
        assert_eq!(fault(&huge(0x9b)), CborFault::TooMany);
        assert_eq!(fault(&huge(0xbb)), CborFault::TooMany);
    }

    #[test]
    fn what_authenticators_do_not_send_is_refused() {
        for bytes in [
            &[0x5f, 0x40, 0xff][..], // indefinite bytes
            &[0x9f, 0xff],           // indefinite array
            &[0xbf, 0xff],           // indefinite map
            &[0xc0, 0x00],           // tag
            &[0xf7],                 // undefined
            &[0xf8, 0x20],           // simple(32)
            &[0xf9, 0x00, 0x00],     // half float
            &[0xfa, 0x00, 0x00, 0x00, 0x00],
            &[0x1c], // reserved argument
            &[0xff], // break
        ] {
            assert_eq!(fault(bytes), CborFault::Unsupported, "{bytes:02x?}");
        }
        assert_eq!(fault(&[0x61, 0xff]), CborFault::NotUtf8);
        assert_eq!(fault(&[0xa1, 0x40, 0x00]), CborFault::StrangeKey);
        assert_eq!(fault(&[0xa1, 0xf5, 0x00]), CborFault::StrangeKey);
        assert_eq!(fault(&[0x00, 0x00]), CborFault::Trailing);
        assert_eq!(fault(&[]), CborFault::Truncated);
    }

    #[test]
    fn integers_reach_both_ends_of_their_range() {
        let ends = [
            (&[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], i128::from(u64::MAX)),
            (&[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -1 - i128::from(u64::MAX)),
        ];
        for (bytes, expected) in ends {
            assert!(matches!(whole(bytes), Ok(Value::Integer(n)) if n == expected));
        }
    }

    #[test]
    fn a_leading_value_gives_back_its_own_bytes_and_the_rest() {
        let (_, encoded, rest) = leading(&[0xa1, 0x01, 0x02, 0xaa, 0xbb]).unwrap();
        assert_eq!((encoded, rest), (&[0xa1, 0x01, 0x02][..], &[0xaa, 0xbb][..]));
    }
}
