//! What files compile to, as the import check tells it before its report: a later check is given it instead of compiling the same
//! files anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where the program of the import check looks for what it is given: files whose names begin with
/// [`CompiledOf::name`].
pub const COMPILED_PLACE: &str = "/var/kiln-compiled";

/// What the lines start with.
const MARKER: &[u8] = b"KILN-COMPILED ";

/// Which files were compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompiledOf {
    /// Those of the base: its standard library.
    Base,
    /// Those of the trees.
    Trees,
}

impl CompiledOf {
    /// What the names of its files begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Trees => "trees",
        }
    }
}

/// What files compile to. The bytes are for the interpreter that made them, and for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// Which files.
    pub of: CompiledOf,
    /// A file for [`COMPILED_PLACE`].
    pub bytes: Vec<u8>,
}

impl Compiled {
    /// Takes the lines off what the script wrote to standard output: they come before everything else. Nothing but the script writes
    /// there, so that whatever only begins like one stays where it is, and makes the report none.
    #[must_use]
    pub fn taken_off(stdout: &[u8]) -> (Vec<Self>, &[u8]) {
        let (mut all, mut rest) = (Vec::new(), stdout);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n')
            && let Some(told) = Self::of_line(&rest[..end])
        {
            all.push(told);
            rest = &rest[end + 1..];
        }
        (all, rest)
    }

    fn of_line(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(MARKER)?;
        let of = [CompiledOf::Base, CompiledOf::Trees];
        let (of, text) = of
            .into_iter()
            .find_map(|of| Some((of, rest.strip_prefix(of.name().as_bytes())?.strip_prefix(b" ")?)))?;
        Some(Self { of, bytes: STANDARD.decode(text).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_before_the_report_are_taken_off() {
        let stdout =
            b"KILN-COMPILED base YQ==\nKILN-COMPILED trees Yg==\nKILN-COMPILED base Yw==\n\nREPORT {}\n";
        let of = |of, bytes: &[u8]| Compiled { of, bytes: bytes.to_vec() };
        let (told, rest) = Compiled::taken_off(stdout);
        assert_eq!(
            told,
            [of(CompiledOf::Base, b"a"), of(CompiledOf::Trees, b"b"), of(CompiledOf::Base, b"c")]
        );
        assert_eq!(rest, b"\nREPORT {}\n");
        assert_eq!(Compiled::taken_off(rest), (Vec::new(), rest));
    }

    #[test]
    fn what_is_no_such_line_stays() {
        for other in [
            &b"KILN-COMPILED base Y\n"[..],
            b"KILN-COMPILED other YQ==\n",
            b"report\nKILN-COMPILED base YQ==\n",
        ] {
            assert_eq!(Compiled::taken_off(other), (Vec::new(), other));
        }
    }
}
