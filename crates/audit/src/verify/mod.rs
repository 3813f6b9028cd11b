//! Verification of a whole log, in one pass and without trusting whoever handed it over (decisions B17): that its
//! bytes are what the checkpoint signs, and that what the records say can have happened.
//!
//! Stored bytes are hashed as they are and parsed once; nothing is made canonical again but what a person signed and
//! the accesses (decisions A26).

mod consent;
mod life;
mod met;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::BufRead;

use terms::{Digest, InstallId, Json, RecordId, Time};

use crate::body::{Erased, PasskeyEnrolled, RelyingParty};
use crate::envelope::Envelope;
use crate::export::{Contents, Entry, Header, Line, Reader, Unreadable};
use crate::note::{Checkpoint, VerifierKey};
use crate::record::{Kind, body_digest};
use crate::tree::{Frontier, Head, leaf_hash};
use life::Life;

/// What the verifier trusts and brings along.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// The log's public key, from elsewhere than the log.
    pub key: &'a VerifierKey,
    /// Checkpoints that were seen before: the log must extend each of them (T138).
    pub earlier: &'a [Checkpoint],
    /// Checks signatures by passkeys.
    pub assertions: &'a dyn AssertionCheck,
}

/// Checks what a passkey signed. This crate knows no WebAuthn beyond the challenge; the binary plugs `passkey` in.
pub trait AssertionCheck {
    /// Whether the passkey signed this challenge for this relying party.
    ///
    /// # Errors
    /// Why not, in words that follow "its assertion is refused: ".
    fn check(&self, asserted: &Asserted<'_>) -> Result<(), String>;
}

impl<F: Fn(&Asserted<'_>) -> Result<(), String>> AssertionCheck for F {
    fn check(&self, asserted: &Asserted<'_>) -> Result<(), String> {
        self(asserted)
    }
}

/// One assertion with what it is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Asserted<'a> {
    /// The challenge: the hash of the statement.
    pub challenge: Digest,
    /// The relying party, as the last `started` before says.
    pub rp: &'a RelyingParty,
    /// The passkey, as its `passkey_enrolled` says.
    pub passkey: &'a PasskeyEnrolled,
    /// `clientDataJSON`, `authenticatorData` and `signature`, base64url.
    pub assertion: &'a Json,
}

/// What a sound log says in sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The installation.
    pub install: InstallId,
    /// The checkpoint that the whole log has.
    pub checkpoint: Checkpoint,
    /// How many records there are of each kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// How many signatures by people were checked.
    pub signatures: u64,
    /// How many bodies were erased, each with its record of the erasure.
    pub erased: u64,
    /// Leaves of which something could not be checked because a body that it needs was erased.
    pub unproven: Vec<u64>,
    /// How many attempts have no outcome yet.
    pub open_attempts: u64,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    /// The leaf, from 0; `None` where it is not one leaf.
    pub leaf: Option<u64>,
    /// What is wrong, in one sentence.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.leaf {
            Some(leaf) => write!(f, "leaf {leaf}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl Broken {
    fn whole(what: impl Into<String>) -> Self {
        Self { leaf: None, what: what.into() }
    }
}

/// What is wrong with one record.
pub(crate) struct Wrong(String);

impl<T: Into<String>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self(what.into())
    }
}

/// Fails with the sentence unless the condition holds.
fn must(holds: bool, what: &str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// How far two clocks may be apart before a node denies everything (decisions B7), in milliseconds.
const SKEW: i64 = 1000;

/// Whether `at` is after `limit` even if the clocks were as far apart as they may be.
const fn surely_after(at: Time, limit: Time) -> bool {
    at.millis() > limit.millis().saturating_add(SKEW)
}

/// Verifies an exported log.
///
/// # Errors
/// [`Broken`]: the first thing that is wrong.
pub fn verify(log: impl BufRead, trust: &Trust<'_>) -> Result<Report, Broken> {
    let (header, mut reader) = Reader::begin(log).map_err(|e| Broken::whole(e.to_string()))?;
    let mut verification = Verification::begin(&header, *trust)?;
    loop {
        let leaf = verification.frontier.size();
        let unreadable = |e: Unreadable| Broken { leaf: Some(leaf), what: e.to_string() };
        match reader.next().map_err(unreadable)? {
            Line::Entry(entry) => verification.entry(&entry)?,
            Line::Checkpoint(note) => {
                reader.end().map_err(|e| Broken::whole(e.to_string()))?;
                return verification.end(&note);
            }
        }
    }
}

/// A verification under way, for whoever has the entries at hand without a file.
pub struct Verification<'a> {
    trust: Trust<'a>,
    frontier: Frontier,
    ids: HashSet<RecordId>,
    kinds: BTreeMap<Kind, u64>,
    /// Leaves whose bodies are gone and whose erasure has no record yet.
    gone: BTreeSet<u64>,
    erased: u64,
    life: Life<'a>,
}

impl std::fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").field("size", &self.frontier.size()).finish_non_exhaustive()
    }
}

