//! The URI of a resource in the one spelling that is taken. Rules and approvers read its characters, and an upstream
//! resolves it: what a resolver could read as another place than it says is refused, and nothing is rewritten (RFC 3986
//! §6.2.2 names the spellings; WHATWG URL, "special" schemes, those that such hosts have).

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest that is taken, in bytes.
pub const LONGEST: usize = 2048;

/// A resource's URI: ASCII, absolute, canonical, without user, password or fragment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uri(String);

/// A template of URIs (RFC 6570), which names no resource: its expressions stand in braces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UriTemplate(String);

/// Why a text is not taken as a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAUri {
    /// It is empty or over [`LONGEST`].
    #[error("a URI has 1 to {LONGEST} bytes")]
    Length,
    /// It does not begin with a scheme in lower case.
    #[error("it does not begin with a scheme in lower case")]
    Scheme,
    /// A character that no URI has, or the mark of a fragment.
    #[error(
        "it has a character that is not taken in a URI: others are percent-encoded, and there is no fragment"
    )]
    Character,
    /// A percent-encoding that is malformed, needless, or hides a separator or another percent-encoding.
    #[error(
        "a percent-encoding is malformed, in lower case, needless, no UTF-8, or hides a separator, a control or another \
         percent-encoding"
    )]
    Encoding,
    /// It names a user or a password.
    #[error("it names a user or a password")]
    User,
    /// Its host or port has another spelling.
    #[error("its host or port is not in its canonical form")]
    Host,
    /// Its path has another spelling.
    #[error("its path has an empty segment, or one of dots")]
    Path,
    /// Braces that are not those of an expression.
    #[error("its expressions are not well formed")]
    Expression,
}

/// Schemes whose hosts every reader of URLs spells in its own way, each with its default port.
const SPECIAL: [(&str, &str); 5] =
    [("http", "80"), ("https", "443"), ("ws", "80"), ("wss", "443"), ("ftp", "21")];

impl Uri {
    /// Takes a text that is canonical already.
    ///
    /// # Errors
    /// [`NotAUri`] for any other.
    pub fn new(text: &str) -> Result<Self, NotAUri> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UriTemplate {
    /// Takes a text that is canonical whatever its expressions expand to among plain words.
    ///
    /// # Errors
    /// [`NotAUri`] for any other.
    pub fn new(text: &str) -> Result<Self, NotAUri> {
        if text.len() > LONGEST {
            return Err(NotAUri::Length);
        }
        let mut plain = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, after) = after.split_once('}').ok_or(NotAUri::Expression)?;
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.,+#/;?&*:%".contains(&b);
            if before.contains('}') || inside.is_empty() || !inside.bytes().all(fits) {
                return Err(NotAUri::Expression);
            }
            plain.push_str(before);
            plain.push('x');
            rest = after;
        }
        plain.push_str(rest);
        check(&plain)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NotAUri> {
    if text.is_empty() || text.len() > LONGEST {
        return Err(NotAUri::Length);
    }
    let (scheme, rest) = text.split_once(':').ok_or(NotAUri::Scheme)?;
    let in_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(in_scheme) {
        return Err(NotAUri::Scheme);
    }
    let in_uri = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=%".contains(&b);
    if rest.is_empty() || !rest.bytes().all(in_uri) {
        return Err(NotAUri::Character);
    }
    let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match hierarchy.strip_prefix("//") {
        Some(after) => {
            let end = after.find('/').unwrap_or(after.len());
            let (authority, path) = after.split_at(end);
            (Some(authority), path)
        }
        None => (None, hierarchy),
    };
    if path.contains(['[', ']']) || query.contains(['[', ']']) {
        return Err(NotAUri::Character);
    }
    encodings(authority.unwrap_or_default(), true)?;
    encodings(path, true)?;
    encodings(query, false)?;
    host(scheme, authority)?;
    segments(scheme, authority.is_some(), path)
}

/// Percent-encodings: in upper case, of nothing that needs none, of whole UTF-8, and where a resolver splits, of no
/// separator that it would split at after decoding.
fn encodings(part: &str, splits: bool) -> Result<(), NotAUri> {
    let mut decoded = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let hidden = rest.next().and_then(digit).zip(rest.next().and_then(digit));
        let hidden = hidden.map(|(high, low)| high * 16 + low).ok_or(NotAUri::Encoding)?;
        let needless = hidden.is_ascii_alphanumeric() || b"-._~".contains(&hidden);
        if needless || hidden.is_ascii_control() || (splits && b"/\\".contains(&hidden)) {
            return Err(NotAUri::Encoding);
        }
        decoded.push(hidden);
    }
    // A resolver that decodes twice would find another path.
    if splits
        && decoded
            .windows(3)
            .any(|three| matches!(three, [b'%', a, b] if [a, b].iter().all(|b| b.is_ascii_hexdigit())))
    {
        return Err(NotAUri::Encoding);
    }
    // An overlong form of a dot or a slash is no UTF-8.
    std::str::from_utf8(&decoded).map(|_| ()).map_err(|_| NotAUri::Encoding)
}

