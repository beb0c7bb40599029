//! What here-documents become: files that kiln brings into the context, and scripts of a RUN.

use super::heredoc::{Heredoc, MARK};
use super::instruction::{Instruction, Keyword, Says};
use crate::problem::Problems;
use kiln_record::Digest;
use std::sync::Arc;

/// Puts files of the context in the place of the here-documents among the words of a COPY or ADD, and gives those files.
/// None, and a problem, if that cannot be.
pub(super) fn files(
    instruction: &Instruction<'_>,
    words: &mut [String],
    problems: &mut Problems<'_>,
) -> Option<Vec<(String, Arc<str>)>> {
    let mut heredocs = instruction.line.heredocs.iter();
    let mut files = Vec::new();
    for word in words.iter_mut().filter(|word| word.contains(MARK)) {
        let opened = heredocs.next().filter(|heredoc| {
            instruction.line.text[heredoc.opening.range.clone()] == **word && word.starts_with(MARK)
        });
        let Some(heredoc) = opened else {
            problems.at(
                instruction.span(),
                format!("`{word}` is no here-document, and builders could find one in it"),
                "give the file another name",
            );
            return None;
        };
        let content = heredoc.content();
        if heredoc.opening.expands && content.contains(['$', '\\']) {
            problems.at(
                instruction.line.span(heredoc.opening.range.clone()),
                format!(
                    "builders replace variables in the here-document `{}`, and kiln writes files as they are",
                    heredoc.opening.word
                ),
                format!("write <<\"{}\", and bring what varies by a [[step]]", heredoc.opening.word),
            );
            return None;
        }
        // Nothing else of the context has such a name.
        let digest = Digest::of(content.as_bytes()).hex();
        let path = format!(".kiln-{}.heredoc/{}", &digest[..16], heredoc.opening.word);
        files.push((path.clone(), content.into()));
        *word = path;
    }
    Some(files)
}

/// The script that a RUN gives its shell, if it has here-documents or what looks so; as newer builders do it.
pub(super) fn script(instruction: &Instruction<'_>, problems: &mut Problems<'_>) -> Option<Option<String>> {
    debug_assert_eq!(instruction.keyword, Keyword::Run);
    let Says::Text(text) = &instruction.says else { return Some(None) };
    let heredocs = &instruction.line.heredocs;
    let is_alone = |heredoc: &Heredoc| instruction.range == heredoc.opening.range;
    Some(match heredocs.as_slice() {
        [] => text.contains(MARK).then(|| text.clone()),
        [heredoc] if is_alone(heredoc) => {
            let content = heredoc.content();
            if content.starts_with("#!") {
                problems.at(
                    instruction.span(),
                    "the here-document is a program of its own (`#!`), which only newer builders run",
                    "name the program, as in RUN python3 <<EOF; or bring the script as a file of the context",
                );
                return None;
            }
            Some(content)
        }
        _ => {
            let mut whole = text.clone();
            for heredoc in heredocs {
                whole.push_str(&format!("\n{}{}", heredoc.text, heredoc.opening.word));
            }
            Some(whole)
        }
    })
}
