//! Signed notes and checkpoints, as <https://c2sp.org/signed-note> and <https://c2sp.org/tlog-checkpoint> have them,
//! so that witnesses and other people's verifiers can read ours. Ed25519 only; the key's name is the log's origin.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::Digest;

use crate::tree::Head;

/// The signature type of Ed25519.
const ED25519_TYPE: u8 = 1;

/// The most signature lines that a note may have: our own, and room for witnesses.
const MAX_SIGNATURES: usize = 64;

/// The most bytes that a note may have.
pub const MAX_NOTE: usize = 64 << 10;

/// The em dash and the space before every signature.
const DASH: &str = "\u{2014} ";

/// Why a note or a key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANote {
    /// Names have neither spaces nor a plus, and at least one character.
    #[error("a key's name must not be empty and must have neither spaces nor a plus")]
    Name,
    /// The text of a verifier key.
    #[error("not a verifier key: expected name+hash+key of Ed25519, where the hash belongs to name and key")]
    Key,
    /// Private key bytes.
    #[error("not an Ed25519 private key")]
    PrivateKey,
    /// The form of a note.
    #[error("not a signed note: expected text, a blank line and signature lines")]
    Form,
    /// No line is by the trusted key.
    #[error("the note is not signed by the key {0:08x}")]
    Unsigned(u32),
    /// A line claims to be by the trusted key and is not.
    #[error("the signature by the key {0:08x} is not valid")]
    Forged(u32),
    /// Signatures beside the key's own, where only that is taken.
    #[error("the note has more than the one signature that the log's key {0:08x} made of it")]
    Crowded(u32),
    /// The text is signed, yet no checkpoint.
    #[error("the signed text is not a checkpoint: expected origin, size and root")]
    Checkpoint,
    /// A checkpoint of another log.
    #[error("the checkpoint is of another log than its key")]
    Origin,
}

/// What a log says of itself: so many leaves, with this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: the same as its key's.
    pub origin: String,
    /// Size and root.
    pub head: Head,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, STANDARD.encode(self.head.root.bytes()))
    }

    /// What [`Checkpoint::text`] wrote. Extension lines are refused: nobody could audit them.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size = size.parse().ok()?;
        let root = Digest::from_slice(&STANDARD.decode(root).ok()?)?;
        let checkpoint = Self { origin: origin.to_owned(), head: Head { size, root } };
        (lines.next().is_none() && checkpoint.text() == text).then_some(checkpoint)
    }
}

/// The key that checkpoints are signed with. Its private half is never printed.
pub struct CheckpointKey {
    pair: Ed25519KeyPair,
    public: VerifierKey,
}

impl std::fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl CheckpointKey {
    /// From the 32 bytes of an RFC 8032 private key.
    ///
    /// # Errors
    /// [`NotANote::Name`], [`NotANote::PrivateKey`].
    pub fn from_seed(name: &str, seed: &[u8]) -> Result<Self, NotANote> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NotANote::PrivateKey)?;
        Self::of(name, pair)
    }

    /// From a PKCS #8 document (RFC 5958, RFC 8410).
    ///
    /// # Errors
    /// [`NotANote::Name`], [`NotANote::PrivateKey`].
    pub fn from_pkcs8(name: &str, document: &[u8]) -> Result<Self, NotANote> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| NotANote::PrivateKey)?;
        Self::of(name, pair)
    }

    fn of(name: &str, pair: Ed25519KeyPair) -> Result<Self, NotANote> {
        let public = pair.public_key().as_ref().try_into().map_err(|_| NotANote::PrivateKey)?;
        let public = VerifierKey::new(name, public)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.public
    }

    /// A signed checkpoint of the log that this key belongs to.
    #[must_use]
    pub fn checkpoint(&self, head: Head) -> String {
        self.sign(&Checkpoint { origin: self.public.name.clone(), head }.text())
    }

    /// A note over a text that ends in a newline.
    fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let bytes = [&self.public.id().to_be_bytes(), signature.as_ref()].concat();
        format!("{text}\n{DASH}{} {}\n", self.public.name, STANDARD.encode(bytes))
    }
}

/// The public key that an auditor trusts, written `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: [u8; 32],
}

