//! The strict parser: RFC 8259 and nothing beside it. Ambiguity is refused, never repaired (R3); every
//! limit is checked before anything is allocated for what is over it (R19).

use super::{Inexact, Json, Number, Object, write};

/// How much of it there may be (decisions B23).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Arrays and objects inside one another.
    pub depth: usize,
    /// Members and items in the whole text.
    pub items: usize,
    /// Bytes of one decoded string.
    pub string: usize,
}

impl Limits {
    /// The budget of one request's body.
    pub const REQUEST: Self = Self { bytes: 1 << 20, depth: 64, items: 4096, string: 256 << 10 };
    /// Our own canonical text of a value that was within its limits before.
    pub(crate) const OURS: Self =
        Self { bytes: usize::MAX, depth: usize::MAX, items: usize::MAX, string: usize::MAX };
    /// The budget of one answer of an upstream.
    pub const ANSWER: Self = Self { bytes: 16 << 20, depth: 128, items: 1 << 20, string: 16 << 20 };
}

/// Why a text was refused; `at` is the byte offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// Not JSON by RFC 8259.
    #[error("not JSON at byte {at}: {what}")]
    Syntax {
        /// Byte offset.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// One object names a member twice, after unescaping.
    #[error("an object that ends at byte {at} names a member twice")]
    DuplicateKey {
        /// Byte offset of the end of the object.
        at: usize,
    },
    /// A number that a double does not hold exactly.
    #[error("the number at byte {at} is not exactly representable: send it as a string")]
    NumberInexact {
        /// Byte offset.
        at: usize,
    },
    /// Over one of the [`Limits`].
    #[error("over the limit: {what}")]
    TooLarge {
        /// Which limit.
        what: &'static str,
    },
    /// JSON in another form than the canonical one, where only that is taken.
    #[error("not canonical JSON at byte {at}: {what}")]
    NotCanonical {
        /// Byte offset.
        at: usize,
        /// What is written otherwise there.
        what: &'static str,
    },
}

/// Parses one request body; see [`Limits::REQUEST`].
///
/// # Errors
/// [`NotJson`] for anything that is not exactly one strict JSON text within the limits.
pub fn parse(bytes: &[u8]) -> Result<Json, NotJson> {
    parse_within(bytes, Limits::REQUEST)
}

/// Parses one JSON text within given limits.
///
/// # Errors
/// [`NotJson`] for anything that is not exactly one strict JSON text within the limits.
pub fn parse_within(bytes: &[u8], limits: Limits) -> Result<Json, NotJson> {
    parse_as(Form::Any, bytes, limits)
}

/// Parses one JSON text that is in canonical form (RFC 8785): the one text that [`Json::text`] writes for the value, which
/// is thereby proven without writing it.
///
/// # Errors
/// [`NotJson`], and [`NotJson::NotCanonical`] for every other text of the same value.
pub fn parse_canonical(bytes: &[u8], limits: Limits) -> Result<Json, NotJson> {
    parse_as(Form::Canonical, bytes, limits)
}

/// Which of the texts of one value are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Any,
    Canonical,
}

fn parse_as(form: Form, bytes: &[u8], limits: Limits) -> Result<Json, NotJson> {
    if bytes.len() > limits.bytes {
        return Err(NotJson::TooLarge { what: "size of the text" });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| NotJson::Syntax { at: e.valid_up_to(), what: "not UTF-8" })?;
    let mut parser = Parser { text, at: 0, limits, items: 0, form };
    let value = parser.value(0)?;
    parser.space()?;
    if parser.at == text.len() { Ok(value) } else { Err(parser.wrong("something after the value")) }
}

const ESCAPE: &str = "an escape in another form";

struct Parser<'a> {
    text: &'a str,
    at: usize,
    limits: Limits,
    items: usize,
    form: Form,
}

