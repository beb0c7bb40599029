//! How a program in a base reports: one marked line on standard output, among whatever else is written there.

/// How many of the last lines of a traceback or of standard error a finding shows.
pub(crate) const LINES_SHOWN: usize = 12;

/// The last report that a program wrote: what follows `marker` on its line. Code that runs beside the program
/// can write to standard output as well, so whatever precedes the last report counts for nothing.
pub(crate) fn last_report<'a>(stdout: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    stdout.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(marker)).next_back()
}

/// Replaces the control characters of a text that code under check may have written.
pub(crate) fn clean_text(text: &mut String) {
    if text.contains(char::is_control) {
        *text = text.replace(['\n', '\t'], " ").replace(char::is_control, "\u{fffd}");
    }
}
