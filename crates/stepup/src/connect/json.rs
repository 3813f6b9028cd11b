//! JSON as clients keep it: with comments and trailing commas where somebody wrote them. It is edited as text, so
//! that every byte that is not of ours stays where it is.

use std::ops::Range;

use serde_json::Value;

/// The same text with comments, trailing commas and a byte order mark as blanks: each byte of JSON is in its place.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut blank = |range: Range<usize>| {
        for byte in bytes.get_mut(range).into_iter().flatten().filter(|byte| !byte.is_ascii_whitespace()) {
            *byte = b' ';
        }
    };
    let old = text.as_bytes();
    let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    blank(0..at);
    // The last two bytes that count, and where the last one is.
    let (mut before, mut last, mut last_at) = (None, None, 0);
    while let Some(byte) = old.get(at).copied() {
        let end = match (byte, old.get(at + 1)) {
            (b'"', _) => string_end(old, at),
            (b'/', Some(b'/')) => find(old, at, b"\n"),
            // One that nothing ends is no comment.
            (b'/', Some(b'*')) => {
                Some(find(old, at + 2, b"*/") + 2).filter(|e| *e <= old.len()).unwrap_or(at + 1)
            }
            (_, _) => at + 1,
        };
        if byte == b'/' && end > at + 1 {
            blank(at..end);
        } else if !byte.is_ascii_whitespace() {
            let ends = matches!(byte, b'}' | b']') && last == Some(b',');
            if ends && !matches!(before, None | Some(b'{' | b'[' | b',' | b':')) {
                blank(last_at..last_at + 1);
            }
            (before, last, last_at) = (last, Some(byte), at);
        }
        at = end;
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Where a needle is, from a place on; the end of the text where it is not.
fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(needle.len()).position(|window| window == needle).map_or(bytes.len(), |at| from + at)
}

/// The end of the string that begins here.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// One member of an object, or one item of an array, by its places in the text.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The name of a member, in its quotation marks.
    name: Option<Range<usize>>,
    /// What it is.
    pub value: Range<usize>,
}

impl Item {
    fn start(&self) -> usize {
        self.name.as_ref().unwrap_or(&self.value).start
    }
}

/// A document, with what counts of it beside it.
pub(super) struct Document<'a> {
    text: &'a str,
    plain: String,
}

