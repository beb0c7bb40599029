//! A Dockerfile's text as instructions of one line each, read only where all builders read it alike: what they could
//! read differently is refused at its line.
//!
//! Builders differ in what ends a line (`parser.go` of BuildKit and of the classic builder, over their versions): two
//! escapes at its end, white space that is not ASCII's, directives after an unknown one, here-documents. None of that is
//! ever sent on.

use super::heredoc::{Heredoc, Opening, openings};
use crate::problem::Problems;
use std::ops::Range;

/// The longest Dockerfile, in bytes.
const LARGEST: usize = 1 << 20;

/// A Dockerfile, line by line.
pub(super) struct Text {
    pub(super) lines: Vec<Line>,
    /// The frontend that the comments at its top ask for (`# syntax=`), by any builder's reading.
    pub(super) syntax: Option<String>,
}

/// An instruction in one line: what goes on in the next is joined, comments and empty lines between are left out.
pub(super) struct Line {
    pub(super) text: String,
    /// Where each piece of it begins, here and in the file.
    pieces: Vec<(usize, usize)>,
    /// The here-documents that it opens, with what is in them.
    pub(super) heredocs: Vec<Heredoc>,
}

impl Line {
    /// Where a part of it is in the file. A part that goes over pieces ends with its first.
    pub(super) fn span(&self, range: Range<usize>) -> Range<usize> {
        let index = self.pieces.partition_point(|(here, _)| *here <= range.start).saturating_sub(1);
        let Some((here, there)) = self.pieces.get(index) else { return 0..0 };
        let end = self.pieces.get(index + 1).map_or(range.end, |(next, _)| range.end.min(*next));
        let start = there + range.start.saturating_sub(*here);
        start..start + end.saturating_sub(range.start)
    }

    /// Where it begins in the file.
    pub(super) fn whole(&self) -> Range<usize> {
        self.span(0..self.text.len())
    }
}

/// Reads a text. What could be read in two ways is a problem.
pub(super) fn read(text: &str, problems: &mut Problems<'_>) -> Text {
    let mut read = Text { lines: Vec::new(), syntax: None };
    if text.len() > LARGEST {
        problems.at_top(
            format!("it has {} bytes, and a Dockerfile has at most {LARGEST}", text.len()),
            "bring large texts as files of the context",
        );
        return read;
    }
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = Physical { text, at: start };
    let mut current: Option<Line> = None;
    while let Some((at, content)) = lines.next() {
        let bare = content.trim_start_matches(BLANK);
        if bare.is_empty() {
            continue;
        }
        if let Some(comment) = bare.strip_prefix('#') {
            unprintable(content, at, |c| c.is_control() && c != '\t', problems);
            if read.lines.is_empty() && current.is_none() {
                directive(comment, at..at + content.len(), &mut read.syntax, problems);
            }
            continue;
        }
        unprintable(
            content,
            at,
            |c| c != '\t' && c.is_control() || !BLANK.contains(&c) && c.is_whitespace(),
            problems,
        );
        let line = current.get_or_insert_with(|| Line {
            text: String::new(),
            pieces: Vec::new(),
            heredocs: Vec::new(),
        });
        let piece = if line.text.is_empty() { bare } else { content };
        line.pieces.push((line.text.len(), at + content.len() - piece.len()));
        let end = piece.trim_end_matches(BLANK);
        match end.strip_suffix('\\') {
            Some(before) if before.ends_with('\\') => {
                problems.at(
                    at..at + content.len(),
                    "it ends in two backslashes: one builder goes on with the next line, and another does not",
                    "end it in one backslash to go on; or write what follows in the same line",
                );
                current = None;
            }
            Some(before) => line.text.push_str(before),
            None => {
                line.text.push_str(end);
                if let Some(line) = current.take() {
                    read.lines.extend(ended(line, &mut lines, problems));
                }
            }
        }
    }
    if let Some(line) = current.take() {
        read.lines.extend(ended(line, &mut lines, problems));
    }
    read
}

/// What separates words.
pub(super) const BLANK: [char; 2] = [' ', '\t'];

/// The lines of a file: where each begins, and what it holds without its end.
struct Physical<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Physical<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let at = self.at;
        let line = self.text.get(at..)?.split_inclusive('\n').next()?;
        self.at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some((at, line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// An instruction to whose end the file was read, with its here-documents.
fn ended(mut line: Line, lines: &mut Physical<'_>, problems: &mut Problems<'_>) -> Option<Line> {
    line.text.truncate(line.text.trim_end_matches(BLANK).len());
    if line.text.is_empty() {
        return None;
    }
    if line.text.ends_with('\\') {
        problems.at(
            line.whole(),
            "it ends in a backslash, and nothing follows",
            "remove the backslash, or write what it goes on with",
        );
        return None;
    }
    let opened = openings(&line.text).map_err(|unclear| {
        problems.at(line.span(unclear.range), unclear.message, unclear.help);
    });
    for opening in opened.ok()? {
        let heredoc = body(&opening, &line, lines, problems)?;
        line.heredocs.push(heredoc);
    }
    Some(line)
}

/// What a here-document holds: the lines until its word stands alone.
fn body(
    opening: &Opening,
    line: &Line,
    lines: &mut Physical<'_>,
    problems: &mut Problems<'_>,
) -> Option<Heredoc> {
    let mut text = String::new();
    let start = lines.at;
    while let Some((at, content)) = lines.next() {
        let stripped = if opening.strips_tabs { content.trim_start_matches('\t') } else { content };
        if stripped == opening.word {
            return Some(Heredoc { opening: opening.clone(), text });
        }
        unprintable(content, at, |c| c.is_control() && c != '\t', problems);
        if lines.text[at + content.len()..].starts_with('\r') {
            problems.at(
                at..at + content.len(),
                "a here-document whose lines end in carriage returns: builders keep them or not",
                "save the file with line feeds alone",
            );
            return None;
        }
        text.push_str(content);
        text.push('\n');
    }
    problems.at(
        line.span(opening.range.clone()),
        format!(
            "the here-document `{}` does not end: line {} to the end of the file are in it",
            opening.word,
            lines.text[..start].matches('\n').count() + 1
        ),
        format!("end it with `{}` alone in a line", opening.word),
    );
    None
}

/// Refuses the first character that is not to be there.
fn unprintable(content: &str, at: usize, is: impl Fn(char) -> bool, problems: &mut Problems<'_>) {
    let Some((place, found)) = content.char_indices().find(|(_, c)| is(*c)) else { return };
    problems.at(
        at + place..at + place + found.len_utf8(),
        format!(
            "U+{:04X} is white space or an end of a line to one builder and not to another",
            found as u32
        ),
        "write a space, a tab or a line feed; in a list in JSON, write it as \\u and four digits",
    );
}

/// Takes a comment at the top for what a builder could take it for: a directive (Dockerfile reference, "Parser
/// directives"), be there other comments before it or not.
fn directive(comment: &str, span: Range<usize>, syntax: &mut Option<String>, problems: &mut Problems<'_>) {
    let Some((name, value)) = comment.split_once('=') else { return };
    let value = value.trim();
    match name.trim().to_ascii_lowercase().as_str() {
        "syntax" if syntax.is_none() && !value.is_empty() => *syntax = Some(value.to_owned()),
        "escape" if value != "\\" => problems.at(
            span,
            format!("`escape={value}` makes another character than the backslash join lines"),
            "remove it, and write backslashes: kiln writes the file anew for the engine, in one way",
        ),
        _ => {}
    }
}
