//! The log as a file: written from the store, verified from its bytes and a key alone.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use audit::export::{Contents, Entry, Header, Writer};
use audit::{Asserted, Checkpoint, Trust, VerifierKey};
use passkey::{Aaguid, Assertion, Backup, Credential, PublicKey, RelyingParty};
use terms::Json;
use terms::hash::from_b64url;

use crate::cli::Desk;

/// Records read from the store at once.
const PAGE: u32 = 1000;

/// Writes the whole log as it is now; answers how many records. The file appears whole or not at all.
///
/// # Errors
/// What reading the store or writing the file fails with.
pub async fn export(desk: &Desk, file: &Path) -> Result<u64, String> {
    let store = desk.authority.store();
    desk.checkpoint().await.map_err(|e| e.to_string())?;
    let (head, note) = store
        .last_checkpoint()
        .await
        .map_err(|e| e.to_string())?
        .ok_or_else(|| "no checkpoint has been signed yet".to_owned())?;
    let header = Header {
        origin: desk.config.log.origin.clone(),
        install: desk.authority.active().install(),
        key: desk.log_key.clone(),
    };
    let part = file.with_extension("part");
    let io = |e: std::io::Error| e.to_string();
    let out = BufWriter::new(File::create(&part).map_err(io)?);
    let mut writer = Writer::begin(out, &header).map_err(io)?;
    let mut leaf = 0;
    while leaf < head.size {
        let page = store.records(leaf, PAGE).await.map_err(|e| e.to_string())?;
        if page.is_empty() {
            return Err(format!("the store ends before leaf {leaf}"));
        }
        for line in page.into_iter().take_while(|line| line.leaf < head.size) {
            writer.entry(&entry(line)?).map_err(io)?;
            leaf += 1;
        }
    }
    writer.end(&note).map_err(io)?.get_ref().sync_all().map_err(io)?;
    std::fs::rename(&part, file).map_err(io)?;
    Ok(head.size)
}

fn entry(line: authority::LogLine) -> Result<Entry, String> {
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| format!("leaf {} is not text", line.leaf));
    let hash = audit::tree::leaf_hash(&line.envelope);
    let contents = match line.body {
        Some((body, salt)) => Some(Contents { body: text(body)?, salt }),
        None => None,
    };
    Ok(Entry { leaf: line.leaf, hash, envelope: text(line.envelope)?, contents })
}

/// Why a file was not verified.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// Nothing is known of the file: it, or the key, could not be read.
    #[error("{0}")]
    NotRead(String),
    /// The file is not the log that was signed.
    #[error("{0}")]
    Broken(String),
}

/// Verifies an exported file under a key from elsewhere, and that it extends heads that were kept; answers how many records it holds.
///
/// # Errors
/// The first thing that is wrong, in one sentence.
pub fn verify(file: &Path, key: &str, earlier: &[PathBuf]) -> Result<u64, NotVerified> {
    let not_read = |what: String| NotVerified::NotRead(what);
    let key: VerifierKey = key.trim().parse().map_err(|e| not_read(format!("the key: {e}")))?;
    let log = File::open(file).map_err(|e| not_read(format!("{}: {e}", file.display())))?;
    let head = |path: &PathBuf| match crate::head::read(path, &key) {
        Ok(Some(head)) => Ok(head),
        Ok(None) => Err(not_read(format!("{}: there is no such file", path.display()))),
        Err(error) => Err(not_read(error.to_string())),
    };
    let earlier = earlier.iter().map(head).collect::<Result<Vec<Checkpoint>, _>>()?;
    let trust = Trust { key: &key, earlier: &earlier, assertions: &signed_by_passkey };
    let report = audit::verify(BufReader::new(log), &trust)
        .map_err(|broken| NotVerified::Broken(broken.to_string()))?;
    Ok(report.checkpoint.head.size)
}

/// Checks an approval with the very code that accepted it.
///
/// # Errors
/// Why the signature does not stand.
pub fn signed_by_passkey(asserted: &Asserted<'_>) -> Result<(), String> {
    let bytes = |name: &str| {
        let text = asserted.assertion.get(name).and_then(Json::as_str);
        text.and_then(from_b64url).ok_or_else(|| format!("it has no {name}"))
    };
    let passkey = asserted.passkey;
    let id = from_b64url(&passkey.credential).ok_or("its credential is not base64url")?;
    let cose = from_b64url(&passkey.public_key).ok_or("its key is not base64url")?;
    let credential = Credential {
        id: id.clone(),
        public_key: PublicKey::from_cose(&cose).map_err(|e| e.to_string())?,
        aaguid: Aaguid([0; 16]),
        sign_count: passkey.sign_count,
        backup: Backup::from_flags(passkey.backup_eligible, passkey.backed_up).map_err(|e| e.to_string())?,
    };
    let response = Assertion {
        credential_id: id,
        client_data_json: bytes("clientDataJSON")?,
        authenticator_data: bytes("authenticatorData")?,
        signature: bytes("signature")?,
        user_handle: None,
    };
    let rp = RelyingParty { rp_id: asserted.rp.id.clone(), origins: asserted.rp.origins.clone() };
    passkey::recheck(&rp, asserted.challenge.bytes(), &credential, &response)
        .map(|_| ())
        .map_err(|refused| refused.to_string())
}
