//! Requests that two readers could end at two places. What is published of them is sent here, each with a second request behind
//! it: all that arrives at the API was judged by itself and is framed by us (T39, T40, T41, T46).
//!
//! The byte sequences are those of: PortSwigger's http-request-smuggler (`DesyncBox`) and "HTTP desync attacks", defparam's
//! smuggler (`configs`), the HTTP Garden's trophies, the parser tests of llhttp, Amit Klein's "HTTP Request Smuggling in 2020",
//! and the examples of RFC 9112 (6.1, 6.3, 7.1, 11.2).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::apis::world;
use crate::crm::{Arrived, Crm};
use crate::world::World;

/// How the framing of the first request is read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Read {
    /// As chunks.
    Chunked,
    /// Not at all: it is refused, and so is what comes after it on that connection.
    Refused,
    /// It frames nothing: a header like any other.
    Other,
}
use Read::{Chunked, Other, Refused};

/// What is in a head in the place of `Transfer-Encoding: chunked`.
const CODINGS: &[(&[u8], Read)] = &[
    (b"Transfer-Encoding: chunked", Chunked),
    // RFC 9112, 5.1: white space around the value is none of it; names and codings have no case.
    (b"Transfer-Encoding:chunked", Chunked),
    (b"Transfer-Encoding:  chunked", Chunked),
    (b"Transfer-Encoding:\tchunked", Chunked),
    (b"Transfer-Encoding: chunked\t", Chunked),
    (b"Transfer-Encoding: chunked ", Chunked),
    (b"TRANSFER-ENCODING: CHUNKED", Chunked),
    (b"tRANSFER-eNCODING: chunked", Chunked),
    (b"TrAnSFer-EnCODinG: cHuNkeD", Chunked),
    (b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked", Chunked),
    // DesyncBox and smuggler: what is before the colon.
    (b"Transfer-Encoding : chunked", Refused),
    (b"Transfer-Encoding\t: chunked", Refused),
    (b"Transfer-Encoding\t:\tchunked", Refused),
    (b"Transfer-Encoding\x0b: chunked", Refused),
    (b"Transfer-Encoding\x0c: chunked", Refused),
    (b"Transfer-Encoding\0: chunked", Refused),
    (b"Transfer-Encoding\x7f: chunked", Refused),
    (b"Transfer-Encoding\xa0: chunked", Refused),
    (b"Transfer-Encoding x: chunked", Refused),
    (b"Transfer Encoding: chunked", Refused),
    (b"Transfer\\Encoding: chunked", Refused),
    (b"Transfer_Encoding: chunked", Other),
    (b"Transfer-%45ncoding: chunked", Other),
    (b"Content-Encoding: chunked", Other),
    (b"Transf\x82r-Encoding: chunked", Refused),
    (b"Tra\rnsfer-Encoding: chunked", Refused),
    (b"\x0bTransfer-Encoding: chunked", Refused),
    (b"\0Transfer-Encoding: chunked", Refused),
    (b"\x85Transfer-Encoding: chunked", Refused),
    // The same: what is after it.
    (b"Transfer-Encoding:\x0bchunked", Refused),
    (b"Transfer-Encoding:\x0cchunked", Refused),
    (b"Transfer-Encoding:\0chunked", Refused),
    (b"Transfer-Encoding:\rchunked", Refused),
    (b"Transfer-Encoding:\x7fchunked", Refused),
    (b"Transfer-Encoding:\xffchunked", Refused),
    (b"Transfer-Encoding:\xa0chunked", Refused),
    (b"Transfer-Encoding: \xa0chunked\xa0", Refused),
    (b"Transfer-Encoding: \x85chunked", Refused),
    (b"Transfer-Encoding: chunked\0", Refused),
    (b"Transfer-Encoding: chunked\x0b", Refused),
    (b"Transfer-Encoding: chunked\x0c", Refused),
    (b"Transfer-Encoding: chunked\x7f", Refused),
    (b"Transfer-Encoding: chunked\r", Refused),
    (b"Transfer-Encoding: ch\x96nked", Refused),
    // Lines that go on, or seem to end (RFC 9112, 5.2 and 2.2).
    (b"Transfer-Encoding:\n chunked", Refused),
    (b"Transfer-Encoding:\r\n chunked", Refused),
    (b"Transfer-Encoding:\r\n\tchunked", Refused),
    (b"Transfer-Encoding: \n\x0bchunked", Refused),
    (b"Transfer-Encoding\n : chunked", Refused),
    (b"Transfer-Encoding\r\n: chunked", Refused),
    (b"Foo: bar\r\n Transfer-Encoding: chunked", Refused),
    (b"Foo: bar\r\n\tTransfer-Encoding: chunked", Refused),
    (b"Foo: bar\rTransfer-Encoding: chunked", Refused),
    (b"Foo: bar\r\n\rTransfer-Encoding: chunked", Refused),
    (b" Transfer-Encoding: chunked", Refused),
    (b"X:\rTransfer-Encoding: chunked", Refused),
    // Codings that are none, or not the last (RFC 9112, 6.1 and 6.3).
    (b"Transfer-Encoding:", Refused),
    (b"Transfer-Encoding: ", Refused),
    (b"Transfer-Encoding: identity", Refused),
    (b"Transfer-Encoding: pigeons", Refused),
    (b"Transfer-Encoding: gzip", Refused),
    (b"Transfer-Encoding: chunk", Refused),
    (b"Transfer-Encoding: xchunked", Refused),
    (b"Transfer-Encoding: chunkedx", Refused),
    (b"Transfer-Encoding: \"chunked\"", Refused),
    (b"Transfer-Encoding: 'chunked'", Refused),
    (b"Transfer-Encoding: chunked;q=1", Refused),
    (b"Transfer-Encoding: chunked, identity", Refused),
    (b"Transfer-Encoding: chunked, cow", Refused),
    (b"Transfer-Encoding: chunked,", Refused),
    (b"Transfer-Encoding: cow chunked bar", Refused),
    (b"Transfer-Encoding: cow chunked", Refused),
    (b"Transfer-Encoding: identity, chunked, identity", Refused),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Refused),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", Refused),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding:", Refused),
    // Another coding below chunks, or chunks twice: which nobody reads but as chunks here.
    (b"Transfer-Encoding: cow, chunked", Refused),
    (b"Transfer-Encoding: identity, chunked", Refused),
    (b"Transfer-Encoding: gzip, chunked", Refused),
    (b"Transfer-Encoding: , chunked", Refused),
    (b"Transfer-Encoding: chunked, chunked", Refused),
    (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", Refused),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Refused),
];

