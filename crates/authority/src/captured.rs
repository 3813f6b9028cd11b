//! A credential that an answer held: it is sealed as soon as it is read, kept with the outcome of its attempt in one commit, and opened for
//! the wire alone (decisions A15, rfd 38).

use terms::{Access, Ambient, Digest, Json, Sealer, Secret, Slug};

use crate::active::Active;
use crate::authority::Authority;
use crate::permit::{Settlement, Stale};

/// Bytes of a credential. A shorter text is none, and would be found by chance in what is passed on.
const SHORTEST: usize = 8;
const LONGEST: usize = 4096;

/// What credentials are sealed for.
const PURPOSE: &str = "credential";

/// One credential, sealed, on its way into the store.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) upstream: String,
    pub(crate) text: String,
}

/// A credential that an answer held, for the wire alone.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The value.
    pub value: Secret<String>,
    /// What was configured when it was captured: where something else is configured by now, that is the newer word.
    pub instead_of: Digest,
}

/// Tells the credential that is configured from every other; `None` for none.
#[must_use]
pub fn configured(value: Option<&Secret<String>>) -> Digest {
    Digest::of("stepup/credential/v1\0", &[value.map_or(&[][..], |value| value.expose().as_bytes())])
}

/// Whether a value can be a credential: a text that a header can hold, of a length that some have.
#[must_use]
pub fn is_credential(value: &Json) -> bool {
    value.as_str().is_some_and(|text| {
        (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    })
}

pub(crate) fn sealer(key: &terms::access::SealKey) -> Sealer {
    Sealer::new(key, PURPOSE)
}

impl Captured {
    fn seal(&self, sealer: &Sealer, ambient: &dyn Ambient, upstream: &str) -> Option<Sealed> {
        let members = [
            ("value", Json::from(self.value.expose().as_str())),
            ("instead_of", Json::from(self.instead_of.to_string())),
        ];
        let clear = Secret::new(Json::object(members).text());
        let text = sealer.seal(ambient, upstream.as_bytes(), clear.expose())?;
        Some(Sealed { upstream: upstream.to_owned(), text })
    }

    fn open(sealer: &Sealer, upstream: &str, sealed: &str) -> Option<Self> {
        let clear = Secret::new(sealer.open(upstream.as_bytes(), sealed)?);
        let json = terms::json::parse(clear.expose().as_bytes()).ok()?;
        let text = |name: &str| json.get(name)?.as_str();
        Some(Self {
            value: Secret::new(text("value")?.to_owned()),
            instead_of: text("instead_of")?.parse().ok()?,
        })
    }
}

impl Active {
    /// What the upstream of an access is authenticated with, where an answer held that.
    ///
    /// # Errors
    /// [`Stale`] where it is there and cannot be opened: the one that is configured may be one that must not be used any more.
    pub(crate) fn captured(&self, sealer: &Sealer, access: &Access) -> Result<Option<Captured>, Stale> {
        let sealed = access.reaches().and_then(|upstream| Some((upstream, self.credentials.get(upstream)?)));
        let open = |(upstream, sealed): (&str, &String)| {
            Captured::open(sealer, upstream, sealed).ok_or(Stale(Slug::StateInvalid))
        };
        sealed.map(open).transpose()
    }
}

impl Authority {
    /// Takes a credential that an answer held, to be kept with the outcome of its attempt. `false` where it cannot be sealed.
    #[must_use]
    pub fn capture(&self, settlement: &mut Settlement, upstream: &str, captured: &Captured) -> bool {
        let sealed = captured.seal(&self.settler.sealer, self.ambient.as_ref(), upstream);
        sealed.is_some_and(|sealed| settlement.captured(sealed))
    }
}
