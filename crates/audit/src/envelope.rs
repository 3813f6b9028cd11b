//! An envelope as it is read: the published part of a record, whose bytes are the leaf.

use terms::json::{Limits, parse_within};
use terms::{AttemptId, CallerId, Digest, ElevationId, GrantId, Json, PolicyHash, RecordId, Time};

use crate::record::Kind;

/// An envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The record's id.
    pub id: RecordId,
    /// When it was written.
    pub at: Time,
    /// Its kind.
    pub kind: Kind,
    /// What it refers to.
    pub refs: References,
    /// The salted digest of its body.
    pub body: Digest,
}

/// What an envelope refers to; the access only by its salted hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The caller.
    pub caller: Option<CallerId>,
    /// The elevation.
    pub elevation: Option<ElevationId>,
    /// The grant.
    pub grant: Option<GrantId>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// See [`crate::record::salted`].
    pub access_hash: Option<Digest>,
    /// The policy in force.
    pub policy: Option<PolicyHash>,
}

impl Envelope {
    /// What envelopes are at most; [`crate::Draft::seal`] stays far below.
    const LIMITS: Limits = Limits { bytes: 16 << 10, depth: 2, items: 32, string: 8 << 10 };

    /// Reads the bytes of a leaf; `None` for any other form than that of this format.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let json = parse_within(bytes, Self::LIMITS).ok()?;
        let envelope = json.as_object()?;
        let text = |name: &str| envelope.get(name).and_then(Json::as_str);
        let known = envelope.len() == 7 && envelope.get("v")?.as_i64() == Some(1) && text("node").is_some();
        known.then_some(())?;
        Some(Self {
            id: text("id")?.parse().ok()?,
            at: Time::from_millis(envelope.get("at")?.as_i64()?),
            kind: Kind::named(text("kind")?)?,
            refs: References::read(envelope.get("refs")?)?,
            body: text("body")?.parse().ok()?,
        })
    }
}

impl References {
    fn read(json: &Json) -> Option<Self> {
        let mut refs = Self::default();
        for (name, value) in json.as_object()?.iter() {
            let text = value.as_str()?;
            match name {
                "caller" => refs.caller = Some(text.parse().ok()?),
                "elevation" => refs.elevation = Some(text.parse().ok()?),
                "grant" => refs.grant = Some(text.parse().ok()?),
                "attempt" => refs.attempt = Some(text.parse().ok()?),
                "access_hash" => refs.access_hash = Some(text.parse().ok()?),
                "policy" => refs.policy = Some(PolicyHash::from_digest(text.parse().ok()?)),
                _ => return None,
            }
        }
        Some(refs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Draft, Refs, body_digest, salted};
    use terms::AccessHash;

    #[test]
    fn what_was_sealed_is_read_again_with_all_that_it_refers_to() {
        let (access, policy) =
            (Digest::plain(b"an access"), PolicyHash::from_digest(Digest::plain(b"rules")));
        let refs = Refs {
            caller: CallerId::from_slice(&[3; 16]),
            elevation: ElevationId::from_slice(&[4; 16]),
            grant: GrantId::from_slice(&[5; 16]),
            attempt: AttemptId::from_slice(&[6; 16]),
            access_hash: Some(AccessHash::from_digest(access)),
            policy: Some(policy),
        };
        let (id, at) = (RecordId::from_slice(&[1; 16]).unwrap(), Time::from_millis(1_700_000_000_000));
        let body = Json::object([("outcome", "done")]);
        let draft = Draft { id, at, node: "a".to_owned(), kind: Kind::Settled, refs: refs.clone(), body };
        let record = draft.seal([7; 16]);
        let references = References {
            caller: refs.caller,
            elevation: refs.elevation,
            grant: refs.grant,
            attempt: refs.attempt,
            access_hash: Some(salted(&[7; 16], AccessHash::from_digest(access))),
            policy: Some(policy),
        };
        let digest = body_digest(&[7; 16], &record.body);
        let expected = Envelope { id, at, kind: Kind::Settled, refs: references, body: digest };
        assert_eq!(Envelope::read(&record.envelope), Some(expected));
        let text = String::from_utf8(record.envelope).unwrap();
        for other in
            [text.replace("\"grant\"", "\"grants\""), text.replace("\"v\":1", "\"v\":2"), text + " {}"]
        {
            assert_eq!(Envelope::read(other.as_bytes()), None, "{other}");
        }
    }
}
