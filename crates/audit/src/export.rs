//! The log as a file: JSON lines, each canonical, so that one log has one file. A header, a line a leaf in leaf
//! order, and a signed checkpoint at the end. Read and written as a stream; no line is longer than [`MAX_LINE`].

use std::io::{self, BufRead, Read as _, Write};

use terms::hash::{b64url, from_b64url};
use terms::json::{Limits, NotJson, parse_canonical};
use terms::{Digest, InstallId, Json};

use crate::record::Record;

/// What the first line says that the file is.
const FORMAT: &str = "stepup-log/1";

/// The most bytes that one line may have, its newline included.
pub const MAX_LINE: usize = 16 << 20;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The log's name.
    pub origin: String,
    /// The installation whose log it is.
    pub install: InstallId,
    /// The text of the key that checkpoints are signed with. What is trusted is the reader's own copy.
    pub key: String,
}

/// One leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place, from 0.
    pub leaf: u64,
    /// Its hash as stored. Nothing rests on it; it lets a reader name the leaf that was altered.
    pub hash: Digest,
    /// The envelope, byte for byte.
    pub envelope: String,
    /// Body and salt, unless they were erased.
    pub contents: Option<Contents>,
}

/// What can be erased of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The body, byte for byte.
    pub body: String,
    /// The salt.
    pub salt: [u8; 16],
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A leaf.
    Entry(Entry),
    /// The last line: a note with the checkpoint.
    Checkpoint(String),
}

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Nothing left, and no checkpoint seen.
    #[error("the file ends without a checkpoint")]
    Truncated,
    /// Longer than [`MAX_LINE`].
    #[error("a line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// Not what this module writes.
    #[error("line {line} is not {form}")]
    Form {
        /// Counted from 1.
        line: u64,
        /// What it ought to be.
        form: &'static str,
    },
    /// Not as this module writes it, whatever it means: an export has one form.
    #[error(
        "line {line} is not byte for byte what `stepup log export` writes ({why}): an editor, a formatter or a transfer \
         as text has changed the file; verify the file as it was made"
    )]
    NotAsWritten {
        /// Counted from 1.
        line: u64,
        /// What is written otherwise.
        why: NotJson,
    },
    /// Something after the last line.
    #[error("the file goes on after its checkpoint")]
    Trailing,
}

impl Entry {
    /// The entry of a sealed record. `None` if its bytes are not text, which [`Draft::seal`](crate::Draft::seal)
    /// never makes.
    #[must_use]
    pub fn of(leaf: u64, record: Record) -> Option<Self> {
        let contents = Contents { body: String::from_utf8(record.body).ok()?, salt: record.salt };
        let envelope = String::from_utf8(record.envelope).ok()?;
        Some(Self { leaf, hash: record.hash, envelope, contents: Some(contents) })
    }

    pub(crate) fn to_json(&self) -> Json {
        let contents = self.contents.as_ref();
        Json::object([
            ("leaf", Json::from(i64::try_from(self.leaf).unwrap_or(i64::MAX))),
            ("hash", Json::from(b64url(self.hash.bytes()))),
            ("envelope", Json::from(self.envelope.as_str())),
            ("body", Json::from(contents.map(|c| c.body.as_str()))),
            ("salt", Json::from(contents.map(|c| b64url(&c.salt)))),
        ])
    }

    pub(crate) fn from_json(json: Json) -> Option<Self> {
        let Json::Object(mut members) = json else { return None };
        let mut take = |name: &str| members.remove(name);
        let leaf = u64::try_from(take("leaf")?.as_i64()?).ok()?;
        let hash = Digest::from_slice(&from_b64url(take("hash")?.as_str()?)?)?;
        let Json::String(envelope) = take("envelope")? else { return None };
        let contents = match (take("body")?, take("salt")?) {
            (Json::String(body), Json::String(salt)) => {
                Some(Contents { body, salt: from_b64url(&salt)?.try_into().ok()? })
            }
            (Json::Null, Json::Null) => None,
            _ => return None,
        };
        members.is_empty().then_some(Self { leaf, hash, envelope, contents })
    }
}

impl Header {
    fn to_json(&self) -> Json {
        Json::object([
            ("format", Json::from(FORMAT)),
            ("origin", Json::from(self.origin.as_str())),
            ("install", Json::from(self.install)),
            ("key", Json::from(self.key.as_str())),
        ])
    }

    fn from_json(json: &Json) -> Option<Self> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let header = Self {
            origin: text("origin")?.to_owned(),
            install: text("install")?.parse().ok()?,
            key: text("key")?.to_owned(),
        };
        (header.to_json() == *json).then_some(header)
    }
}