impl<'a> Verification<'a> {
    /// Begins with the header of the log.
    ///
    /// # Errors
    /// [`Broken`] when the header is of another log than the one whose key is trusted.
    pub fn begin(header: &Header, trust: Trust<'a>) -> Result<Self, Broken> {
        if header.key != trust.key.to_string() || header.origin != trust.key.name() {
            return Err(Broken::whole(format!(
                "the log says that it is signed by {}, which is not the key that you trust",
                header.key
            )));
        }
        Ok(Self {
            trust,
            frontier: Frontier::new(),
            ids: HashSet::new(),
            kinds: BTreeMap::new(),
            gone: BTreeSet::new(),
            erased: 0,
            life: Life::new(header.install, trust.assertions),
        })
    }

    /// Takes the next leaf.
    ///
    /// # Errors
    /// [`Broken`] names this leaf or, where it proves an earlier one wrong, that one.
    pub fn entry(&mut self, entry: &Entry) -> Result<(), Broken> {
        let leaf = self.frontier.size();
        let broken = |Wrong(what)| Broken { leaf: Some(leaf), what };
        let envelope = self.envelope(leaf, entry).map_err(broken)?;
        self.frontier.append(entry.hash);
        self.extends_earlier().map_err(broken)?;
        *self.kinds.entry(envelope.kind).or_default() += 1;
        if entry.contents.is_none() {
            self.gone.insert(leaf);
        }
        let body = self.life.take(leaf, &envelope, entry.contents.as_ref()).map_err(broken)?;
        match body {
            Some(erased) => self.erasure(leaf, &erased),
            None => Ok(()),
        }
    }

    /// The envelope, after all that can be checked of bytes alone.
    fn envelope(&mut self, leaf: u64, entry: &Entry) -> Result<Envelope, Wrong> {
        must(entry.leaf == leaf, "this place has another leaf's line: one was added, removed or moved")?;
        must(
            leaf_hash(entry.envelope.as_bytes()) == entry.hash,
            "its envelope was altered after it was hashed",
        )?;
        let envelope =
            Envelope::read(entry.envelope.as_bytes()).ok_or("its envelope is not one of this format")?;
        match &entry.contents {
            Some(Contents { body, salt }) => {
                must(
                    body_digest(salt, body.as_bytes()) == envelope.body,
                    "its body is not the one that was recorded",
                )?;
            }
            None => must(envelope.kind.erasable(), "its body is missing, and such a body is never erased")?,
        }
        must(self.ids.insert(envelope.id), "its id is that of an earlier record")?;
        must(leaf > 0 || envelope.kind == Kind::Started, "a log begins with a record of kind started")?;
        Ok(envelope)
    }

    /// Computes a root only where an earlier checkpoint asks for one, as it costs a logarithm of hashes.
    fn extends_earlier(&self) -> Result<(), Wrong> {
        let mut here = self.trust.earlier.iter().filter(|earlier| earlier.head.size == self.frontier.size());
        must(
            here.all(|earlier| earlier.head == self.head()),
            "up to here the log is not the one that an earlier checkpoint signed",
        )
    }

    /// The head of what was taken so far.
    fn head(&self) -> Head {
        Head { size: self.frontier.size(), root: self.frontier.root() }
    }

    fn erasure(&mut self, leaf: u64, erased: &Erased) -> Result<(), Broken> {
        let target = u64::from(erased.leaf);
        if target >= leaf {
            return Err(Broken { leaf: Some(leaf), what: "it says that a later body was erased".to_owned() });
        }
        if !self.gone.remove(&target) {
            let what =
                format!("leaf {leaf} says that its body was erased, yet it is here or was erased before");
            return Err(Broken { leaf: Some(target), what });
        }
        self.erased += 1;
        Ok(())
    }

    /// Ends with the note that holds the checkpoint.
    ///
    /// # Errors
    /// [`Broken`] when the checkpoint is not signed by the trusted key, or signs another log.
    pub fn end(self, note: &str) -> Result<Report, Broken> {
        let checkpoint = self.trust.key.open_alone(note).map_err(|e| Broken::whole(e.to_string()))?;
        let head = self.head();
        if checkpoint.head.size != head.size {
            let (signed, is) = (checkpoint.head.size, head.size);
            let what = format!("the checkpoint signs {signed} leaves, and the log has {is}");
            return Err(Broken { leaf: (is < signed).then_some(is), what });
        }
        if checkpoint.head.root != head.root {
            let what = "the leaves do not hash to the root that was signed: at least one was altered";
            return Err(Broken::whole(what));
        }
        if let Some(earlier) = self.trust.earlier.iter().find(|earlier| earlier.head.size > head.size) {
            let what = format!(
                "an earlier checkpoint signed {} leaves, of which this one is gone",
                earlier.head.size
            );
            return Err(Broken { leaf: Some(head.size), what });
        }
        if let Some(leaf) = self.gone.first() {
            let what = "its body is missing, and no record says that it was erased".to_owned();
            return Err(Broken { leaf: Some(*leaf), what });
        }
        let life = self.life.end()?;
        Ok(Report {
            install: life.install,
            checkpoint,
            kinds: self.kinds,
            signatures: life.signatures,
            erased: self.erased,
            unproven: life.unproven,
            open_attempts: life.open_attempts,
        })
    }
}
