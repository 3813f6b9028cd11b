//! Standard input and output, by threads of their own: one message a line (MCP 2025-11-25, basic/transports, "stdio").

use std::io::{BufRead, Read as _, Write};

use terms::json::Limits;
use tokio::sync::{mpsc, oneshot};

/// Bytes of a line that is carried: the budget of a request.
const LONGEST: usize = Limits::REQUEST.bytes;

/// Bytes of a line that are read, to find out whose it is. Of what is longer than this, nothing is kept.
const LONGEST_READ: usize = Limits::ANSWER.bytes;

/// Lines that may wait to be written.
const ROOM: usize = 8;

/// What came from the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line, without its end.
    Line(Vec<u8>),
    /// One that is longer than what is carried; all of it, or nothing where it is longer than what is read.
    TooLong(Vec<u8>),
}

/// Reads lines, until there are none or `each` wants no more.
pub(super) fn read(mut from: impl BufRead, mut each: impl FnMut(Heard) -> bool) {
    let most = u64::try_from(LONGEST_READ).unwrap_or(u64::MAX);
    loop {
        let mut line = Vec::new();
        let Ok(1..) = from.by_ref().take(most).read_until(b'\n', &mut line) else { return };
        let cut = line.len() == LONGEST_READ && line.last() != Some(&b'\n');
        if cut && from.skip_until(b'\n').is_err() {
            return;
        }
        let text = line.trim_ascii();
        let heard = match text.len() {
            _ if cut => Heard::TooLong(Vec::new()),
            0 => continue,
            1..=LONGEST => Heard::Line(text.to_vec()),
            _ => Heard::TooLong(text.to_vec()),
        };
        if !each(heard) {
            return;
        }
    }
}

/// What is to be done at the other end.
enum Put {
    Line(Vec<u8>),
    Flushed(oneshot::Sender<()>),
}

/// A stream that lines are written to.
pub(super) struct Out(mpsc::Sender<Put>);

/// Writes what it is given, a line each, at once.
pub(super) fn write(mut to: impl Write + Send + 'static) -> Out {
    let (put, mut puts) = mpsc::channel(ROOM);
    std::thread::spawn(move || {
        while let Some(put) = puts.blocking_recv() {
            let written = match put {
                Put::Line(mut line) => {
                    line.push(b'\n');
                    to.write_all(&line).and_then(|()| to.flush())
                }
                Put::Flushed(flushed) => {
                    let _ = flushed.send(());
                    Ok(())
                }
            };
            if written.is_err() {
                return;
            }
        }
    });
    Out(put)
}

impl Out {
    /// Writes a line, as soon as there is room. To nobody, once the other end is closed.
    pub(super) async fn line(&self, line: Vec<u8>) {
        let _ = self.0.send(Put::Line(line)).await;
    }

    /// Writes a line if there is room.
    pub(super) fn line_or_not(&self, line: Vec<u8>) {
        let _ = self.0.try_send(Put::Line(line));
    }

    /// Returns when all is written.
    pub(super) async fn flush(&self) {
        let (flushed, wait) = oneshot::channel();
        if self.0.send(Put::Flushed(flushed)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// Returns when the other end is closed.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(input: &[u8]) -> Vec<Heard> {
        let mut all = Vec::new();
        read(input, |one| {
            all.push(one);
            true
        });
        all
    }

    #[test]
    fn every_line_is_heard_whatever_ends_it_and_empty_ones_are_none() {
        let line = |text: &str| Heard::Line(text.into());
        assert_eq!(
            heard(b"{}\r\n\n  \n[1]\n\xc2\x85x"),
            [line("{}"), line("[1]"), Heard::Line(b"\xc2\x85x".to_vec())]
        );
    }

    #[test]
    fn a_line_is_carried_up_to_the_budget_of_a_request_and_the_next_one_is_heard_all_the_same() {
        let after = Heard::Line(b"next".to_vec());
        for (length, carried) in [(LONGEST, true), (LONGEST + 1, false), (LONGEST_READ - 1, false)] {
            let text = vec![b'x'; length];
            let all = heard(&[text.as_slice(), b"\nnext\n"].concat());
            let one = if carried { Heard::Line(text) } else { Heard::TooLong(text) };
            assert!(all == [one, Heard::Line(b"next".to_vec())], "{length}");
        }
        for length in [LONGEST_READ, LONGEST_READ + 1, 3 * LONGEST_READ] {
            let all = heard(&[vec![b'x'; length].as_slice(), b"\nnext\n"].concat());
            assert!(all == [Heard::TooLong(Vec::new()), Heard::Line(b"next".to_vec())], "{length}");
        }
        assert_eq!(heard(b"next"), [after]);
    }

    #[test]
    fn who_wants_no_more_is_given_no_more() {
        let mut times = 0;
        read(b"1\n2\n3\n".as_slice(), |_| {
            times += 1;
            times < 2
        });
        assert_eq!(times, 2);
    }
}
