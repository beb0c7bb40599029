//! What files compile to, as the import check tells it after its report: a later check is given it instead of compiling the same
//! files anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where the program of the import check looks for what it is given.
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
    /// The name of its file below [`COMPILED_PLACE`].
    #[must_use]
    pub const fn file_name(self) -> &'static str {
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
    /// Takes the lines off what the script wrote to standard output. Nothing but the script writes there, so that whatever else
    /// begins like one stays where it is, and makes the report none.
    #[must_use]
    pub fn taken_off(stdout: &mut Vec<u8>) -> Vec<Self> {
        let mut all = Vec::new();
        loop {
            let text = stdout.trim_ascii_end();
            let start = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let Some(told) = Self::of_line(&text[start..]) else { return all };
            all.push(told);
            stdout.truncate(start);
        }
    }

    fn of_line(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(MARKER)?;
        let of = [CompiledOf::Base, CompiledOf::Trees];
        let (of, text) = of
            .into_iter()
            .find_map(|of| Some((of, rest.strip_prefix(of.file_name().as_bytes())?.strip_prefix(b" ")?)))?;
        Some(Self { of, bytes: STANDARD.decode(text).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_report_are_taken_off() {
        let mut stdout = b"\nREPORT {}\nKILN-COMPILED base YQ==\nKILN-COMPILED trees Yg==\n".to_vec();
        let told = Compiled::taken_off(&mut stdout);
        let of = |of, bytes: &[u8]| Compiled { of, bytes: bytes.to_vec() };
        assert_eq!(told, [of(CompiledOf::Trees, b"b"), of(CompiledOf::Base, b"a")]);
        assert_eq!(stdout, b"\nREPORT {}\n");
        assert!(Compiled::taken_off(&mut stdout).is_empty());
    }

    #[test]
    fn what_is_no_such_line_stays() {
        for other in
            [&b"KILN-COMPILED base Y"[..], b"KILN-COMPILED other YQ==", b"KILN-COMPILED base YQ==\nreport"]
        {
            let mut stdout = other.to_vec();
            assert!(Compiled::taken_off(&mut stdout).is_empty());
            assert_eq!(stdout, other);
        }
    }
}
