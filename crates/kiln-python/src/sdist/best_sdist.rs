//! Which source distribution of a release is built.

/// Endings of source distributions that can be unpacked, best first.
const UNPACKED_ENDINGS: [&str; 2] = [".tar.gz", ".zip"];

/// The source distribution to build, of all files of a release: the format that is made today comes first.
#[must_use]
pub fn best_sdist<T>(files: &[T], file_name: impl Fn(&T) -> &str) -> Option<&T> {
    let rank = |file: &T| UNPACKED_ENDINGS.iter().position(|ending| file_name(file).ends_with(ending));
    let ranked = files.iter().filter_map(|file| Some((rank(file)?, file)));
    ranked.min_by_key(|(rank, file)| (*rank, file_name(file).to_owned())).map(|(_, file)| file)
}
