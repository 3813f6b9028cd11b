//! Frames of HTTP/2 as no client would write them (RFC 9113), over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use tokio_rustls::rustls::{ClientConnection, StreamOwned};

/// A connection of TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Answered, with so many bytes of content; the first byte of the fields says its status, where the table of HPACK has it.
    Answered(u8, Vec<u8>),
    /// Its stream was reset with this code.
    Reset(u32),
    /// The connection ended; with this code, where one was said.
    Gone(Option<u32>),
}

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as HPACK has them, each literal, in no table, by no code (RFC 7541, 6.2.2).
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let text = |text: &str, block: &mut Vec<u8>| {
        if let Some(mut rest) = text.len().checked_sub(127) {
            block.push(127);
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        } else {
            block.push(u8::try_from(text.len()).unwrap());
        }
        block.extend(text.as_bytes());
    };
    for (name, value) in fields {
        block.push(0);
        text(name, &mut block);
        text(value, &mut block);
    }
    block
}

/// A connection that spoke its preface, with these settings.
pub struct Talk {
    pub stream: Tls,
}

impl Talk {
    pub fn begin(mut stream: Tls, settings: &[u8]) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).unwrap();
        Self { stream }
    }

    /// Whether it could be written.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// The next frame; `None` once the connection has ended.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                panic!("nothing was said, and the connection is open")
            }
            Err(_) => return None,
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], stream, payload))
    }

    /// How the request on this stream ends.
    pub fn end(&mut self, on: u32) -> End {
        let (mut status, mut content, mut said) = (0, Vec::new(), None);
        while let Some((kind, flags, stream, payload)) = self.next() {
            match (kind, stream == on) {
                (HEADERS, true) => status = payload[0],
                (DATA, true) => content.extend(payload),
                (RST_STREAM, true) => return End::Reset(code(&payload, 0)),
                (GOAWAY, _) => said = Some(code(&payload, 4)),
                _ => {}
            }
            if stream == on && kind <= HEADERS && flags & END_STREAM != 0 {
                return End::Answered(status, content);
            }
        }
        End::Gone(said)
    }
}

fn code(payload: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(payload[at..at + 4].try_into().unwrap())
}
