//! Server-sent events (WHATWG HTML, 9.2 "Server-sent events"), read strictly and within bounds.

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAStream;

/// Reads events from pieces of a stream. Only the data of `message` events is kept.
#[derive(Debug)]
pub struct Events {
    /// The line that is not complete yet.
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// Whether the event is of another type than `message`.
    other: bool,
    /// The last byte was a carriage return, which a line feed may follow.
    returned: bool,
    begun: bool,
    longest: usize,
}

impl Events {
    /// No event is longer than this many bytes.
    #[must_use]
    pub const fn new(longest: usize) -> Self {
        Self { line: Vec::new(), data: None, other: false, returned: false, begun: false, longest }
    }

    /// Takes the next piece, and hands the data of every event that it completes to `each`.
    ///
    /// # Errors
    /// [`NotAStream`] when it is not UTF-8, or an event is too long.
    pub fn feed(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), NotAStream> {
        for chunk in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, end) = match chunk.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                Some(_) | None => (chunk, None),
            };
            if text.is_empty() && end == Some(b'\n') && std::mem::take(&mut self.returned) {
                continue;
            }
            self.returned = end == Some(b'\r');
            let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len) + text.len();
            if held > self.longest {
                return Err(NotAStream);
            }
            self.line.extend_from_slice(text);
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                self.line(&line, &mut each)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), NotAStream> {
        let line = std::str::from_utf8(line).map_err(|_| NotAStream)?;
        let line =
            if std::mem::replace(&mut self.begun, true) { line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            let (data, other) = (self.data.take(), std::mem::take(&mut self.other));
            if let Some(data) = data.filter(|data| !other && !data.is_empty()) {
                each(&data);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value.as_bytes());
                }
                None => self.data = Some(value.as_bytes().to_vec()),
            },
            "event" => self.other = !matches!(value, "" | "message"),
            // Comments, ids and retry times are for those who resume streams. We send nothing twice.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]], longest: usize) -> Result<Vec<String>, NotAStream> {
        let mut events = Events::new(longest);
        let mut all = Vec::new();
        for piece in pieces {
            events.feed(piece, |data| all.push(String::from_utf8(data.to_vec()).unwrap()))?;
        }
        Ok(all)
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        let stream = "\u{feff}: hello\r\n\r\nevent: message\r\nid: 7\r\ndata: {\"a\":\r\ndata:1}\r\n\r\ndata: x\rdata: y\r\rdata: z\n\nevent: other\ndata: no\n\nid: 8\ndata\n\ndata: unfinished".as_bytes();
        let whole = events(&[stream], 1000).unwrap();
        assert_eq!(whole, ["{\"a\":\n1}", "x\ny", "z"]);
        for cut in 0..stream.len() {
            assert_eq!(events(&[&stream[..cut], &stream[cut..]], 1000).unwrap(), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events(&single, 1000).unwrap(), whole);
    }

    #[test]
    fn an_event_is_bounded_in_one_line_and_in_many() {
        assert_eq!(events(&[b"data: ", &[b'x'; 100]], 50), Err(NotAStream));
        let many = [b"data: 0123456789\n".as_slice(); 10];
        assert_eq!(events(&many, 50), Err(NotAStream));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_no_stream() {
        assert_eq!(events(&[b"data: \xff\n\n"], 50), Err(NotAStream));
    }
}
