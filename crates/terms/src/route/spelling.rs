//! The one spelling in which a path and a query are read, and written again for the upstream (T43). What two readers could read
//! differently is refused, once and before anything is judged; no decoding is repeated.

use super::Crooked;

/// The longest path with its query, in bytes.
pub const LONGEST: usize = 8192;

/// The most segments of a path, and the most parts of a query.
const MOST: usize = 256;

/// The segments of a path, decoded. A path that ends in a slash has an empty last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<String>);

/// The parts of a query in their order, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Path {
    /// Reads a path in origin form (RFC 9112, 3.2.1), without its query.
    ///
    /// # Errors
    /// [`Crooked::Path`] for what two readers could read differently.
    pub fn read(text: &str) -> Result<Self, Crooked> {
        if text.len() > LONGEST {
            return Err(Crooked::Path("is too long"));
        }
        let rest = text.strip_prefix('/').ok_or(Crooked::Path("does not begin with a slash"))?;
        let pieces: Vec<&str> = rest.split('/').collect();
        let inner = pieces.len().saturating_sub(1);
        if pieces.len() > MOST {
            return Err(Crooked::Path("has too many segments"));
        }
        if pieces.iter().take(inner).any(|piece| piece.is_empty()) {
            return Err(Crooked::Path("has an empty segment"));
        }
        pieces.into_iter().map(segment).collect::<Result<_, _>>().map(Self).map_err(Crooked::Path)
    }

    /// The segments.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

/// One segment of a path. Encoded or not, what separates segments, names their parameters or is a dot segment has no place in
/// one: a resolver behind us could find another path there (RFC 3986, 5.2.4 and 3.3).
fn segment(piece: &str) -> Result<String, &'static str> {
    let text = decoded(piece, |b| b"!$&'()*+,=:@".contains(&b))?;
    if text.contains(['/', '\\']) {
        return Err("has a separator that is encoded, or the wrong one");
    }
    if text.contains(';') {
        return Err("has a parameter after `;`");
    }
    if text.contains('%') {
        return Err("is encoded more than once");
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character");
    }
    if matches!(text.as_str(), "." | "..") {
        return Err("has a segment of dots");
    }
    Ok(text)
}

impl Query {
    /// Reads a query, as forms write it (WHATWG URL, application/x-www-form-urlencoded).
    ///
    /// # Errors
    /// [`Crooked::Query`] for what two readers could read differently.
    pub fn read(text: &str) -> Result<Self, Crooked> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > LONGEST {
            return Err(Crooked::Query("is too long"));
        }
        let pieces: Vec<&str> = text.split('&').collect();
        if pieces.len() > MOST {
            return Err(Crooked::Query("has too many parts"));
        }
        pieces.into_iter().map(part).collect::<Result<_, _>>().map(Self).map_err(Crooked::Query)
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &[(String, String)] {
        &self.0
    }
}

fn part(piece: &str) -> Result<(String, String), &'static str> {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let read = |text: &str| {
        let spaced = text.replace('+', "%20");
        let text = decoded(&spaced, |b| b"!$'()*,=:@/?[]".contains(&b))?;
        if encoded_again(&text) {
            return Err("is encoded more than once");
        }
        if text.contains('\0') {
            return Err("has a NUL");
        }
        Ok(text)
    };
    let name = read(name)?;
    if name.is_empty() {
        return Err("has a part without a name");
    }
    Ok((name, read(value)?))
}

/// Whether a path or a query is written as every reader reads it, decoded or not: without an encoding of what needs none, and
/// without `+`, which is a space to some. For whoever passes it on as it came.
#[must_use]
pub fn plainly_spelled(text: &str) -> bool {
    let encoded = text.split('%').skip(1).filter_map(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
    !text.contains('+') && !encoded.into_iter().any(unreserved)
}

/// Whether a second decoding would find something.
fn encoded_again(text: &str) -> bool {
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let mut marks = bytes.iter().enumerate().filter(|(_, b)| **b == b'%').map(|(at, _)| at);
    marks.any(|at| hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)))
}

