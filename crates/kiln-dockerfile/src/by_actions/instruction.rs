//! An instruction as kiln writes it for builders, read again: the text is the one that an engine would get.

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// The line of the file that it begins in.
    pub(super) line: usize,
    /// Its keyword, in capitals.
    pub(super) keyword: String,
    /// Its flags, with their values.
    pub(super) flags: Vec<(String, String)>,
    pub(super) says: Says,
    /// All of it.
    pub(super) text: String,
}

/// What an instruction says after its flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// A list in JSON.
    List(Vec<String>),
    /// Anything else.
    Text(String),
}

impl Instruction {
    pub(super) fn read(text: &str, line: usize) -> Self {
        let (keyword, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut flags = Vec::new();
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, after) = flag.split_once(' ').unwrap_or((flag, ""));
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            flags.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
        let keyword = keyword.to_ascii_uppercase();
        Self { line, keyword, flags, says: Says::read(rest), text: text.to_owned() }
    }

    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The words that it says: the list, or what blanks separate.
    pub(super) fn words(&self) -> Vec<String> {
        match &self.says {
            Says::List(list) => list.clone(),
            Says::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// What it says as text.
    pub(super) fn text(&self) -> &str {
        match &self.says {
            Says::Text(text) => text,
            Says::List(_) => "",
        }
    }

    /// The command that it says: the list, or a shell's with the text.
    pub(super) fn command(&self, shell: &[String]) -> Vec<String> {
        match &self.says {
            Says::List(list) => list.clone(),
            Says::Text(text) => shell.iter().chain([text]).cloned().collect(),
        }
    }

    /// The line of the file that it begins in, if there is a file.
    pub(super) fn known_line(&self) -> Option<usize> {
        Some(self.line).filter(|line| *line > 0)
    }

    /// How messages name it.
    pub(super) fn named(&self) -> String {
        let chars: Vec<char> = self.text.chars().collect();
        let text = match chars.len() {
            0..=100 => self.text.clone(),
            _ => format!("{} …", chars[..100].iter().collect::<String>()),
        };
        format!("line {}, `{text}`,", self.line)
    }

    /// Why nothing here does what it says, and what to write instead.
    pub(super) fn refused(&self) -> Option<(String, &'static str)> {
        let flag = |names: &[&str]| {
            self.flags.iter().map(|(name, _)| name).find(|name| names.contains(&name.as_str())).cloned()
        };
        match self.keyword.as_str() {
            "ADD" => Some((
                "may unpack archives and fetch".to_owned(),
                "write COPY, and let a RUN unpack what is an archive",
            )),
            "COPY" => flag(&["link", "parents", "exclude"]).map(|name| {
                (format!("has `--{name}`"), "write COPY without it, and name each folder or file")
            }),
            "RUN" => match flag(&["mount"]) {
                Some(_) => Some((
                    "has `--mount`, and a worker has no mounts".to_owned(),
                    "copy what it needs with COPY, and remove it in the same stage or in another",
                )),
                None if self.flag("network").is_some_and(|network| network != "none") => {
                    Some(("asks for a network".to_owned(), "remove `--network`"))
                }
                None => None,
            },
            _ => None,
        }
    }
}

impl Says {
    /// A text that is a list of texts in JSON is that; no other begins so that builders read it as one.
    pub(super) fn read(text: &str) -> Self {
        let list = text.starts_with('[').then(|| serde_json::from_str::<Vec<String>>(text).ok()).flatten();
        list.map_or_else(|| Self::Text(text.to_owned()), Self::List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let copy = Instruction::read("COPY --from=build --chown=1:2 a b/", 3);
        assert_eq!((copy.flag("from"), copy.flag("chown")), (Some("build"), Some("1:2")));
        assert_eq!((copy.words(), copy.line), (vec!["a".to_owned(), "b/".to_owned()], 3));
        let run = Instruction::read("RUN [\"a\", \"b c\"]", 1);
        assert_eq!(run.command(&[]), ["a", "b c"]);
        let shell = ["/bin/sh".to_owned(), "-c".to_owned()];
        assert_eq!(Instruction::read("RUN [ -f x ]", 1).command(&shell), ["/bin/sh", "-c", "[ -f x ]"]);
        for (text, why) in [
            ("ADD a b", "may unpack archives"),
            ("COPY --link a b", "has `--link`"),
            ("RUN --mount=type=bind,target=/x true", "has no mounts"),
            ("RUN --network=host true", "asks for a network"),
        ] {
            let (refused, _) = Instruction::read(text, 1).refused().unwrap();
            assert!(refused.contains(why), "{refused}");
        }
        assert_eq!(Instruction::read("RUN --network=none true", 1).refused(), None);
    }
}