/// Writes a log as a stream.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// What writing fails with.
    pub fn begin(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self { to };
        writer.line(&header.to_json())?;
        Ok(writer)
    }

    /// The next leaf; leaves come in order.
    ///
    /// # Errors
    /// What writing fails with; `InvalidData` for a line that no reader would take.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.line(&entry.to_json())
    }

    /// Ends with the note that the last checkpoint is in.
    ///
    /// # Errors
    /// What writing or flushing fails with.
    pub fn end(mut self, note: &str) -> io::Result<W> {
        self.line(&Json::object([("checkpoint", note)]))?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn line(&mut self, json: &Json) -> io::Result<()> {
        let mut text = json.text();
        text.push('\n');
        if text.len() > MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Unreadable::TooLong));
        }
        self.to.write_all(text.as_bytes())
    }
}

/// Reads a log as a stream, holding one line at a time.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    line: Vec<u8>,
    /// How many lines were read.
    lines: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Unreadable`] when there is none.
    pub fn begin(from: R) -> Result<(Header, Self), Unreadable> {
        let mut reader = Self { from, line: Vec::new(), lines: 0 };
        let header = Header::from_json(&reader.line()?).ok_or_else(|| reader.form("the header of a log"))?;
        Ok((header, reader))
    }

    /// The next line. After the checkpoint there is none; see [`Reader::end`].
    ///
    /// # Errors
    /// [`Unreadable`] for anything that is no leaf and no checkpoint.
    // Not an iterator: after an error there is no next line.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Line, Unreadable> {
        let json = self.line()?;
        let checkpoint = json.get("checkpoint").and_then(Json::as_str);
        match (checkpoint, json.as_object().map_or(0, terms::json::Object::len)) {
            (Some(note), 1) => Ok(Line::Checkpoint(note.to_owned())),
            _ => Entry::from_json(json).map(Line::Entry).ok_or_else(|| self.form("a leaf of a log")),
        }
    }

    const fn form(&self, form: &'static str) -> Unreadable {
        Unreadable::Form { line: self.lines, form }
    }

    /// Makes sure that nothing follows the checkpoint.
    ///
    /// # Errors
    /// [`Unreadable::Trailing`] when something does.
    pub fn end(mut self) -> Result<(), Unreadable> {
        if self.from.fill_buf()?.is_empty() { Ok(()) } else { Err(Unreadable::Trailing) }
    }

    fn line(&mut self) -> Result<Json, Unreadable> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        self.from.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        self.lines += 1;
        match self.line.strip_suffix(b"\n") {
            Some(text) => {
                parse_canonical(text, LINE).map_err(|why| Unreadable::NotAsWritten { line: self.lines, why })
            }
            None if self.line.len() == MAX_LINE => Err(Unreadable::TooLong),
            None => Err(Unreadable::Truncated),
        }
    }
}

/// One flat object.
const LINE: Limits = Limits { bytes: MAX_LINE, depth: 1, items: 8, string: MAX_LINE };

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let install = InstallId::from_slice(&[3; 16]).unwrap();
        Header { origin: "o".to_owned(), install, key: "k".to_owned() }
    }

    fn entry(contents: Option<Contents>) -> Entry {
        Entry { leaf: 5, hash: Digest::plain(b"x"), envelope: "{\"a\":\"\\u0001\"}".to_owned(), contents }
    }

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let contents = Contents { body: "{\"b\":\"\u{2028}\u{10ffff}\"}".to_owned(), salt: [9; 16] };
        let entries = [entry(Some(contents)), entry(None)];
        let mut writer = Writer::begin(Vec::new(), &header()).unwrap();
        entries.iter().for_each(|entry| writer.entry(entry).unwrap());
        let file = writer.end("note\n\nsigned\n").unwrap();
        let (read, mut reader) = Reader::begin(file.as_slice()).unwrap();
        assert_eq!(read, header());
        for entry in entries {
            assert_eq!(reader.next().unwrap(), Line::Entry(entry));
        }
        assert_eq!(reader.next().unwrap(), Line::Checkpoint("note\n\nsigned\n".to_owned()));
        assert!(reader.end().is_ok());
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(Reader::begin(endless), Err(Unreadable::TooLong)));
    }

    #[test]
    fn a_body_without_its_salt_is_refused_and_a_salt_without_its_body() {
        let mut file = Writer::begin(Vec::new(), &header()).unwrap();
        file.entry(&entry(Some(Contents { body: "{}".to_owned(), salt: [9; 16] }))).unwrap();
        let file = String::from_utf8(file.end("note").unwrap()).unwrap();
        for (from, to) in [("\"body\":\"{}\"", "\"body\":null"), (&*b64url(&[9; 16]), "")] {
            let file = file.replace(from, to).replace("\"salt\":\"\"", "\"salt\":null");
            let (_, mut reader) = Reader::begin(file.as_bytes()).unwrap();
            let form = reader.next().unwrap_err().to_string();
            assert_eq!(form, "line 2 is not a leaf of a log", "{file}");
        }
    }
}