/// A hexadecimal digit in upper case.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn host(scheme: &str, authority: Option<&str>) -> Result<(), NotAUri> {
    let special = SPECIAL.iter().find(|(name, _)| *name == scheme);
    let Some(authority) = authority else {
        // `http:host` is `http://host` to some.
        return if special.is_some() || scheme == "file" { Err(NotAUri::Host) } else { Ok(()) };
    };
    if authority.contains('@') {
        return Err(NotAUri::User);
    }
    if scheme == "file" {
        return if authority.is_empty() { Ok(()) } else { Err(NotAUri::Host) };
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let number = |port: &str| port.parse::<u16>().is_ok_and(|n| n.to_string() == port);
    let default = |port: &str| special.is_some_and(|(_, default)| *default == port);
    if port.is_some_and(|port| !number(port) || default(port)) {
        return Err(NotAUri::Host);
    }
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return v6
            .parse::<Ipv6Addr>()
            .ok()
            .filter(|v6_| v6_.to_string() == v6)
            .map(|_| ())
            .ok_or(NotAUri::Host);
    }
    if host.contains(['[', ']', ':']) || (special.is_some() && !plain_host(host)) {
        return Err(NotAUri::Host);
    }
    Ok(())
}

/// A name of labels in lower case; one that ends in a number is an IPv4 address, and in dotted decimal.
fn plain_host(host: &str) -> bool {
    let in_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    let label = |label: &str| !label.is_empty() && label.bytes().all(in_label);
    let numeric = |last: &str| last.starts_with(|c: char| c.is_ascii_digit());
    host.split('.').all(label)
        && (!host.rsplit('.').next().is_some_and(numeric)
            || host.parse::<Ipv4Addr>().is_ok_and(|v4| v4.to_string() == host))
}