impl<'a> Document<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// What the reader says, with line and column.
    pub fn read(text: &'a str) -> Result<Self, String> {
        let plain = plain(text);
        serde_json::from_str::<Value>(&plain).map_err(|e| e.to_string())?;
        Ok(Self { text, plain })
    }

    /// The place of the whole.
    pub fn root(&self) -> Range<usize> {
        let start = self.after_blanks(0);
        start..value_end(self.plain.as_bytes(), start)
    }

    /// What stands at a place.
    pub fn value(&self, at: &Range<usize>) -> Value {
        let text = self.plain.get(at.clone()).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The items of an object or array.
    pub fn items(&self, container: &Range<usize>) -> Vec<Item> {
        let bytes = self.plain.as_bytes();
        let object = bytes.get(container.start) == Some(&b'{');
        let mut found = Vec::new();
        let mut at = self.after_blanks(container.start + 1);
        while at + 1 < container.end {
            let name = object.then(|| at..string_end(bytes, at));
            if let Some(name) = &name {
                // Past the colon.
                at = self.after_blanks(self.after_blanks(name.end) + 1);
            }
            let value = at..value_end(bytes, at);
            // Past the comma.
            at = self.after_blanks(self.after_blanks(value.end) + 1);
            found.push(Item { name, value });
        }
        found
    }

    /// The members of an object that have a name: more than one only where somebody wrote it twice.
    pub fn named(&self, object: &Range<usize>, name: &str) -> Vec<Item> {
        let is = |item: &Item| {
            let written = item.name.clone().and_then(|range| self.plain.get(range));
            written.and_then(|w| serde_json::from_str::<String>(w).ok()).is_some_and(|w| w == name)
        };
        self.items(object).into_iter().filter(is).collect()
    }

    fn after_blanks(&self, from: usize) -> usize {
        let rest = self.plain.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    }

    /// The text with one more item at the end of an object or array.
    pub fn with(&self, container: &Range<usize>, name: Option<&str>, value: &Value) -> String {
        let items = self.items(container);
        let style = self.style(container, items.first());
        let name = name.map(|name| format!("{}: ", Value::from(name))).unwrap_or_default();
        let item = format!("{name}{}", style.write(value));
        let Some(last) = items.last() else {
            // What was inside stays behind it, and closes the line if it has one.
            let open = container.start + 1;
            let inside = self.plain.get(open..container.end.saturating_sub(1)).unwrap_or_default();
            let close = if inside.contains('\n') { String::new() } else { style.close() };
            return self.splice(&[(open..open, &format!("{}{item}{close}", style.open()))]);
        };
        let end = last.value.end;
        let comma = self.trailing_comma(end);
        let at = comma.as_ref().map_or(end, |comma| comma.end);
        let at = if style.lines.is_some() { self.end_of_line_comment(at) } else { at };
        match comma {
            Some(_) => self.splice(&[(at..at, &format!("{}{item},", style.next()))]),
            None => self.splice(&[(end..end, ","), (at..at, &format!("{}{item}", style.next()))]),
        }
    }

    /// The text with another value in one place.
    pub fn instead(&self, container: &Range<usize>, item: &Item, value: &Value) -> String {
        let style = self.style(container, Some(item));
        self.splice(&[(item.value.clone(), &style.write(value))])
    }

    /// The text without one item of an object or array.
    pub fn without(&self, container: &Range<usize>, item: &Item) -> String {
        let items = self.items(container);
        let end = item.value.end;
        let (open, close) = (container.start + 1, container.end.saturating_sub(1));
        let around = [open..item.start(), end..close].map(|range| self.text.get(range).unwrap_or_default());
        if items.len() == 1 && around.iter().all(|text| text.trim().is_empty()) {
            return self.splice(&[(open..close, "")]);
        }
        let start = self.start_without(item, end);
        let after = self.after_blanks(end);
        if self.plain.as_bytes().get(after) == Some(&b',') {
            return self.splice(&[(start..end, ""), (after..after + 1, "")]);
        }
        if let Some(comma) = self.trailing_comma(end) {
            return self.splice(&[(start..end, ""), (comma, "")]);
        }
        let before = items.iter().rev().find(|other| other.value.end <= item.start());
        match before.map(|before| self.after_blanks(before.value.end)) {
            Some(comma) => self.splice(&[(comma..comma + 1, ""), (start..end, "")]),
            None => self.splice(&[(start..end, "")]),
        }
    }

    /// Where the blanks before an item begin, which go with it; unless they end a comment's line, and more than the
    /// item stands on its own.
    fn start_without(&self, item: &Item, end: usize) -> usize {
        let (text, plain) = (self.text.as_bytes(), self.plain.as_bytes());
        let before = text.get(..item.start()).unwrap_or_default();
        let start = item.start() - before.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        let last = start.saturating_sub(1);
        let line =
            plain.get(end..).unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default();
        let alone = line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',');
        if text.get(last) != plain.get(last) && !alone { item.start() } else { start }
    }

    /// The comma after the last item, which JSON does not know.
    fn trailing_comma(&self, end: usize) -> Option<Range<usize>> {
        let close = self.after_blanks(end);
        let (text, mut at) = (self.text.as_bytes(), end);
        while at < close {
            match (text.get(at), text.get(at + 1)) {
                (Some(b','), _) => return Some(at..at + 1),
                (Some(b'/'), Some(b'/')) => at = find(text, at, b"\n"),
                (Some(b'/'), Some(b'*')) => at = find(text, at + 2, b"*/") + 2,
                (_, _) => at += 1,
            }
        }
        None
    }

    /// After the comment that stands behind something on its line, or right behind it.
    fn end_of_line_comment(&self, end: usize) -> usize {
        let line = self.text.get(end..).unwrap_or_default().split('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") { end + line.trim_end().len() } else { end }
    }

    fn style(&self, container: &Range<usize>, first: Option<&Item>) -> Style {
        let root = self.root();
        let unit = self.items(&root).first().and_then(|item| self.own_line(item.start()));
        let unit = unit.filter(|unit| !unit.is_empty()).unwrap_or("  ").to_owned();
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let outside = self.indent(container.start).to_owned();
        let lines = match first {
            Some(first) => self.own_line(first.start()).map(str::to_owned),
            None => {
                let some = self.plain.trim().contains('\n') || self.items(&root).is_empty();
                some.then(|| format!("{outside}{unit}"))
            }
        };
        Style { newline, unit, outside, lines }
    }

    /// The indent of a line.
    fn indent(&self, at: usize) -> &str {
        let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let line = self.text.get(start..).unwrap_or_default();
        line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
    }

    /// The indent of what begins its line.
    fn own_line(&self, at: usize) -> Option<&str> {
        let before = self.text.get(..at)?;
        before.trim_end_matches([' ', '\t']).ends_with('\n').then(|| self.indent(at))
    }

    /// The text with other words in some places, which are in order.
    fn splice(&self, edits: &[(Range<usize>, &str)]) -> String {
        let (mut out, mut at) = (String::with_capacity(self.text.len() + 512), 0);
        for (range, words) in edits {
            out.push_str(self.text.get(at..range.start).unwrap_or_default());
            out.push_str(words);
            at = range.end;
        }
        out.push_str(self.text.get(at..).unwrap_or_default());
        out
    }
}

/// The end of the value that begins here. The text is JSON: what opens closes.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            _ => {
                let rest = bytes.get(at..).unwrap_or_default();
                let scalar = |byte: &&u8| !byte.is_ascii_whitespace() && !b",:]}[{\"".contains(byte);
                at += rest.iter().take_while(scalar).count().max(1);
            }
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// How a container is written: what comes on lines of its own, and how far in.
struct Style {
    newline: &'static str,
    unit: String,
    /// The indent of the line on which the container begins.
    outside: String,
    /// The indent of its items; `None` where all stands on one line.
    lines: Option<String>,
}

impl Style {
    fn open(&self) -> String {
        self.lines.as_ref().map(|indent| format!("{}{indent}", self.newline)).unwrap_or_default()
    }

    fn next(&self) -> String {
        self.lines.as_ref().map_or_else(|| " ".to_owned(), |indent| format!("{}{indent}", self.newline))
    }

    fn close(&self) -> String {
        self.lines.as_ref().map(|_| format!("{}{}", self.newline, self.outside)).unwrap_or_default()
    }

    fn write(&self, value: &Value) -> String {
        let Some(indent) = &self.lines else { return value.to_string() };
        let mut bytes = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(self.unit.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, format);
        if serde::Serialize::serialize(value, &mut serializer).is_err() {
            return value.to_string();
        }
        let text = String::from_utf8(bytes).unwrap_or_default();
        text.replace('\n', &format!("{}{indent}", self.newline))
    }
}