impl Parser<'_> {
    /// Refuses what begins at `at` and is in another form than the canonical one, where only that is taken.
    fn canonical(&self, at: usize, what: &'static str, is: impl FnOnce() -> bool) -> Result<(), NotJson> {
        match self.form {
            Form::Canonical if !is() => Err(NotJson::NotCanonical { at, what }),
            Form::Canonical | Form::Any => Ok(()),
        }
    }

    const fn wrong(&self, what: &'static str) -> NotJson {
        NotJson::Syntax { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) -> Result<(), NotJson> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.canonical(self.at, "white space outside a string", || false)?;
            self.at += 1;
        }
        Ok(())
    }

    /// Takes one byte if it is the next.
    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { Err(self.wrong(what)) }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, NotJson> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.wrong("expected a value"))
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, NotJson> {
        self.space()?;
        match self.peek() {
            Some(b'{' | b'[') if depth >= self.limits.depth => {
                Err(NotJson::TooLarge { what: "depth of nesting" })
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("the text ends too early")),
        }
    }

    fn count(&mut self) -> Result<(), NotJson> {
        self.items += 1;
        if self.items > self.limits.items {
            return Err(NotJson::TooLarge { what: "number of members and items" });
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Json, NotJson> {
        self.at += 1;
        let mut members = Vec::new();
        let mut more = !self.ends(b'}')?;
        while more {
            let name = self.name(members.last())?;
            members.push((name, self.value(depth + 1)?));
            more = self.goes_on(b'}', "expected ',' or '}'")?;
        }
        Object::from_members(members).map(Json::Object).map_err(|_| NotJson::DuplicateKey { at: self.at })
    }

    fn array(&mut self, depth: usize) -> Result<Json, NotJson> {
        self.at += 1;
        let mut items = Vec::new();
        let mut more = !self.ends(b']')?;
        while more {
            self.count()?;
            items.push(self.value(depth + 1)?);
            more = self.goes_on(b']', "expected ',' or ']'")?;
        }
        Ok(Json::Array(items))
    }

    /// Takes the end of an object or array if it is next.
    fn ends(&mut self, close: u8) -> Result<bool, NotJson> {
        self.space()?;
        Ok(self.take(close))
    }

    /// After a member or an item: whether another one follows.
    fn goes_on(&mut self, close: u8, what: &'static str) -> Result<bool, NotJson> {
        if self.ends(close)? { Ok(false) } else { self.expect(b',', what).map(|()| true) }
    }

    /// The name of a member, up to its value.
    fn name(&mut self, last: Option<&(String, Json)>) -> Result<String, NotJson> {
        self.count()?;
        self.space()?;
        if self.peek() != Some(b'"') {
            return Err(self.wrong("expected a member's name in quotes"));
        }
        let (start, name) = (self.at, self.string()?);
        // A name that comes twice is refused later, as what it is.
        let sorted = || last.is_none_or(|(last, _)| last.encode_utf16().le(name.encode_utf16()));
        self.canonical(start, "a member that comes before the last one", sorted)?;
        self.space()?;
        self.expect(b':', "expected ':'")?;
        Ok(name)
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.wrong("expected a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Number, NotJson> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        let number = Number::from_text(text).map_err(|Inexact| NotJson::NumberInexact { at: start })?;
        self.canonical(start, "a number in another form", || number.text() == text)?;
        Ok(number)
    }

    fn string(&mut self) -> Result<String, NotJson> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self
                .rest()
                .find(|c: char| c == '"' || c == '\\' || c < ' ')
                .ok_or(NotJson::Syntax { at: self.text.len(), what: "the string does not end" })?;
            if out.len() + plain > self.limits.string {
                return Err(NotJson::TooLarge { what: "length of a string" });
            }
            out.push_str(self.rest().get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.wrong("a control character in a string")),
            }
        }
    }

    /// Only `\/` and `\uXXXX` are second ways to write a character; the others are the canonical ones.
    fn escape(&mut self) -> Result<char, NotJson> {
        let start = self.at;
        self.at += 1;
        let kind = self.peek().ok_or_else(|| self.wrong("the string does not end"))?;
        let plain = match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => {
                self.canonical(start, ESCAPE, || false)?;
                '/'
            }
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let c = self.unicode()?;
                let written = self.text.get(start..self.at).unwrap_or_default();
                self.canonical(start, ESCAPE, || write::escaped(c) == written)?;
                return Ok(c);
            }
            _ => return Err(self.wrong("an unknown escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `\uXXXX`, and the second half of a surrogate pair; a lone surrogate is refused.
    fn unicode(&mut self) -> Result<char, NotJson> {
        let first = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.rest().starts_with("\\u") {
                return Err(self.wrong("a lone surrogate"));
            }
            self.at += 1;
            let second = self.hex()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.wrong("a lone surrogate"));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.wrong("a lone surrogate"))
    }

    /// Four hexadecimal digits after the `u` under the cursor.
    fn hex(&mut self) -> Result<u32, NotJson> {
        self.at += 1;
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        let code = code.ok_or_else(|| self.wrong("expected four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}