impl VerifierKey {
    /// From a name and the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// [`NotANote::Name`].
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, NotANote> {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(NotANote::Name);
        }
        Ok(Self { name: name.to_owned(), key })
    }

    /// The key's name, which is the log's origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id: `SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key)[:4]`.
    #[must_use]
    pub fn id(&self) -> u32 {
        let digest = Digest::of(&self.name, &[b"\n", &[ED25519_TYPE], &self.key]);
        digest.bytes().iter().take(4).fold(0, |id, byte| id << 8 | u32::from(*byte))
    }

    /// The checkpoint in a note that this key signed.
    ///
    /// # Errors
    /// [`NotANote`] for any other note.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NotANote> {
        let checkpoint = Checkpoint::parse(self.text_of(note)?).ok_or(NotANote::Checkpoint)?;
        if checkpoint.origin == self.name { Ok(checkpoint) } else { Err(NotANote::Origin) }
    }

    /// The checkpoint in a note that this key signed, and nobody beside it: the one note that
    /// [`CheckpointKey::checkpoint`] makes of this checkpoint, byte for byte.
    ///
    /// # Errors
    /// [`NotANote`] for any other note.
    pub fn open_alone(&self, note: &str) -> Result<Checkpoint, NotANote> {
        let checkpoint = self.open(note)?;
        // Text and base64 have one form, and Ed25519 one signature: what is left to differ is how many lines there are.
        let (_, signatures) = note.rsplit_once("\n\n").ok_or(NotANote::Form)?;
        if signatures.lines().count() == 1 { Ok(checkpoint) } else { Err(NotANote::Crowded(self.id())) }
    }

    /// The text of a note that this key signed. Signatures of other keys are not looked at, as the format asks.
    fn text_of<'a>(&self, note: &'a str) -> Result<&'a str, NotANote> {
        if note.len() > MAX_NOTE || note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NotANote::Form);
        }
        let blank = note.rfind("\n\n").ok_or(NotANote::Form)?;
        let (text, signatures) = note.split_at_checked(blank + 1).ok_or(NotANote::Form)?;
        let lines = signatures.strip_prefix('\n').and_then(|s| s.strip_suffix('\n')).ok_or(NotANote::Form)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NotANote::Form);
        }
        let lines: Option<Vec<_>> = lines.split('\n').map(SignatureLine::parse).collect();
        let mut ours = lines.ok_or(NotANote::Form)?;
        ours.retain(|line| line.name == self.name && line.key == self.id());
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        match ours.iter().find(|line| key.verify(text.as_bytes(), &line.signature).is_err()) {
            Some(_) => Err(NotANote::Forged(self.id())),
            None if ours.is_empty() => Err(NotANote::Unsigned(self.id())),
            None => Ok(text),
        }
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = STANDARD.encode([&[ED25519_TYPE], self.key.as_slice()].concat());
        write!(f, "{}+{:08x}+{key}", self.name, self.id())
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = NotANote;

    fn from_str(text: &str) -> Result<Self, NotANote> {
        let (name, rest) = text.split_once('+').ok_or(NotANote::Key)?;
        let (_, key) = rest.split_once('+').ok_or(NotANote::Key)?;
        let bytes = STANDARD.decode(key).map_err(|_| NotANote::Key)?;
        let key = bytes.strip_prefix(&[ED25519_TYPE]).and_then(|key| key.try_into().ok());
        let key = Self::new(name, key.ok_or(NotANote::Key)?)?;
        // One key has one text, hash included.
        if key.to_string() == text { Ok(key) } else { Err(NotANote::Key) }
    }
}

