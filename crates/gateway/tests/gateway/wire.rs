//! A client that writes exactly the bytes it is told to, one request a connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The slug that a refusal names, however it is carried.
    pub fn slug(&self) -> String {
        let json = self.json();
        let places = ["/slug", "/error/slug", "/error/data/slug", "/result/_meta/dev.stepup~1refusal/slug"];
        let slug = places.iter().find_map(|place| json.pointer(place)).and_then(Value::as_str);
        slug.unwrap_or_else(|| panic!("no refusal: {}", self.body)).to_owned()
    }

    /// The text of the first content of a result.
    pub fn text(&self) -> String {
        self.json()["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.body))
            .to_owned()
    }

    /// The challenge in a result.
    pub fn challenge(&self) -> Value {
        let json = self.json();
        let challenge = &json["result"]["_meta"]["dev.stepup/challenge"];
        assert!(challenge.is_object(), "no challenge: {}", self.body);
        challenge.clone()
    }

    pub fn elevation(&self) -> String {
        self.challenge()["elevation"].as_str().unwrap().to_owned()
    }
}

/// A request that was written; its answer is still to be read.
pub struct Open {
    reader: BufReader<TcpStream>,
    status: u16,
    headers: BTreeMap<String, String>,
    /// Messages that came with others.
    messages: VecDeque<Value>,
}

/// Writes a request head and body.
pub async fn write(to: SocketAddr, head: &str, body: &[u8]) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that has refused already may have closed.
    let _ = stream.write_all(body).await;
    BufReader::new(stream)
}

/// Writes a request and reads the head of its answer.
pub async fn open(to: SocketAddr, head: &str, body: &[u8]) -> Open {
    let mut reader = write(to, head, body).await;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).await.unwrap() > 0, "no answer to {head}");
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines[1..].iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Open { status, headers: headers.collect(), reader, messages: VecDeque::new() }
}

/// Writes a request and reads the whole answer.
pub async fn send(to: SocketAddr, head: &str, body: &[u8]) -> Reply {
    let mut open = open(to, head, body).await;
    let mut body = Vec::new();
    if open.headers.contains_key("transfer-encoding") {
        while let Some(chunk) = open.chunk().await {
            body.extend(chunk);
        }
    } else if let Some(length) = open.headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        if !head.starts_with("HEAD") {
            open.reader.read_exact(&mut body).await.unwrap();
        }
    }
    Reply { status: open.status, headers: open.headers, body: String::from_utf8(body).unwrap() }
}

/// By when what is to be heard was heard, with everything else that runs beside.
const IN_TIME: Duration = Duration::from_secs(60);

/// Longer than a listener takes to see a change.
const SOON: Duration = Duration::from_secs(3);

impl Open {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// The next message of an event stream, however busy the machine is; comments are passed over. `None`: it ended.
    pub async fn message(&mut self) -> Option<Value> {
        tokio::time::timeout(IN_TIME, self.next()).await.expect("nothing was heard")
    }

    /// The next message, if one comes soon; where it is that nothing should.
    pub async fn soon(&mut self) -> Option<Option<Value>> {
        tokio::time::timeout(SOON, self.next()).await.ok()
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Some(message);
            }
            let events = String::from_utf8(self.chunk().await?).unwrap();
            assert!(events.ends_with("\n\n"), "whole events: {events:?}");
            let data = events.lines().filter_map(|line| line.strip_prefix("data: "));
            self.messages.extend(data.map(|data| serde_json::from_str::<Value>(data).unwrap()));
        }
    }
}
