//! `clientDataJSON`: what the browser says it was asked, and the bytes that are signed (WebAuthn L3 §5.8.1).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::{Part, Refused, RelyingParty};

/// A challenge shorter than this is refused whatever was signed (WebAuthn L3, "Cryptographic Challenges").
const MIN_CHALLENGE_BYTES: usize = 16;

/// Which of the two ceremonies the client data must be of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ceremony {
    Registration,
    Assertion,
}

impl Ceremony {
    fn type_name(self) -> &'static str {
        match self {
            Self::Registration => "webauthn.create",
            Self::Assertion => "webauthn.get",
        }
    }
}

/// Checks the client data and gives the hash that the signature covers: WebAuthn L3 §7.1 steps 5 to 12 and
/// §7.2 steps 8 to 14 and 20.
pub(crate) fn check(
    bytes: &[u8],
    ceremony: Ceremony,
    rp: &RelyingParty,
    challenge: &[u8],
) -> Result<Digest, Refused> {
    if challenge.len() < MIN_CHALLENGE_BYTES {
        return Err(Refused::ChallengeTooShort);
    }
    let bytes = Part::ClientData.within(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::ClientDataMalformed)?;
    let claimed: ClientData = serde_json::from_str(text).map_err(|_| Refused::ClientDataMalformed)?;
    if claimed.repeated {
        return Err(Refused::ClientDataRepeats);
    }
    if claimed.type_ != ceremony.type_name() {
        return Err(Refused::TypeMismatch);
    }
    // The specification compares the encoded text; so do we, which leaves no second spelling of one challenge.
    let expected = URL_SAFE_NO_PAD.encode(challenge);
    verify_slices_are_equal(claimed.challenge.as_bytes(), expected.as_bytes())
        .map_err(|_| Refused::ChallengeMismatch)?;
    if !rp.origins.contains(&claimed.origin) {
        return Err(Refused::OriginMismatch);
    }
    if claimed.cross_origin {
        return Err(Refused::CrossOrigin);
    }
    if claimed.top_origin {
        return Err(Refused::TopOrigin);
    }
    Ok(hash(bytes))
}

/// SHA-256 over the client data as it came.
pub(crate) fn hash(bytes: &[u8]) -> Digest {
    digest(&SHA256, bytes)
}

/// The members that are read. Others are ignored, as §5.8.1 asks, but none may appear twice: two readers of one
/// signed text must not be able to read two challenges.
struct ClientData {
    type_: String,
    challenge: String,
    origin: String,
    cross_origin: bool,
    /// Present at all, with whatever value.
    top_origin: bool,
    repeated: bool,
}