/// No `.` and `..`, as whatever stands before a parameter (`..;x`) either; no `//`, which file systems fold.
fn segments(scheme: &str, after_host: bool, path: &str) -> Result<(), NotAUri> {
    if path.is_empty() {
        let needed = scheme == "file" || SPECIAL.iter().any(|(name, _)| *name == scheme);
        return if after_host && !needed { Ok(()) } else { Err(NotAUri::Path) };
    }
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let empty = |segment: &str| segment.is_empty() && !inner.is_empty();
    if path == "//" || inner.split('/').any(|segment| dots(segment) || empty(segment)) {
        return Err(NotAUri::Path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_servers_name_their_resources_is_taken_as_it_is() {
        for uri in [
            "demo://resource/static/document/architecture.md",
            "demo://resource/dynamic/text/1",
            "file:///",
            "file:///home/ann/notes.txt",
            "file:///C:/notes.txt",
            "memo://insights",
            "screenshot://MyShot",
            "urn:isbn:0451450523",
            "https://example.com/",
            "https://example.com:8443/a/b/?q=a%2Fb&x=1",
            "http://[::1]:8080/",
            "http://127.0.0.1/",
            "ui://widget/x.html",
            "note:///k%C3%A4se",
            "note:///100%25",
            "note:///100%25%20sure",
            "note:///x?q=%252F",
            "github://repos/owner/name/a..b/...",
            "x:y",
        ] {
            assert_eq!(Uri::new(uri).as_ref().map(Uri::as_str), Ok(uri));
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_taken() {
        use NotAUri::{Character, Encoding, Host, Length, Path, Scheme, User};
        let long = format!("x:{}", "y".repeat(LONGEST - 1));
        for (uri, why) in [
            ("", Length),
            (long.as_str(), Length),
            ("notes.txt", Scheme),
            ("/etc/passwd", Scheme),
            ("File:///x", Scheme),
            ("1x:y", Scheme),
            ("x:", Character),
            ("file:///a b", Character),
            ("file:///a\nb", Character),
            ("file:///a\tb", Character),
            (" file:///a", Scheme),
            ("file:///a\u{202e}b", Character),
            ("file:///käse", Character),
            ("file:///a\\b", Character),
            ("file:///a#b", Character),
            ("demo://{id}", Character),
            ("file:///a[b]", Character),
            ("x:a?[b]", Character),
            ("file:///%61", Encoding),
            ("file:///a%2e%2e/b", Encoding),
            ("file:///a%2E%2E/b", Encoding),
            ("file:///k%c3%a4se", Encoding),
            ("file:///a%2Fb", Encoding),
            ("file:///a%5Cb", Encoding),
            ("file:///a/%252e%252e/b", Encoding),
            ("file:///a%252Fb", Encoding),
            ("file:///a%00", Encoding),
            ("file:///a%0Ab", Encoding),
            ("x:a?b%0Ac", Encoding),
            ("file:///a%C0%AE", Encoding),
            ("file:///a%", Encoding),
            ("file:///a%4", Encoding),
            ("file:///a%GG", Encoding),
            ("https://ann@example.com/", User),
            ("https://ann:secret@example.com/", User),
            ("postgres://ann:secret@db/x", User),
            ("https://trusted.example@evil.example/", User),
            ("http:example.com/", Host),
            ("file:x", Host),
            ("file://localhost/x", Host),
            ("file://C:/x", Host),
            ("https://Example.com/", Host),
            ("https://example.com./", Host),
            ("https:///x", Host),
            ("https://example.com:443/", Host),
            ("https://example.com:/", Host),
            ("https://example.com:0443/", Host),
            ("https://a%3Ab/", Host),
            ("http://127.1/", Host),
            ("http://0x7f.0.0.1/", Host),
            ("http://2130706433/", Host),
            ("http://[0:0::1]/", Host),
            ("http://[::FF]/", Host),
            ("x://a:b:1", Host),
            ("https://example.com", Path),
            ("file:///a/../b", Path),
            ("file:///..", Path),
            ("file:///a/./b", Path),
            ("file:///a/..;x/b", Path),
            ("file:///a//b", Path),
            ("file:////b", Path),
            ("x://a//", Path),
            ("x:a/../b", Path),
            ("x:..", Path),
        ] {
            assert_eq!(Uri::new(uri), Err(why), "{uri}");
        }
    }

    #[test]
    fn a_template_is_taken_where_what_it_makes_could_be() {
        for template in [
            "demo://resource/dynamic/text/{resourceId}",
            "file:///{+path}",
            "note://x{?q,r*}",
            "{scheme}://x",
            "note://x/a",
        ] {
            assert_eq!(UriTemplate::new(template).as_ref().map(UriTemplate::as_str), Ok(template));
        }
        for (template, why) in [
            ("file:///{a", NotAUri::Expression),
            ("file:///a}", NotAUri::Character),
            ("file:///}{a}", NotAUri::Expression),
            ("file:///{}", NotAUri::Expression),
            ("file:///{{a}}", NotAUri::Expression),
            ("file:///{a b}", NotAUri::Expression),
            ("file:///../{a}", NotAUri::Path),
            ("file:///{a}#x", NotAUri::Character),
        ] {
            assert_eq!(UriTemplate::new(template), Err(why), "{template}");
        }
    }

    /// The places that a path leads through, as a file system or a web server finds them: decoded, without what
    /// stands for nothing, one up for each `..`.
    fn resolved(path: &str) -> Vec<Vec<u8>> {
        let (mut decoded, mut bytes) = (Vec::new(), path.bytes());
        while let Some(byte) = bytes.next() {
            let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).unwrap() as u8;
            decoded.push(if byte == b'%' { hex(bytes.next()) * 16 + hex(bytes.next()) } else { byte });
        }
        let mut places: Vec<Vec<u8>> = Vec::new();
        for segment in decoded.split(|b| b"/\\".contains(b)) {
            match segment.split(|b| *b == b';').next().unwrap() {
                b"" | b"." => {}
                b".." => drop(places.pop()),
                place => places.push(place.to_vec()),
            }
        }
        places
    }

    proptest! {
        #[test]
        fn two_uris_that_are_taken_lead_to_two_places(
            one in "(/(a|b|\\.|%2E|%2F|%5C|;|%41|%C3%A4|%c3|\\\\){0,3}){1,3}/?",
            other in "(/(a|b|\\.|%2E|%2F|%5C|;|%41|%C3%A4|%c3|\\\\){0,3}){1,3}/?",
        ) {
            let taken = |path: &str| Uri::new(&format!("file://{path}")).is_ok();
            // A slash at the end and a parameter name the same file, and are read by rules as they are written.
            let plain = |path: &str| path.split('/').map(|s| s.split(';').next().unwrap()).filter(|s| !s.is_empty())
                .map(str::to_owned).collect::<Vec<_>>();
            if taken(&one) && taken(&other) && plain(&one) != plain(&other) {
                prop_assert_ne!(resolved(&one), resolved(&other));
            }
            if taken(&one) {
                prop_assert_eq!(resolved(&one).len(), plain(&one).len());
            }
        }
    }
}
