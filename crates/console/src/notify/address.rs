//! Addresses of mail, as strictly as an operator writes them: what is one stands in a header and in a command as it is,
//! and can end neither (RFC 5321 §4.1.2, without quoted and international forms).

use std::fmt;
use std::str::FromStr;

/// One address: `ann@example.com`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

/// A name with an address, or the address alone: `stepup <stepup@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    name: Option<String>,
    address: Address,
}

/// It is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of mail")]
pub struct NotAnAddress;

/// The longest address, and the longest part of it before the `@` (RFC 5321 §4.5.3.1).
const LONGEST: (usize, usize) = (254, 64);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
        let (local, domain) = text.split_once('@').ok_or(NotAnAddress)?;
        let dots = |part: &str| part.split('.').all(|piece| !piece.is_empty());
        let local_is_one =
            local.len() <= LONGEST.1 && dots(local) && local.bytes().all(|c| atom(c) || c == b'.');
        let label = |label: &str| {
            let inside = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
            inside && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        };
        let domain_is_one = domain.split('.').all(label);
        let fits = text.len() <= LONGEST.0 && local_is_one && domain_is_one;
        fits.then(|| Self(text.to_owned())).ok_or(NotAnAddress)
    }
}

impl Address {
    /// The name of the host that mail to it goes to.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Mailbox {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let Some((name, rest)) = text.split_once('<') else {
            return Ok(Self { name: None, address: text.parse()? });
        };
        let address = rest.strip_suffix('>').ok_or(NotAnAddress)?.parse()?;
        let name = name.trim();
        let plain = |c: char| (c.is_ascii_graphic() && !"\"\\()".contains(c)) || c == ' ';
        let fits = !name.is_empty() && name.len() <= LONGEST.1 && name.chars().all(plain);
        fits.then(|| Self { name: Some(name.to_owned()), address }).ok_or(NotAnAddress)
    }
}

impl Mailbox {
    /// Its address.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "\"{name}\" <{}>", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_that_can_end_neither_a_header_nor_a_command() {
        for good in ["ann@example.com", "a.b+c@x-1.example", "root@localhost", "o'hara@example.com"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@@example.com",
            "ann@ex ample.com",
            "a b@example.com",
            "ann@example.com\r\nBcc: x@y.z",
            "ann@example.com\n",
            "<ann@example.com>",
            "ann@example.com>",
            "\"a\"@b.c",
            "ann@exa_mple.com",
            "ann@-a.com",
            "ann@a..com",
            ".ann@a.com",
            "ann@a.com.",
            "änn@a.com",
            "ann@[127.0.0.1]",
            "ann@a.com SIZE=1",
            "ann,ben@a.com",
            &long,
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mailbox_has_a_plain_name_or_none() {
        let said = |text: &str| text.parse::<Mailbox>().map(|mailbox| mailbox.to_string());
        assert_eq!(said("stepup@example.com"), Ok("stepup@example.com".to_owned()));
        assert_eq!(said("stepup, ops <s@example.com>"), Ok("\"stepup, ops\" <s@example.com>".to_owned()));
        for bad in [
            "a\r\nX: y <s@example.com>",
            "\"a\" <s@example.com>",
            "<s@example.com>",
            "ä <s@example.com>",
            "a <s@example.com",
            "a <s@example.com> b",
        ] {
            assert!(said(bad).is_err(), "{bad:?}");
        }
    }
}
