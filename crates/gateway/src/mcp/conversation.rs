//! What a request is part of, as far as answering it depends on that: a session of the legacy era, or in the modern era
//! nothing but itself.

use terms::revision::Era;
use terms::{Abilities, CallerId, Digest, Level, Revision};
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
    /// The least severe messages that it asked to be told of what its calls log.
    pub(crate) level: Option<Level>,
}

impl Conversation {
    /// A session of its own link. Its id itself stays here.
    pub(crate) fn session(id: &str, revision: Revision, abilities: Abilities) -> Self {
        Self { revision, link: key("stepup/session/v1\0", id.as_bytes()), abilities, level: None }
    }

    /// A request without a session: its calls go over the link of its caller, and no other caller's do.
    pub(crate) fn alone(caller: CallerId, revision: Revision, abilities: Abilities) -> Self {
        Self { revision, link: key("stepup/caller-link/v1\0", caller.bytes()), abilities, level: None }
    }

    /// The least severe messages that it is told. Who asks for none in a session is told what a server decides (MCP
    /// 2025-11-25, logging), here always the same; in the modern era, nothing (2026-07-28, "Per-request log level").
    pub(crate) fn hears(&self) -> Option<Level> {
        match self.era() {
            Era::Legacy => self.level.or(Some(Level::Info)),
            Era::Modern => self.level,
        }
    }

    /// Its era.
    pub(crate) const fn era(&self) -> Era {
        self.revision.era()
    }
}

fn key(domain: &str, bytes: &[u8]) -> SessionKey {
    SessionKey::new(*Digest::of(domain, &[bytes]).bytes())
}
