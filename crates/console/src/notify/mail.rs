//! One message as it is sent (RFC 5322, 2045, 2047): plain text, and no octet of anybody's text outside of an encoding.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::Time;

use super::address::{Address, Mailbox};

/// A message to one recipient.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// From whom.
    pub(crate) from: Mailbox,
    /// To whom.
    pub(crate) to: Address,
    /// The subject, which may hold any text.
    pub(crate) subject: String,
    /// The text.
    pub(crate) text: String,
    /// Its own id, without the brackets.
    pub(crate) id: String,
    /// The id of the message that it follows.
    pub(crate) follows: Option<String>,
    /// When what it tells of happened.
    pub(crate) at: Time,
}

/// The id of what is told of a thread to one recipient: the same whenever it is tried again, so that a server or a
/// reader may know it for the same message, and one of its own for each recipient.
pub(crate) fn id(thread: &str, kind: &str, from: &Mailbox, to: &Address) -> String {
    let of = digest(&SHA256, to.to_string().as_bytes());
    let of: String = terms::hash::hex(of.as_ref()).take(12).collect();
    let kind = kind.replace('.', "-");
    format!("{thread}.{kind}.{of}@{}", from.address().domain())
}

impl Mail {
    /// The octets, all of them ASCII; no line is longer than 78 but one that holds an id.
    pub(crate) fn octets(&self) -> String {
        let mut out = String::new();
        let mut header = |name: &str, value: &str| out.push_str(&format!("{name}: {value}\r\n"));
        header("Date", &date(self.at));
        header("From", &self.from.to_string());
        header("To", &self.to.to_string());
        header("Subject", &encoded(&self.subject));
        header("Message-ID", &format!("<{}>", self.id));
        if let Some(first) = &self.follows {
            header("In-Reply-To", &format!("<{first}>"));
            header("References", &format!("<{first}>"));
        }
        header("MIME-Version", "1.0");
        header("Content-Type", "text/plain; charset=utf-8");
        header("Content-Transfer-Encoding", "quoted-printable");
        // Nobody's holiday answers it (RFC 3834 §5).
        header("Auto-Submitted", "auto-generated");
        out.push_str("\r\n");
        out.push_str(&quoted_printable(&self.text));
        out
    }
}

/// RFC 5322 §3.3.
fn date(at: Time) -> String {
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Bytes of one encoded word before they are encoded: under 75 characters in all (RFC 2047 §2), and under 78 in a line.
const WORD: usize = 42;

/// A short plain text as it is; any other in encoded words, each on a line of its own.
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|c| c == b' ' || c.is_ascii_graphic());
    if plain && text.len() <= 60 && !text.contains("=?") && text.trim() == text {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let word = |word: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(word));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

/// Characters of a line in quoted-printable (RFC 2045 §6.7).
const LINE: usize = 76;

/// No line begins with a dot, so that none ends the message (RFC 5321 §4.5.2), nor with what some stores take for the
/// beginning of another one.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let mut length = 0;
        let mut bytes = line.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let last = bytes.peek().is_none();
            let plain = match byte {
                b'=' => false,
                b' ' => !last,
                b'.' | b'F' => length > 0,
                _ => byte.is_ascii_graphic(),
            };
            let piece = if plain { char::from(byte).to_string() } else { format!("={byte:02X}") };
            if length + piece.len() > LINE - 1 {
                out.push_str("=\r\n");
                length = 0;
            }
            // What begins a line now is looked at again.
            let begins = length == 0 && plain && (byte == b'.' || byte == b'F');
            let piece = if begins { format!("={byte:02X}") } else { piece };
            length += piece.len();
            out.push_str(&piece);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str, text: &str) -> String {
        let mail = Mail {
            from: "stepup <stepup@example.com>".parse().unwrap(),
            to: "ann@example.com".parse().unwrap(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            id: "a@example.com".to_owned(),
            follows: Some("b@example.com".to_owned()),
            at: Time::from_millis(1_795_502_659_123),
        };
        mail.octets()
    }

    #[test]
    fn no_text_ends_a_header_begins_one_or_ends_the_message() {
        let evil = "x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\r\nFrom x\n.\n..\n =?utf-8?B?eA==?=";
        for text in [evil, &format!("{}{evil}", "a".repeat(74)), &"ü.".repeat(200), &".F".repeat(400)] {
            let octets = mail(text, text);
            let (head, body) = octets.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split_once(": ").unwrap().0)
                .collect();
            assert_eq!(
                names,
                [
                    "Date",
                    "From",
                    "To",
                    "Subject",
                    "Message-ID",
                    "In-Reply-To",
                    "References",
                    "MIME-Version",
                    "Content-Type",
                    "Content-Transfer-Encoding",
                    "Auto-Submitted"
                ]
            );
            assert!(octets.is_ascii() && octets.ends_with("\r\n"));
            assert!(!octets.replace("\r\n", "").contains(['\r', '\n']));
            assert!(octets.split("\r\n").all(|line| line.len() <= 78), "{octets}");
            assert!(body.split("\r\n").all(|line| !line.starts_with('.') && !line.starts_with("From ")));
        }
    }

    #[test]
    fn a_date_is_as_rfc_5322_has_it() {
        assert!(mail("x", "y").starts_with("Date: Tue, 24 Nov 2026 06:44:19 +0000\r\n"));
    }

    #[test]
    fn an_id_is_the_same_each_time_and_another_for_everybody_else() {
        let from: Mailbox = "s@example.com".parse().unwrap();
        let of = |kind: &str, to: &str| id("elv_1", kind, &from, &to.parse().unwrap());
        assert_eq!(of("elevation.opened", "a@x.y"), of("elevation.opened", "a@x.y"));
        let all = [
            of("elevation.opened", "a@x.y"),
            of("elevation.opened", "b@x.y"),
            of("elevation.expired", "a@x.y"),
        ];
        assert!(all.iter().enumerate().all(|(n, one)| !all[..n].contains(one)));
        assert!(
            all[0].starts_with("elv_1.elevation-opened.") && all[0].ends_with("@example.com"),
            "{}",
            all[0]
        );
    }
}
