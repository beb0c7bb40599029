//! How a program in a base reports: one marked line on standard output, which nothing that is judged can write to.

use kiln_record::printed;

/// How many of the last lines of a traceback or of standard error a finding shows.
pub(crate) const LINES_SHOWN: usize = 12;

/// The report of a program: what follows `marker` on the only line that it wrote. A program that judges code keeps
/// its standard output to itself, so whatever else is there shows that it did not.
pub(crate) fn only_report<'a>(stdout: &'a [u8], marker: &[u8]) -> Result<&'a [u8], String> {
    let written = stdout.trim_ascii();
    if written.is_empty() {
        return Err("there is none on standard output".to_owned());
    }
    let line = written.strip_prefix(marker).filter(|line| !line.contains(&b'\n'));
    line.ok_or_else(|| "standard output has something else than one report".to_owned())
}

/// Makes one line of a text that code under check may have written, without escape sequences and control characters.
pub(crate) fn clean_text(text: &mut String) {
    if text.contains(char::is_control) {
        *text = printed(&text.replace(['\n', '\r', '\t'], " "));
    }
}

/// The same for a text whose lines stay.
pub(crate) fn clean_lines(text: &mut String) {
    if text.contains(char::is_control) {
        *text = printed(&text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', " "));
    }
}
