//! An HTTP API that keeps what arrives to the byte, and that answers badly where it is asked to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use terms::json::parse;
use terms::{Json, Millis, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use upstream::{ApiConfig, Credential, Http, Timeouts};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub head: String,
    pub body: String,
}

impl Arrived {
    /// Its first line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (had, value) = line.split_once(": ")?;
            had.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} twice in {}", self.head);
        value
    }

    /// The names of its headers, in order of the alphabet.
    pub fn names(&self) -> Vec<String> {
        let names =
            self.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

#[derive(Clone)]
pub struct Crm {
    pub at: SocketAddr,
    /// Lets the next event happen.
    pub event: Arc<Notify>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    connections: Arc<AtomicUsize>,
    /// How many keys it made.
    made: Arc<AtomicUsize>,
}

/// What the API has: name, method, path, and what of the definition is said beside these.
const ROUTES: [(&str, &str, &str, &str); 14] = [
    ("health", "GET", "/health", ""),
    (
        "customer",
        "GET",
        "/customers/{id}",
        r#""path":{"id":"integer"},"query":{"fields":"string[]","q":"string"}"#,
    ),
    ("me", "GET", "/customers/me", ""),
    ("recent", "GET", "/search/recent", ""),
    ("search", "GET", "/search/{word}", r#""path":{"word":"string"}"#),
    ("export", "GET", "/export", r#""query":{"limit":"integer"},"headers":{"x-reason":"string"}"#),
    (
        "transfer",
        "POST",
        "/accounts/{id}/transfers",
        r#""path":{"id":"string"},"json":{"amount":"number","to":"string"}"#,
    ),
    ("note", "POST", "/notes", r#""json":{"text":"string","pin":"string"}"#),
    ("login", "POST", "/login", r#""form":{"user":"string","n":"integer"}"#),
    ("import", "PUT", "/import", r#""bytes":["text/csv"]"#),
    ("drop", "DELETE", "/customers/{id}", r#""path":{"id":"integer"}"#),
    ("hidden", "GET", "/hidden", ""),
    ("odd", "GET", "/odd/{how}", r#""path":{"how":"string"}"#),
    ("act", "POST", "/act/{how}", r#""path":{"how":"string"},"json":{}"#),
];

/// The definitions of its routes.
pub fn routes() -> impl Iterator<Item = (String, Json)> {
    ROUTES.into_iter().map(|(name, method, path, said)| {
        let said: serde_json::Value = serde_json::from_str(&format!("{{{said}}}")).unwrap();
        let object = |fields: &serde_json::Value| {
            let fields = fields.as_object().unwrap();
            let typed = fields.iter().map(|(name, of)| {
                let of = of.as_str().unwrap();
                let schema = of.strip_suffix("[]").map_or_else(
                    || serde_json::json!({"type": of}),
                    |item| serde_json::json!({"type": "array", "items": {"type": item}}),
                );
                (name.clone(), schema)
            });
            let properties: serde_json::Map<_, _> = typed.collect();
            serde_json::json!({"type": "object", "properties": properties, "additionalProperties": false})
        };
        let mut properties = serde_json::Map::new();
        for place in ["path", "query", "headers"] {
            if let Some(fields) = said.get(place) {
                properties.insert(place.to_owned(), object(fields));
            }
        }
        let mut definition = serde_json::json!({"method": method, "path": path});
        for (content, place) in [("json", "json"), ("form", "form")] {
            if let Some(fields) = said.get(place) {
                definition["content"] = content.into();
                properties.insert("body".to_owned(), object(fields));
            }
        }
        if let Some(types) = said.get("bytes") {
            definition["content"] = "bytes".into();
            definition["types"] = types.clone();
            let members = serde_json::json!({"type": "string", "bytes": "integer", "digest": "string"});
            properties.insert("body".to_owned(), object(&members));
        }
        let required: Vec<String> = properties.keys().cloned().collect();
        definition["inputSchema"] = serde_json::json!({"type": "object", "properties": properties,
            "required": required, "additionalProperties": false});
        (name.to_owned(), parse(definition.to_string().as_bytes()).unwrap())
    })
}

/// An answer that comes without end, in drops or as fast as it is taken.
async fn flow(mut stream: TcpStream, drips: bool) {
    let mut piece = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    while stream.write_all(&piece).await.is_ok() {
        piece =
            if drips { b"1\r\nx\r\n".to_vec() } else { format!("10000\r\n{}\r\n", "x".repeat(65536)).into() };
        tokio::time::sleep(std::time::Duration::from_millis(if drips { 50 } else { 0 })).await;
    }
}

impl Crm {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let crm = Self {
            at,
            event: Arc::default(),
            arrived: Arc::default(),
            connections: Arc::default(),
            made: Arc::default(),
        };
        let serving = crm.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        crm
    }

    /// As the exit is told of it.
    pub fn config(&self) -> ApiConfig {
        let credential = Credential {
            header: "authorization".to_owned(),
            value: Secret::new("Bearer upstream-secret".to_owned()),
        };
        ApiConfig {
            name: "crm".to_owned(),
            http: Http { url: format!("http://{}/api/", self.at), credential: Some(credential) },
            timeouts: Timeouts { connect: Millis::seconds(2), ..Timeouts::default() },
        }
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// The one request that arrived.
    pub fn sole(&self) -> Arrived {
        let arrived = self.arrived();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        arrived[0].clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut had: Vec<u8> = Vec::new();
        let mut buffer = [0; 65536];
        loop {
            let end = loop {
                if let Some(at) = had.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                had.extend_from_slice(&buffer[..read]);
            };
            let head = String::from_utf8(had.drain(..end).collect()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            while had.len() < length {
                let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
                had.extend_from_slice(&buffer[..read]);
            }
            let body = String::from_utf8(had.drain(..length).collect()).unwrap();
            let arrived = Arrived { head: head.trim_end().to_owned(), body };
            let path = arrived.line().split(' ').nth(1).unwrap().to_owned();
            self.arrived.lock().unwrap().push(arrived);
            if path.ends_with("/events") {
                return self.events(stream).await;
            }
            if path.ends_with("/drips") || path.ends_with("/endless") {
                return flow(stream, path.ends_with("/drips")).await;
            }
            let (answer, goes_on) = self.answer(&path).await;
            if stream.write_all(&answer).await.is_err() || !goes_on {
                return;
            }
        }
    }

    /// Three events, each when it is let happen.
    async fn events(&self, mut stream: TcpStream) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        for event in 1..=3 {
            self.event.notified().await;
            let event = format!("id: {event}\ndata: event {event}\n\n");
            let _ = stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await;
        }
        let _ = stream.write_all(b"0\r\n\r\n").await;
    }

    /// The bytes of an answer, and whether the connection goes on after them.
    async fn answer(&self, path: &str) -> (Vec<u8>, bool) {
        let plain = |status: &str, headers: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes()
        };
        let how = path.rsplit('/').next().unwrap();
        match how {
            "moved" => (plain("302 Found", &format!("Location: http://{}/api/health\r\n", self.at), ""), true),
            "away" => (plain("302 Found", "Location: https://elsewhere.example/x\r\n", ""), true),
            "hop" => {
                let headers = "Connection: X-Inside\r\nX-Inside: 1\r\nSet-Cookie: s=1\r\nWWW-Authenticate: Basic\r\n\
                    Cache-Control: public\r\nX-Kept: yes\r\n";
                (plain("200 OK", headers, "{}"), true)
            }
            "rotated" => {
                let headers = "X-Key: fresh-secret-1\r\nETag: \"fresh-secret-1\"\r\nContent-Type: application/json\r\n";
                (plain("200 OK", headers, r#"{"key":"fresh-secret-1","id":7}"#), true)
            }
            "rotated-again" => (plain("201 Created", "", r#"{"key":"fresh-secret-2"}"#), true),
            "repeats" => (plain("200 OK", "", r#"{"key":"fresh-secret-3","try":["curl -u fresh-secret-3"]}"#), true),
            "short" => (plain("200 OK", "", r#"{"key":"abc","id":7}"#), true),
            "splits" => (plain("200 OK", "", "{\"key\":\"fresh-secret-4\\r\\nX-Admin: 1\"}"), true),
            "refuses-with" => (plain("409 Conflict", "", r#"{"key":"stale-secret-9","error":"in use"}"#), true),
            "refuses-us" => (plain("401 Unauthorized", "", "who?"), true),
            // Who asks first is answered last, and gets the newer one.
            "makes-one" => {
                let first = self.made.fetch_add(1, Ordering::SeqCst) == 0;
                if first {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
                let which = if first { "newer" } else { "older" };
                (plain("200 OK", "", &format!(r#"{{"key":"made-secret-{which}"}}"#)), true)
            }
            "fails-with-it" => (plain("500 Internal Server Error", "", r#"{"made":"fresh-secret-9"}"#), true),
            "fails" => (plain("500 Internal Server Error", "", "oh"), true),
            "refuses" => (plain("422 Unprocessable Content", "", "no"), true),
            "nothing" => (Vec::new(), false),
            "half" => (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of".to_vec(), false),
            "garbage" => (b"SSH-2.0-no\r\n\r\n".to_vec(), false),
            "upgrade" => (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(), true),
            "big" => (plain("200 OK", "Content-Type: text/plain\r\n", &"x".repeat(3 << 20)), true),
            "chunks" => (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n".to_vec(), true),
            "slow" => {
                tokio::time::sleep(std::time::Duration::from_secs(2)).await;
                (plain("200 OK", "", "late"), true)
            }
            _ => (plain("200 OK", "Content-Type: application/json\r\n", &format!("{{\"at\":\"{path}\"}}")), true),
        }
    }
}