/// Lengths in a head that has no coding, with the content behind it, and whether both requests are read.
const LENGTHS: &[(&[u8], &[u8], Read)] = &[
    (b"Content-Length: 6", b"user=a", Other),
    (b"Content-Length:6", b"user=a", Other),
    (b"Content-Length: \t6 \t", b"user=a", Other),
    (b"CONTENT-LENGTH: 6", b"user=a", Other),
    (b"Content-Length: 006", b"user=a", Other),
    // "a recipient … may … replace the duplicated field values with a single valid one" (RFC 9110, 8.6).
    (b"Content-Length: 6\r\nContent-Length: 6", b"user=a", Other),
    (b"Content-Length: 6, 6", b"user=a", Refused),
    (b"Content-Length: 6\r\nContent-Length: 0", b"user=a", Refused),
    (b"Content-Length: 0\r\nContent-Length: 6", b"user=a", Refused),
    (b"Content-Length: 6, 0", b"user=a", Refused),
    (b"Content-Length: 0, 6", b"user=a", Refused),
    (b"Content-Length: 6,", b"user=a", Refused),
    // The HTTP Garden: what `int` of Python takes, and `strtol` of C.
    (b"Content-Length: +6", b"user=a", Refused),
    (b"Content-Length: -6", b"user=a", Refused),
    (b"Content-Length: -0", b"", Refused),
    (b"Content-Length: 0x6", b"user=a", Refused),
    (b"Content-Length: 0_6", b"user=a", Refused),
    (b"Content-Length: +0_6", b"user=a", Refused),
    (b"Content-Length: 6 ", b"user=a", Other),
    (b"Content-Length: 6 6", b"user=a", Refused),
    (b"Content-Length: 6 x", b"user=a", Refused),
    (b"Content-Length: 6x", b"user=a", Refused),
    (b"Content-Length: 6.0", b"user=a", Refused),
    (b"Content-Length: 6e0", b"user=a", Refused),
    (b"Content-Length: 6;", b"user=a", Refused),
    (b"Content-Length: \"6\"", b"user=a", Refused),
    (b"Content-Length: \xef\xbc\x96", b"user=a", Refused),
    (b"Content-Length:", b"", Refused),
    (b"Content-Length: ", b"", Refused),
    (b"Content-Length: 6\0", b"user=a", Refused),
    (b"Content-Length: \x0b6", b"user=a", Refused),
    (b"Content-Length:\xa06", b"user=a", Refused),
    (b"Content-Length : 6", b"user=a", Refused),
    (b"Content-Length\t: 6", b"user=a", Refused),
    (b"Content Length: 6", b"user=a", Refused),
    (b"Content-Length:\r\n 6", b"user=a", Refused),
    (b"Content-Length: 0\r\n 6", b"user=a", Refused),
    (b"Content-Length: 6\r\n Folded: 1", b"user=a", Refused),
    (b" Content-Length: 6", b"user=a", Refused),
    (b"Foo: bar\r\n Content-Length: 38", b"", Refused),
    (b"Content-Length: 6\rContent-Length: 0", b"user=a", Refused),
    (b"Content-Length: 18446744073709551615", b"user=a", Refused),
    (b"Content-Length: 18446744073709551616", b"user=a", Refused),
    (b"Content-Length: 18446744073709551622", b"user=a", Refused),
    (b"Content-Length: 4294967302", b"user=a", Refused),
    (b"Content-Length: 99999999999999999999999999999999999999999", b"user=a", Refused),
    // A header like any other.
    (b"Content_Length: 38", b"", Other),
    (b"Connection: Content-Length\r\nContent-Length: 6", b"user=a", Other),
    (b"Connection: Authorization\r\nContent-Length: 6", b"user=a", Other),
    (b"Connection: Host, Content-Type\r\nContent-Length: 6", b"user=a", Other),
    (b"Trailer: Content-Length\r\nContent-Length: 6", b"user=a", Other),
    // Bytes that no header has, or no name.
    (b"Content-Length: 6\r\n: empty", b"user=a", Refused),
    (b"Content-Length: 6\r\nwithout-colon", b"user=a", Refused),
    (b"Content-Length: 6\r\nFo@: x", b"user=a", Refused),
    (b"Content-Length: 6\r\nFo o: x", b"user=a", Refused),
    (b"Content-Length: 6\r\nFo(o): x", b"user=a", Refused),
    (b"Content-Length: 6\r\nFoo\x01test: x", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: a\0b", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: a\x01b", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: a\x08b", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: a\x7fb", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: a\rb", b"user=a", Refused),
    (b"Content-Length: 6\r\nX: v\0\ralue", b"user=a", Refused),
    (b"Content-Length: 6\r\nVisible: :/\rSmuggled: :)", b"user=a", Refused),
    // What changes what is spoken, or when.
    (b"Content-Length: 6\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings", b"user=a", Other),
    (b"Content-Length: 6\r\nUpgrade: websocket\r\nConnection: Upgrade", b"user=a", Other),
    (b"Content-Length: 6\r\nExpect: 100-continue", b"user=a", Other),
    (b"Content-Length: 6\r\nExpect: 100-Continue", b"user=a", Other),
    (b"Content-Length: 6\r\nExpect: y 100-continue", b"user=a", Refused),
    (b"Content-Length: 6\r\nExpect: 100-continue, x", b"user=a", Refused),
    (b"Content-Length: 6\r\nExpect:", b"user=a", Refused),
    (b"Content-Length: 6\r\nExpect: 100-continue\r\nExpect: 100-continue", b"user=a", Refused),
];

/// Content in chunks. `Chunked`: it is `user=a`, and the next request is read behind it.
const CHUNKS: &[(&[u8], Read)] = &[
    (b"6\r\nuser=a\r\n0\r\n\r\n", Chunked),
    (b"3\r\nuse\r\n3\r\nr=a\r\n0\r\n\r\n", Chunked),
    (b"06\r\nuser=a\r\n000\r\n\r\n", Chunked),
    // Extensions are none of the content (RFC 9112, 7.1.1).
    (b"6;x\r\nuser=a\r\n0\r\n\r\n", Chunked),
    (b"6;x=y;z=\"a b\"\r\nuser=a\r\n0;x\r\n\r\n", Chunked),
    (b"6;x=\"abc\r\nuser=a\r\n0\r\n\r\n", Chunked),
    (b"6;\r\nuser=a\r\n0\r\n\r\n", Chunked),
    // Trailers are read and go nowhere, whatever they say (RFC 9110, 6.5.1).
    (b"6\r\nuser=a\r\n0\r\nX-Trailer: 1\r\n\r\n", Chunked),
    (b"6\r\nuser=a\r\n0\r\nContent-Length: 400\r\nTransfer-Encoding: chunked\r\nHost: evil\r\n\r\n", Chunked),
    (b"6\r\nuser=a\r\n0\r\nAuthorization: Bearer other\r\n\r\n", Chunked),
    // Sizes that are none: llhttp, and the HTTP Garden (what `int` of Python takes).
    (b"0x6\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"0_6\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"+6\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"-6\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"g\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6,\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6 x\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b" 6\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"\r\n\r\n", Refused),
    (b";x\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6\0\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"\"6\"\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"10000000000000006\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"ffffffffffffffff\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"fffffffffffffffff6\r\nuser=a\r\n0\r\n\r\n", Refused),
    // Ends that are none.
    (b"6\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6\ruser=a\r\n0\r\n\r\n", Refused),
    (b"6\r\nuser=a\n0\r\n\r\n", Refused),
    (b"6\r\nuser=a0\r\n\r\n", Refused),
    (b"6\r\nuser=axx0\r\n\r\n", Refused),
    (b"6\r\nuser=ab\r\n0\r\n\r\n", Refused),
    (b"5\r\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6\r\nuser=a\r\n0\n\n", Refused),
    (b"6\r\nuser=a\r\n0\r\r", Refused),
    (b"6;x\nuser=a\r\n0\r\n\r\n", Refused),
    (b"6;x=\"\n\"\r\nuser=a\r\n0\r\n\r\n", Refused),
];

/// First lines, with `{host}` for ours, and whether what they ask is judged and sent.
const LINES: &[(&str, bool)] = &[
    ("POST /http/crm/login HTTP/1.1\r\nHost: {host}", true),
    ("POST http://{host}/http/crm/login HTTP/1.1\r\nHost: {host}", true),
    ("POST http://evil.example/http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST http://{host}/http/crm/login HTTP/1.1\r\nHost: evil.example", false),
    ("POST http://{host}@evil.example/http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.1", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost:", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: evil.example", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: {host}\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: {host}\r\nHost: evil.example", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: evil.example\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: user@{host}", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: {host}, evil.example", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost: {host}/x", false),
    ("POST /http/crm/login HTTP/1.1\r\nHost : {host}", false),
    ("POST  /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login  HTTP/1.1\r\nHost: {host}", false),
    ("POST\t/http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login\tHTTP/1.1\r\nHost: {host}", false),
    ("POST\x0b/http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login\nHTTP/1.1\r\nHost: {host}", false),
    (" POST /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/lo gin HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.1 x\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.1\r\n Host: {host}", false),
    ("POST http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login#x HTTP/1.1\r\nHost: {host}", true),
    ("POST /http/crm/login", false),
    ("post /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POSTA /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("PO(ST /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("CONNECT {host} HTTP/1.1\r\nHost: {host}", false),
    ("TRACE /http/crm/login HTTP/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/0.9\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.0\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.0\r\nHost: {host}\r\nConnection: close, x", false),
    ("POST /http/crm/login HTTP/1.2\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/1.32\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/2.0\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/5.6\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/4294967295.255\r\nHost: {host}", false),
    ("POST /http/crm/login HTTP/\r\r1.1\r\nHost: {host}", false),
    ("POST /http/crm/login http/1.1\r\nHost: {host}", false),
    ("POST /http/crm/login IHTTP/1.0\r\nHost: {host}", false),
    ("POST /http/crm/login ICE/1.0\r\nHost: {host}", false),
];

/// What comes second: it is told apart from all else.
const INNER: &str = "GET /http/crm/customers/17 HTTP/1.1";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const FIRST: &str = "POST /http/crm/login HTTP/1.1\r\nHost: {host}";

/// What was answered to what was sent, and what arrived of it.
#[derive(Debug)]
struct Seen {
    statuses: Vec<u16>,
    arrived: Vec<Arrived>,
}

/// Stepup before an API, and a caller's key.
struct Door {
    world: World,
    crm: Crm,
}

impl Door {
    async fn new() -> Self {
        let (world, crm) = world().await;
        Self { world, crm }
    }

    /// The second request.
    fn inner(&self) -> Vec<u8> {
        let (host, key) = (self.world.at, self.world.key("bot"));
        format!("{INNER}\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n").into()
    }

    /// Sends a first request of these parts and the second behind it, in one go; and looks until the connection is closed.
    async fn send(&self, line: &str, framing: &[u8], content: &[u8]) -> Seen {
        let (host, key) = (self.world.at.to_string(), self.world.key("bot"));
        let line = line.replace("{host}", &host);
        let mut bytes = format!("{line}\r\nAuthorization: Bearer {key}\r\n{FORM}\r\n").into_bytes();
        bytes.extend_from_slice(framing);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(&self.inner());
        let before = self.crm.arrived().len();
        let mut stream = TcpStream::connect(self.world.at).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        // Who waits for more than there is, is told that there is none.
        if tokio::time::timeout(Duration::from_millis(400), stream.read_to_end(&mut answer)).await.is_err() {
            let _ = stream.shutdown().await;
            let rest = stream.read_to_end(&mut answer);
            let _ = tokio::time::timeout(Duration::from_secs(10), rest).await.expect("it is never closed");
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let statuses =
            answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer[at..].get(9..12)?.parse().ok());
        Seen { statuses: statuses.collect(), arrived: self.crm.arrived().split_off(before) }
    }

    /// Whatever was sent: what arrived is framed by us, and says what we would; and who sent it is told so in order.
    fn check(&self, what: &str, seen: &Seen) {
        for one in &seen.arrived {
            let line = one.line();
            let known = ["POST /api/login HTTP/1.1", "GET /api/customers/17 HTTP/1.1"].contains(&line);
            assert!(known && one.header("transfer-encoding").is_none(), "{what}: {one:?}");
            let length = one.header("content-length").map_or(0, |length| length.parse().unwrap());
            assert_eq!(
                (length, one.header("host")),
                (one.body.len(), Some(self.crm.at.to_string())),
                "{what}"
            );
            assert!(["", "user=a"].contains(&one.body.as_str()), "{what}: {one:?}");
            let names = [
                "accept",
                "accept-encoding",
                "authorization",
                "content-length",
                "content-type",
                "host",
                "user-agent",
            ];
            assert!(one.names().iter().all(|name| names.contains(&name.as_str())), "{what}: {one:?}");
            assert_eq!(one.header("authorization").as_deref(), Some("Bearer upstream-secret"), "{what}");
        }
        let told = [100, 200, 400, 403, 404, 405, 408, 413, 415, 417, 431, 501, 505];
        assert!(seen.statuses.iter().all(|status| told.contains(status)), "{what}: {seen:?}");
        let judged = seen.statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(judged, seen.arrived.len(), "{what}: each is answered: {seen:?}");
        assert!(!seen.statuses.is_empty(), "{what}: nothing is said");
    }

    /// So many arrive: the first, and the second behind it.
    fn arrives(&self, what: &str, seen: &Seen, (first, second): (bool, bool)) {
        self.check(what, seen);
        let of = |method: &str| seen.arrived.iter().any(|one| one.line().starts_with(method));
        assert_eq!((of("POST"), of("GET")), (first, second), "{what}: {seen:?}");
        assert!(seen.arrived.len() <= 2, "{what}: {seen:?}");
    }

    /// All that arrived was permitted, and nothing else.
    async fn end(self) {
        let permitted = self.world.records().await.into_iter().filter(|kind| kind == "permitted").count();
        assert!(permitted > 0);
        assert_eq!(self.crm.arrived().len(), permitted);
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[tokio::test]
async fn t39_whatever_coding_a_head_names_no_request_arrives_that_was_hidden_behind_it() {
    let door = Door::new().await;
    let end = b"0\r\n\r\n";
    let length = format!("Content-Length: {}", end.len() + door.inner().len());
    for (coding, read) in CODINGS {
        let what = shown(coding);
        // Where it frames nothing, the end of chunks is no request.
        let seen = door.send(FIRST, coding, end).await;
        // `Content-Encoding` is judged, and no such content is taken.
        let first = *read == Chunked || (*read == Other && !what.starts_with("Content-Encoding"));
        door.arrives(&what, &seen, (first, *read == Chunked));
        // With a length that hides the second request: chunks come first, and the connection ends (RFC 9112, 6.3).
        for both in
            [[length.as_bytes(), coding].join(&b"\r\n"[..]), [coding, length.as_bytes()].join(&b"\r\n"[..])]
        {
            let seen = door.send(FIRST, &both, end).await;
            door.arrives(&shown(&both), &seen, (*read == Chunked, false));
            assert!(seen.statuses.len() == 1, "{}: {seen:?}", shown(&both));
        }
        // And with one that hides nothing, for whoever goes by the length: chunks hide the second one.
        let short = [b"Content-Length: 0\r\n", *coding].concat();
        let size = format!("{:x}\r\n", door.inner().len());
        let seen = door.send(FIRST, &short, size.as_bytes()).await;
        door.check(&shown(&short), &seen);
        assert!(
            seen.arrived.iter().all(|one| one.line().starts_with("POST") && *read == Other),
            "{what}: {seen:?}"
        );
    }
    door.end().await;
}

#[tokio::test]
async fn t39_a_length_is_one_plain_number_or_nothing_arrives() {
    let door = Door::new().await;
    for (lengths, content, read) in LENGTHS {
        let what = shown(lengths);
        let seen = door.send(FIRST, lengths, content).await;
        let other = *read == Other;
        door.arrives(&what, &seen, (other, other));
        if !other {
            assert!(
                seen.statuses.iter().all(|status| [400, 413, 417, 431].contains(status)),
                "{what}: {seen:?}"
            );
        }
    }
    door.end().await;
}

#[tokio::test]
async fn t39_chunks_end_where_they_say_or_nothing_arrives() {
    let door = Door::new().await;
    for (content, read) in CHUNKS {
        let what = shown(content);
        let seen = door.send(FIRST, b"Transfer-Encoding: chunked", content).await;
        let chunked = *read == Chunked;
        door.arrives(&what, &seen, (chunked, chunked));
        if !chunked {
            assert_eq!(seen.statuses, [400], "{what}");
        }
    }
    door.end().await;
}

#[tokio::test]
async fn t40_a_first_line_is_of_http_1_1_and_this_host_or_nothing_arrives() {
    let door = Door::new().await;
    for (line, sent) in LINES {
        let seen = door.send(line, b"Content-Length: 6", b"user=a").await;
        door.check(line, &seen);
        let first = seen.arrived.iter().any(|one| one.line().starts_with("POST"));
        assert_eq!(first, *sent, "{line:?}: {seen:?}");
    }
    for (line, status) in [("HTTP/1.0", 505), ("HTTP/1.0\r\nConnection: keep-alive", 505)] {
        let line = FIRST.replace("HTTP/1.1", line);
        let seen = door.send(&line, b"Content-Length: 6", b"user=a").await;
        assert_eq!((seen.statuses.as_slice(), seen.arrived.len()), (&[status][..], 0), "{line}: {seen:?}");
        let seen = door.send(&line, b"Transfer-Encoding: chunked", b"0\r\n\r\n").await;
        assert_eq!((seen.statuses.as_slice(), seen.arrived.len()), (&[400][..], 0), "{line}: {seen:?}");
    }
    for expects in ["x", "100-continue, x", "200-ok"] {
        let seen =
            door.send(FIRST, format!("Content-Length: 6\r\nExpect: {expects}").as_bytes(), b"user=a").await;
        assert_eq!((seen.statuses.as_slice(), seen.arrived.len()), (&[417][..], 0), "{expects}: {seen:?}");
    }
    door.end().await;
}

#[tokio::test]
async fn t39_a_head_without_bounds_is_refused_before_anything_arrives() {
    let door = Door::new().await;
    for framing in [
        format!("Content-Length: 6\r\nX: {}", "x".repeat(40 << 10)),
        format!("Content-Length: 6{}", "\r\nX: y".repeat(400)),
        format!("Content-Length: 6\r\n{}: y", "x".repeat(70 << 10)),
    ] {
        let seen = door.send(FIRST, framing.as_bytes(), b"user=a").await;
        assert!(seen.arrived.iter().all(|one| one.line().starts_with("GET")), "{seen:?}");
        assert!([400, 413, 431].contains(&seen.statuses[0]), "{seen:?}");
    }
    let long = format!("POST /http/crm/login?{} HTTP/1.1\r\nHost: {{host}}", "x".repeat(70 << 10));
    let seen = door.send(&long, b"Content-Length: 6", b"user=a").await;
    assert_eq!((seen.statuses.as_slice(), seen.arrived.len()), (&[414][..], 0), "{seen:?}");
    let seen = door.send(FIRST, b"Content-Length: 6", b"user=a").await;
    door.arrives("plainly", &seen, (true, true));
    door.end().await;
}
