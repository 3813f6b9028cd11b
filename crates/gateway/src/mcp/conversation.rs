//! What a request is part of, as far as answering it depends on that: a session of the legacy era, or in the modern era
//! nothing but itself.

use terms::revision::Era;
use terms::{Abilities, CallerId, Digest, Revision};
use upstream::SessionKey;

/// What a request is part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation {
    /// What is spoken in it. What is spoken with the upstream is settled apart from it.
    pub(crate) revision: Revision,
    /// Names the link that carries its calls.
    pub(crate) link: SessionKey,
    /// What its client says that it can.
    pub(crate) abilities: Abilities,
}

impl Conversation {
    /// A session of its own link. Its id itself stays here.
    pub(crate) fn session(id: &str, revision: Revision, abilities: Abilities) -> Self {
        Self { revision, link: key("stepup/session/v1\0", id.as_bytes()), abilities }
    }

    /// A request without a session: its calls go over the link of its caller, and no other caller's do.
    pub(crate) fn alone(caller: CallerId, revision: Revision, abilities: Abilities) -> Self {
        Self { revision, link: key("stepup/caller-link/v1\0", caller.bytes()), abilities }
    }

    /// Its era.
    pub(crate) const fn era(&self) -> Era {
        self.revision.era()
    }
}

fn key(domain: &str, bytes: &[u8]) -> SessionKey {
    SessionKey::new(*Digest::of(domain, &[bytes]).bytes())
}
