//! The proof that one record is in the log, for whoever is not shown the rest: the entry, the path to the root, and
//! the signed checkpoint that has this root.

use terms::hash::{b64url, from_b64url};
use terms::{Digest, Json};

use crate::export::{Contents, Entry};
use crate::note::{Checkpoint, VerifierKey};
use crate::record::body_digest;
use crate::tree::{Leaves, leaf_hash, prove_inclusion, verify_inclusion};
use crate::verify::Broken;

/// What the proof says that it is.
const FORMAT: &str = "stepup-proof/1";

/// One record with its place in one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The record. Without its contents the proof is of the envelope alone.
    pub entry: Entry,
    /// Sibling roots from the leaf upwards.
    pub path: Vec<Digest>,
    /// The note that holds the checkpoint.
    pub checkpoint: String,
}

impl Proof {
    /// Proves an entry under a checkpoint over the first `size` of these leaves; `None` when it is not among them.
    #[must_use]
    pub fn of(entry: Entry, leaves: &(impl Leaves + ?Sized), size: u64, checkpoint: String) -> Option<Self> {
        let path = prove_inclusion(leaves, entry.leaf, size)?;
        Some(Self { entry, path, checkpoint })
    }

    /// The proof as one JSON text.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let path: Vec<_> = self.path.iter().map(|hash| b64url(hash.bytes())).collect();
        Json::object([
            ("format", Json::from(FORMAT)),
            ("entry", self.entry.to_json()),
            ("path", Json::from(path)),
            ("checkpoint", Json::from(self.checkpoint.as_str())),
        ])
    }

    /// What [`Proof::to_json`] wrote; `None` for any other shape.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let path = json.get("path")?.as_array()?.iter();
        let hash = |hash: &Json| Digest::from_slice(&from_b64url(hash.as_str()?)?);
        let proof = Self {
            entry: Entry::from_json(json.get("entry")?.clone())?,
            path: path.map(hash).collect::<Option<_>>()?,
            checkpoint: json.get("checkpoint")?.as_str()?.to_owned(),
        };
        (proof.to_json() == *json).then_some(proof)
    }

    /// Checks that the record is in the log that the key signs, and gives the checkpoint that says so.
    ///
    /// # Errors
    /// [`Broken`] names what does not fit.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, Broken> {
        let Entry { leaf, envelope, contents, .. } = &self.entry;
        let broken = |what: &str| Broken { leaf: Some(*leaf), what: what.to_owned() };
        let checkpoint = key.open(&self.checkpoint).map_err(|e| broken(&e.to_string()))?;
        let hash = leaf_hash(envelope.as_bytes());
        let head = checkpoint.head;
        if hash != self.entry.hash || !verify_inclusion(hash, *leaf, head.size, &self.path, head.root) {
            return Err(broken("the checkpoint does not have this record at this leaf"));
        }
        let stated = terms::json::parse(envelope.as_bytes()).ok();
        let stated = stated.as_ref().and_then(|envelope| envelope.get("body")).and_then(Json::as_str);
        let body = |Contents { body, salt }: &Contents| body_digest(salt, body.as_bytes()).to_string();
        match contents {
            Some(contents) if stated != Some(&body(contents)) => {
                Err(broken("its body is not the one that was recorded"))
            }
            Some(_) | None => Ok(checkpoint),
        }
    }
}
