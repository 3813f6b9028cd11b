//! The exported log, read from its description alone.

use std::io::BufRead;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A log as far as it could be read, and what is wrong with its bytes.
#[derive(Debug, Default)]
pub struct Log {
    /// The records in leaf order.
    pub records: Vec<Record>,
    /// What is wrong with hashes, tree and checkpoint (O2).
    pub faults: Vec<String>,
}

/// One record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its leaf.
    pub leaf: usize,
    /// Its kind.
    pub kind: String,
    /// The node's clock, milliseconds since 1970.
    pub at: i64,
    /// Ids by name.
    pub refs: Map<String, Value>,
    /// The body; `Null` where it was erased.
    pub body: Value,
}

impl Record {
    /// The id of that name that the record refers to.
    #[must_use]
    pub fn refers(&self, name: &str) -> Option<&str> {
        self.refs.get(name).and_then(Value::as_str)
    }
}

/// Why a file is not an exported log at all.
#[derive(Debug, thiserror::Error)]
pub enum NotALog {
    /// It cannot be read.
    #[error("the log cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line has another form than the page says.
    #[error("line {line} of the log: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// Header or checkpoint is missing.
    #[error("the log has no {0}")]
    Missing(&'static str),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    origin: String,
    #[serde(rename = "install")]
    _install: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaf {
    leaf: usize,
    envelope: String,
    hash: String,
    body: Option<String>,
    salt: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    v: u8,
    #[serde(rename = "id")]
    _id: String,
    at: i64,
    #[serde(rename = "node")]
    _node: String,
    kind: String,
    refs: Map<String, Value>,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    checkpoint: String,
}

type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Reads a whole log. `key` is the auditor's copy of the log's key; without it the header's is taken at its word.
///
/// # Errors
/// [`NotALog`] where there is nothing to judge. What can be judged and is wrong is in [`Log::faults`].
pub fn read(mut input: impl BufRead, key: Option<&str>) -> Result<Log, NotALog> {
    let mut text = String::new();
    input.read_to_string(&mut text)?;
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    let (first, rest) = lines.split_first().ok_or(NotALog::Missing("header"))?;
    let header: Header = parse(first, 1)?;
    let (last, leaves) = rest.split_last().ok_or(NotALog::Missing("checkpoint"))?;
    let end: End = parse(last, lines.len()).map_err(|_| NotALog::Missing("checkpoint"))?;
    let mut log = Log { faults: otherwise_written(&text, &lines), ..Log::default() };
    if header.format != "stepup-log/1" {
        log.faults.push(format!("the format is {}", header.format));
    }
    let mut hashes = Vec::new();
    for (i, line) in leaves.iter().enumerate() {
        let leaf: Leaf = parse(line, i.saturating_add(2))?;
        let envelope: Envelope = parse(&leaf.envelope, i.saturating_add(2))?;
        hashes.push(sha256(&[&[0], leaf.envelope.as_bytes()]));
        let hash = hashes.last().map(|hash| URL_SAFE_NO_PAD.encode(hash)).unwrap_or_default();
        let mut fault = |what: &str| log.faults.push(format!("leaf {i}: {what}"));
        if leaf.leaf != i {
            fault("is at another place than it says");
        }
        if leaf.hash != hash {
            fault("has another hash than it says");
        }
        if envelope.v != 1 {
            fault("is of another version");
        }
        let body = body(&leaf, &envelope.body).unwrap_or_else(|what| {
            fault(what);
            Value::Null
        });
        log.records.push(Record { leaf: i, kind: envelope.kind, at: envelope.at, refs: envelope.refs, body });
    }
    let key = key.unwrap_or(&header.key);
    if let Err(what) = checkpoint(&end.checkpoint, key, &header.origin, &hashes) {
        log.faults.push(what.to_owned());
    }
    erasures(&mut log);
    Ok(log)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, line: usize) -> Result<T, NotALog> {
    serde_json::from_str(text).map_err(|e| NotALog::Line { line, why: e.to_string() })
}

/// The lines that are not canonical JSON, and the end of one that is not one newline: the same log has the same file.
fn otherwise_written(text: &str, lines: &[&str]) -> Vec<String> {
    let canonical = |line: &str| {
        serde_json::from_str(line).is_ok_and(|mut value: Value| {
            // Names are ASCII and numbers whole here, so that this is RFC 8785.
            value.sort_all_objects();
            serde_json::to_string(&value).is_ok_and(|written| written == line)
        })
    };
    let wrong = lines.iter().enumerate().filter(|(_, line)| !canonical(line));
    let wrong = wrong.map(|(i, _)| format!("line {} is not canonical JSON", i.saturating_add(1)));
    let unended = (!text.ends_with('\n')).then(|| "the last line has no end".to_owned());
    wrong.chain(unended).collect()
}

/// The body, if it is the one that the envelope states.
fn body(leaf: &Leaf, stated: &str) -> Result<Value, &'static str> {
    let (body, salt) = match (&leaf.body, &leaf.salt) {
        (Some(body), Some(salt)) => (body, URL_SAFE_NO_PAD.decode(salt).map_err(|_| "has no salt")?),
        (None, None) => return Ok(Value::Null),
        _ => return Err("has a body without a salt or a salt without a body"),
    };
    let digest = sha256(&[&salt, body.as_bytes()]);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if salt.len() != 16 || stated.strip_prefix("sha256:") != Some(&digest) {
        return Err("has another body than it states");
    }
    serde_json::from_str(body).map_err(|_| "has a body that is not JSON")
}

/// Every body that is gone was said to be.
fn erasures(log: &mut Log) {
    let said = |record: &Record| {
        let leaf = record.body.get("leaf").and_then(Value::as_u64)?;
        (record.kind == "erased").then(|| usize::try_from(leaf).ok())?
    };
    let erased: std::collections::BTreeSet<usize> = log.records.iter().filter_map(said).collect();
    let gone = |record: &&Record| record.body.is_null() && !erased.contains(&record.leaf);
    let faults: Vec<String> = log
        .records
        .iter()
        .filter(gone)
        .map(|record| format!("leaf {}: its body is gone, and no record says so", record.leaf))
        .collect();
    log.faults.extend(faults);
}

/// The tree of RFC 6962 §2.1, as it is defined there.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().div_ceil(2).next_power_of_two();
            let (left, right) = leaves.split_at_checked(half).unwrap_or((leaves, &[]));
            sha256(&[&[1], &root(left), &root(right)])
        }
    }
}