impl<'de> Deserialize<'de> for ClientData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ClientData;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with type, challenge and origin")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ClientData, A::Error> {
        use serde::de::Error as _;
        let mut names: Vec<String> = Vec::new();
        let (mut type_, mut challenge, mut origin) = (None, None, None);
        let (mut cross_origin, mut top_origin, mut repeated) = (false, false, false);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "type" => type_ = Some(members.next_value()?),
                "challenge" => challenge = Some(members.next_value()?),
                "origin" => origin = Some(members.next_value()?),
                "crossOrigin" => cross_origin = members.next_value()?,
                "topOrigin" => {
                    top_origin = true;
                    members.next_value::<IgnoredAny>()?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
            repeated |= names.contains(&name);
            names.push(name);
        }
        let missing = A::Error::missing_field;
        Ok(ClientData {
            type_: type_.ok_or_else(|| missing("type"))?,
            challenge: challenge.ok_or_else(|| missing("challenge"))?,
            origin: origin.ok_or_else(|| missing("origin"))?,
            cross_origin,
            top_origin,
            repeated,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: [u8; 16] = [7; 16];

    fn verdict(text: &str) -> Result<(), Refused> {
        let rp = RelyingParty {
            rp_id: "example.org".to_owned(),
            origins: vec!["https://example.org".to_owned(), "https://www.example.org".to_owned()],
        };
        let text = text.replace("CHALLENGE", &URL_SAFE_NO_PAD.encode(CHALLENGE));
        check(text.as_bytes(), Ceremony::Assertion, &rp, &CHALLENGE).map(|_| ())
    }

    #[test]
    fn what_browsers_write_is_read_with_members_of_the_future_ignored() {
        for text in [
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org"}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://www.example.org","crossOrigin":false}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","new":{"a":[1,null]}}"#,
            r#"{"tokenBinding":{"status":"supported"},"origin":"https:\/\/example.org","challenge":"CHALLENGE","type":"webauthn.get"}"#,
        ] {
            assert_eq!(verdict(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_however_it_is_spelled() {
        for text in [
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","challenge":"CHALLENGE","origin":"https://example.org"}"#,
            r#"{"type":"webauthn.get","challenge":"AAAA","ch\u0061llenge":"CHALLENGE","origin":"https://example.org"}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","x":1,"x":1}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","crossOrigin":true,"crossOrigin":false}"#,
        ] {
            assert_eq!(verdict(text), Err(Refused::ClientDataRepeats), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_such_an_object_is_refused() {
        for text in [
            "",
            "null",
            "[]",
            r#"["webauthn.get","CHALLENGE","https://example.org"]"#,
            "{}",
            r#"{"type":"webauthn.get","challenge":"CHALLENGE"}"#,
            r#"{"type":"webauthn.get","origin":"https://example.org"}"#,
            r#"{"challenge":"CHALLENGE","origin":"https://example.org"}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":null}"#,
            r#"{"type":"webauthn.get","challenge":["CHALLENGE"],"origin":"https://example.org"}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","crossOrigin":"true"}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","crossOrigin":null}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org"} {}"#,
            r#"{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","#,
            "\u{feff}{\"type\":\"webauthn.get\",\"challenge\":\"CHALLENGE\",\"origin\":\"https://example.org\"}",
        ] {
            assert_eq!(verdict(text), Err(Refused::ClientDataMalformed), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_even_in_an_ignored_member() {
        let rp = RelyingParty { rp_id: String::new(), origins: vec!["o".to_owned()] };
        let text = format!(
            r#"{{"type":"webauthn.get","challenge":"{}","origin":"o","x":"?"}}"#,
            URL_SAFE_NO_PAD.encode(CHALLENGE)
        );
        let bytes: Vec<u8> = text.bytes().map(|b| if b == b'?' { 0xff } else { b }).collect();
        assert!(check(text.as_bytes(), Ceremony::Assertion, &rp, &CHALLENGE).is_ok());
        let refused = check(&bytes, Ceremony::Assertion, &rp, &CHALLENGE).err();
        assert_eq!(refused, Some(Refused::ClientDataMalformed));
    }

    #[test]
    fn a_second_spelling_of_the_challenge_is_refused() {
        // 16 bytes end in a character with four spare bits: "Bw" and "Bx" decode alike where decoders are lenient.
        let exact = URL_SAFE_NO_PAD.encode(CHALLENGE);
        let spare = format!("{}x", exact.strip_suffix('w').unwrap());
        for spelling in [format!("{exact}=="), spare, format!(" {exact}"), String::new()] {
            let text = format!(
                r#"{{"type":"webauthn.get","challenge":"{spelling}","origin":"https://example.org"}}"#
            );
            assert_eq!(verdict(&text), Err(Refused::ChallengeMismatch), "{spelling}");
        }
    }

    #[test]
    fn a_top_origin_is_refused_even_where_cross_origin_is_false() {
        for value in [r#""https://example.org""#, "null"] {
            let text = format!(
                r#"{{"type":"webauthn.get","challenge":"CHALLENGE","origin":"https://example.org","crossOrigin":false,"topOrigin":{value}}}"#
            );
            assert_eq!(verdict(&text), Err(Refused::TopOrigin));
        }
    }
}
