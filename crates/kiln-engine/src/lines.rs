//! Output of a program: kept whole up to a limit, and told line by line while it runs.

use kiln_record::printed;
use std::collections::VecDeque;

/// Which stream a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// Its text without line end and escape sequences. Invalid UTF-8 and control characters are replaced by U+FFFD, tabs
    /// kept; a line of more than 8 KiB comes in pieces. A carriage return ends a line, too: progress is written with it, and
    /// Lambda's runtimes keep a message of several lines together by it. The exact bytes are in [`crate::RunOutcome`].
    pub text: String,
}

// A program that never ends its line must not make us keep all of it twice.
const LONGEST_LINE: usize = 8 << 10;
const LAST_LINES: usize = 20;

/// Takes frames, which are not lines, and gives lines, keeping every byte up to a limit.
#[derive(Debug)]
pub struct Capture {
    limit: u64,
    taken: u64,
    /// What was written to stdout so far.
    pub stdout: Vec<u8>,
    /// What was written to stderr so far.
    pub stderr: Vec<u8>,
    partial: [Vec<u8>; 2],
    // Whether the last line of each was ended by a carriage return: a line feed behind it ends no other one.
    returned: [bool; 2],
    last: VecDeque<String>,
}

/// More was written than may be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Overflow;

impl Capture {
    /// Nothing yet; at most `limit` bytes of both streams together.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            partial: [Vec::new(), Vec::new()],
            returned: [false; 2],
            last: VecDeque::new(),
        }
    }

    /// Takes a frame and tells the lines that it ends.
    ///
    /// # Errors
    /// [`Overflow`] if it is too much.
    pub fn push(&mut self, stream: Stream, bytes: &[u8], tell: &impl Fn(Line)) -> Result<(), Overflow> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.limit {
            return Err(Overflow);
        }
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(bytes),
            Stream::Stderr => self.stderr.extend_from_slice(bytes),
        }
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            for chunk in piece.chunks(LONGEST_LINE) {
                let partial = &mut self.partial[stream as usize];
                partial.extend_from_slice(chunk);
                if partial.ends_with(b"\n") || partial.ends_with(b"\r") || partial.len() >= LONGEST_LINE {
                    self.end_line(stream, tell);
                }
            }
        }
        Ok(())
    }

    /// Tells what was not ended.
    pub fn finish(&mut self, tell: &impl Fn(Line)) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.partial[stream as usize].is_empty() {
                self.end_line(stream, tell);
            }
        }
    }

    /// The last lines of both streams, oldest first.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }

    fn end_line(&mut self, stream: Stream, tell: &impl Fn(Line)) {
        let bytes = std::mem::take(&mut self.partial[stream as usize]);
        let returns = bytes.ends_with(b"\r");
        let bytes = bytes.strip_suffix(if returns { b"\r" } else { b"\n" }).unwrap_or(&bytes);
        let returned = std::mem::replace(&mut self.returned[stream as usize], returns && !bytes.is_empty());
        if bytes.is_empty() && (returns || returned) {
            return;
        }
        let text = printed(&String::from_utf8_lossy(bytes));
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text.clone());
        tell(Line { stream, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn lines_of(frames: &[(Stream, &[u8])]) -> (Vec<(Stream, String)>, Capture) {
        let told = RefCell::new(Vec::new());
        let tell = |line: Line| told.borrow_mut().push((line.stream, line.text));
        let mut capture = Capture::new(1 << 20);
        for (stream, bytes) in frames {
            capture.push(*stream, bytes, &tell).unwrap();
        }
        capture.finish(&tell);
        (told.into_inner(), capture)
    }

    #[test]
    fn frames_become_lines_per_stream() {
        let (lines, capture) = lines_of(&[
            (Stream::Stdout, b"on"),
            (Stream::Stderr, b"warn"),
            (Stream::Stdout, b"e\r\ntwo\nthr"),
            (Stream::Stderr, b"ing\n"),
            (Stream::Stdout, b"ee"),
        ]);
        let text: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(text, ["one", "two", "warning", "three"]);
        assert_eq!(lines[2].0, Stream::Stderr);
        assert_eq!(capture.stdout, b"one\r\ntwo\nthree");
        assert_eq!(capture.last_lines(), text);
    }

    #[test]
    fn unprintable_bytes_are_shown_as_such_and_kept() {
        let (lines, capture) = lines_of(&[(Stream::Stdout, b"a\xff\x1b[2J\tb\n")]);
        assert_eq!(lines[0].1, "a\u{fffd}\tb");
        assert_eq!(capture.stdout, b"a\xff\x1b[2J\tb\n");
    }

    #[test]
    fn a_carriage_return_ends_a_line_wherever_a_frame_ends() {
        let said: &[u8] = b"\r 10 %\r 90 %\r\n[ERROR] KeyError\rTraceback\r\xc2\xa0File\n\nend";
        for cut in 0..=said.len() {
            let (lines, capture) =
                lines_of(&[(Stream::Stdout, &said[..cut]), (Stream::Stdout, &said[cut..])]);
            let text: Vec<&str> = lines.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(
                text,
                [" 10 %", " 90 %", "[ERROR] KeyError", "Traceback", "\u{a0}File", "", "end"],
                "{cut}"
            );
            assert_eq!(capture.last_lines(), text);
        }
    }

    #[test]
    fn endless_lines_come_in_pieces() {
        let (lines, _) = lines_of(&[(Stream::Stdout, &vec![b'x'; LONGEST_LINE * 2 + 1])]);
        assert_eq!(
            lines.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(),
            [LONGEST_LINE, LONGEST_LINE, 1]
        );
    }

    #[test]
    fn the_limit_holds_for_both_streams_together() {
        let mut capture = Capture::new(3);
        assert_eq!(capture.push(Stream::Stdout, b"ab", &|_| ()), Ok(()));
        assert_eq!(capture.push(Stream::Stderr, b"cd", &|_| ()), Err(Overflow));
    }
}