/// The note is signed by the key, and signs the size and root of these leaves.
fn checkpoint(note: &str, key: &str, origin: &str, leaves: &[Hash]) -> Result<(), &'static str> {
    let (text, signatures) = note.rsplit_once("\n\n").ok_or("the checkpoint is no signed note")?;
    let text = format!("{text}\n");
    let expected = format!("{origin}\n{}\n{}\n", leaves.len(), STANDARD.encode(root(leaves)));
    if text != expected {
        return Err("the checkpoint signs another size or root than the leaves have");
    }
    let mut parts = key.splitn(3, '+');
    let (name, id, encoded) = (parts.next(), parts.next(), parts.next());
    let public = encoded.and_then(|encoded| STANDARD.decode(encoded).ok()).unwrap_or_default();
    let public = public.strip_prefix(&[1]).ok_or("the key is not an Ed25519 verifier key")?;
    let name = name.filter(|name| *name == origin).ok_or("the key is of another log")?;
    let line = format!("\u{2014} {name} ");
    let only = signatures.strip_suffix('\n').filter(|only| !only.contains('\n'));
    let only = only.ok_or("the checkpoint does not have exactly one signature")?;
    let signature = only.strip_prefix(&line).and_then(|encoded| STANDARD.decode(encoded).ok());
    let signature = signature.ok_or("the checkpoint is not signed by the log")?;
    let (signer, signature) =
        signature.split_at_checked(4).ok_or("the checkpoint's signature is too short")?;
    let signer: String = signer.iter().map(|byte| format!("{byte:02x}")).collect();
    if id != Some(signer.as_str()) {
        return Err("the checkpoint is signed by another key");
    }
    UnparsedPublicKey::new(&ED25519, public)
        .verify(text.as_bytes(), signature)
        .map_err(|_| "the checkpoint's signature is not valid")
}
