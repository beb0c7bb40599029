//! `.dockerignore`: which files of a context a Dockerfile cannot see (Docker's "Build context", ".dockerignore files").

use crate::Problem;
use globset::{GlobBuilder, GlobMatcher};
use kiln_record::TreePath;

/// The patterns of a file, in order: the last that fits decides.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    matcher: GlobMatcher,
    /// Whether it brings back what an earlier one took away.
    brings_back: bool,
}

impl Ignore {
    /// Reads patterns.
    ///
    /// # Errors
    /// A [`Problem`] that names the line that is no pattern.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let mut patterns = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (brings_back, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            // Braces mean nothing there, and alternatives here.
            let literal = pattern.replace('{', "\\{").replace('}', "\\}");
            let glob = GlobBuilder::new(&literal).literal_separator(true).backslash_escape(true).build();
            let matcher = glob
                .map_err(|error| {
                    Problem::in_file(
                        file,
                        format!("line {}: `{line}` is not a pattern: {}", number + 1, error.kind()),
                    )
                    .help("correct it, or put a backslash before what stands for itself")
                })?
                .compile_matcher();
            patterns.push(Pattern { matcher, brings_back });
        }
        Ok(Self { patterns })
    }

    /// Whether a file is left out: it, or a folder that it is in, fits.
    #[must_use]
    pub fn leaves_out(&self, path: &TreePath) -> bool {
        let folders = path.as_str().match_indices('/').map(|(end, _)| &path.as_str()[..end]);
        let names: Vec<&str> = folders.chain([path.as_str()]).collect();
        let mut out = false;
        for pattern in &self.patterns {
            if pattern.brings_back == out && names.iter().any(|name| pattern.matcher.is_match(name)) {
                out = !pattern.brings_back;
            }
        }
        out
    }
}

/// A pattern without slashes at its ends, `.` and what `..` takes back (Go's `path.Clean`).
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(patterns: &str, path: &str) -> bool {
        Ignore::parse(".dockerignore", patterns).unwrap().leaves_out(&TreePath::new(path).unwrap())
    }

    #[test]
    fn patterns_fit_as_docker_says() {
        for (patterns, path, expected) in [
            ("*.pyc", "a.pyc", true),
            ("*.pyc", "lib/a.pyc", false),
            ("**/*.pyc", "a.pyc", true),
            ("**/*.pyc", "x/y/a.pyc", true),
            ("/secret", "secret", true),
            ("secret/", "secret/deep/key", true),
            ("./a/../b", "b/c", true),
            ("*/temp*", "x/temporary/file", true),
            ("*/temp*", "x/y/temp", false),
            ("temp?", "tempa", true),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
            ("*\n!src", "src/main.rs", false),
            ("*\n!src\nsrc/*.tmp", "src/x.tmp", true),
            ("# comment\n\n  \n.", "a", false),
            ("a{b,c}", "ab", false),
            ("a{b,c}", "a{b,c}", true),
            ("docs/**", "docs/x/y", true),
            ("docs/**", "docs", false),
        ] {
            assert_eq!(left_out(patterns, path), expected, "{patterns:?} {path}");
        }
        assert!(Ignore::parse("x", "[").unwrap_err().to_string().contains("line 1"));
    }
}