/// Decodes once (RFC 3986, 2.1). What stands there by itself is unreserved, or one of `taken`.
fn decoded(text: &str, taken: impl Fn(u8) -> bool) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |b: Option<u8>| (b? as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err("has a percent sign that begins no encoding");
                };
                bytes.push(high << 4 | low);
            }
            _ if unreserved(byte) || taken(byte) => bytes.push(byte),
            _ => return Err("has a character that only stands there encoded"),
        }
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8 when it is decoded")
}

const fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Encodes what is not unreserved, so that every reader finds the same text.
pub(super) fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if unreserved(byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            for digit in [byte >> 4, byte & 15] {
                into.extend(char::from_digit(u32::from(digit), 16).map(|d| d.to_ascii_uppercase()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<Vec<String>> {
        Path::read(text).ok().map(|path| path.0)
    }

    #[test]
    fn t43_what_two_readers_could_read_as_two_paths_is_refused() {
        for text in [
            "",
            "a",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a/../admin",
            "/a/./b",
            "/..",
            "/.",
            "/a/..",
            "/%2e%2e/admin",
            "/%2E./x",
            "/a/%2e",
            "/%252e%252e/admin",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a;v=1",
            "/a%3bv=1",
            "/..;/admin",
            "/a%00",
            "/a%0d%0ab",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a b",
            "/a\u{e9}",
            "/%ff",
            "/%c0%af",
            "/%c0%ae%c0%ae/",
            "/a|b",
            "/a<b>",
            "/a\"b",
            "/a{b}",
            "/a^b",
            "/a`b",
            "/a#b",
            "/a%25",
            "/a%2541",
            "*",
            "http://evil/a",
            "/a\tb",
            "/%7f",
            "/%c2%85",
        ] {
            assert_eq!(path(text), None, "{text:?}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        assert_eq!((path(&long), path(&"/a".repeat(MOST + 1))), (None, None));
    }

    #[test]
    fn every_spelling_that_is_taken_is_one_text_and_is_written_in_one_way() {
        for (text, segments, written) in [
            ("/", vec![""], "/"),
            ("/a/b", vec!["a", "b"], "/a/b"),
            ("/a/", vec!["a", ""], "/a/"),
            ("/%61/B", vec!["a", "B"], "/a/B"),
            ("/a+b/c%20d", vec!["a+b", "c d"], "/a%2Bb/c%20d"),
            ("/me@x.example:1", vec!["me@x.example:1"], "/me%40x.example%3A1"),
            ("/z%C3%bcrich", vec!["zürich"], "/z%C3%BCrich"),
            ("/...", vec!["..."], "/..."),
        ] {
            let read = path(text).unwrap();
            assert_eq!(read, segments, "{text}");
            let mut again = String::new();
            for segment in &read {
                again.push('/');
                encode(segment, &mut again);
            }
            assert_eq!(again, written);
            assert_eq!(path(&again), Some(read), "what is written is read as the same");
        }
    }

    #[test]
    fn a_query_is_read_once_and_its_separators_are_its_own() {
        let read = |text: &str| Query::read(text).ok().map(|query| query.0);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(""), Some(vec![]));
        assert_eq!(read("a=1&b=x+y&c"), Some(vec![pair("a", "1"), pair("b", "x y"), pair("c", "")]));
        assert_eq!(read("a=1%262&q=x%3D%2B"), Some(vec![pair("a", "1&2"), pair("q", "x=+")]));
        assert_eq!(read("f[x]=1/2?"), Some(vec![pair("f[x]", "1/2?")]));
        assert_eq!(read("p=100%25"), Some(vec![pair("p", "100%")]));
        for text in [
            "&", "a=1&", "=1", "a;b=1", "a=1;b=2", "a=%2541", "a=%00", "a=%", "a=%ff", "a=b c", "a=\u{e9}",
            "a=<b>", "a#",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"a&".repeat(MOST)), None);
    }
}