/// `— name base64(key id ‖ signature)`
struct SignatureLine<'a> {
    name: &'a str,
    key: u32,
    signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key, signature) = bytes.split_first_chunk::<4>()?;
        (!name.is_empty() && !name.contains('+') && !signature.is_empty()).then(|| Self {
            name,
            key: u32::from_be_bytes(*key),
            signature: signature.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of golang.org/x/mod/sumdb/note, which other implementations test against as well.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNER: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const OTHER: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn peter() -> VerifierKey {
        VERIFIER.parse().unwrap()
    }

    #[test]
    fn the_published_key_signs_the_published_note() {
        let seed = STANDARD.decode(SIGNER).unwrap();
        let key = CheckpointKey::from_seed("PeterNeumann", &seed[1..]).unwrap();
        assert_eq!(key.verifier().to_string(), VERIFIER);
        assert_eq!(key.sign(TEXT), format!("{TEXT}\n{SIGNATURE}"));
        assert!(!format!("{key:?}").contains("AYEK"));
    }

    #[test]
    fn the_published_note_opens_also_beside_signatures_of_unknown_keys() {
        assert_eq!(peter().id(), 0xc74f_20a3);
        for signatures in [SIGNATURE.to_owned(), format!("{OTHER}{SIGNATURE}"), format!("{SIGNATURE}{OTHER}")]
        {
            assert_eq!(peter().text_of(&format!("{TEXT}\n{signatures}")), Ok(TEXT));
        }
        assert_eq!(peter().text_of(&format!("{TEXT}\n{OTHER}")), Err(NotANote::Unsigned(0xc74f_20a3)));
    }

    #[test]
    fn a_note_of_another_form_is_refused() {
        let forged = format!("{}ABCD{}", &SIGNATURE[..62], &SIGNATURE[62..]);
        assert_eq!(peter().text_of(&format!("{TEXT}\n{forged}")), Err(NotANote::Forged(0xc74f_20a3)));
        assert_eq!(
            peter().text_of(&format!("{TEXT}\n{SIGNATURE}{forged}")),
            Err(NotANote::Forged(0xc74f_20a3))
        );
        let many = SIGNATURE.repeat(MAX_SIGNATURES + 1);
        let bad = [
            TEXT.to_owned(),
            format!("{TEXT}\n"),
            format!("{TEXT}\n{}", SIGNATURE.trim_end()),
            format!("\u{1}{TEXT}\n{SIGNATURE}"),
            format!("{TEXT}\n{}", SIGNATURE.replacen("Peter", "Peter ", 1)),
            format!("{TEXT}\n{SIGNATURE}Unexpected line.\n"),
            format!("{TEXT}\n{many}"),
        ];
        for note in bad {
            assert_eq!(peter().text_of(&note), Err(NotANote::Form), "{note}");
        }
    }

    #[test]
    fn a_verifier_key_that_lacks_or_changes_any_character_is_refused() {
        for start in 0..VERIFIER.len() {
            for end in start..=VERIFIER.len() {
                let part = &VERIFIER[start..end];
                assert_eq!(part.parse::<VerifierKey>().is_ok(), part == VERIFIER, "{part}");
            }
        }
        for at in 0..VERIFIER.len() {
            let mut bytes = VERIFIER.as_bytes().to_vec();
            bytes[at] += 1;
            assert!(String::from_utf8(bytes).unwrap().parse::<VerifierKey>().is_err());
        }
        // A wrong length, and an unknown signature type, each with a hash that belongs to it.
        for bad in [
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err());
        }
    }

    #[test]
    fn names_that_would_break_a_line_are_refused() {
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
            assert_eq!(VerifierKey::new(name, [1; 32]), Err(NotANote::Name));
        }
    }

    #[test]
    fn a_checkpoint_opens_under_its_own_key_and_no_other() {
        let key = CheckpointKey::from_seed("example.com/log", &[1; 32]).unwrap();
        let head = Head { size: 20_852_163, root: Digest::plain(b"root") };
        let note = key.checkpoint(head);
        assert_eq!(key.verifier().open(&note), Ok(Checkpoint { origin: "example.com/log".to_owned(), head }));
        let other = CheckpointKey::from_seed("example.com/log", &[2; 32]).unwrap();
        assert_eq!(other.verifier().open(&note), Err(NotANote::Unsigned(other.verifier().id())));
    }

    #[test]
    fn a_signed_text_that_is_no_checkpoint_of_this_log_is_refused() {
        let key = CheckpointKey::from_seed("example.com/log", &[1; 32]).unwrap();
        let root = STANDARD.encode([3; 32]);
        let open = |text: &str| key.verifier().open(&key.sign(text));
        assert!(open(&format!("example.com/log\n5\n{root}\n")).is_ok());
        assert_eq!(open(&format!("example.com/other\n5\n{root}\n")), Err(NotANote::Origin));
        for text in [
            format!("example.com/log\n05\n{root}\n"),
            format!("example.com/log\n+5\n{root}\n"),
            format!("example.com/log\n5\n{root}\nextension\n"),
            "example.com/log\n5\nAAAA\n".to_owned(),
            "example.com/log\n5\n".to_owned(),
        ] {
            assert_eq!(open(&text), Err(NotANote::Checkpoint), "{text}");
        }
    }

    #[test]
    fn a_pkcs8_document_is_the_same_key() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let document = pair.to_pkcs8().unwrap();
        let (one, other) = (
            CheckpointKey::from_pkcs8("a", document.as_ref()).unwrap(),
            CheckpointKey::from_seed("a", &[9; 32]).unwrap(),
        );
        assert_eq!(one.verifier(), other.verifier());
        assert!(CheckpointKey::from_pkcs8("a", b"nonsense").is_err());
        assert!(CheckpointKey::from_seed("a", &[9; 31]).is_err());
    }
}
