//! What a builder says that it does, held against what it was asked for.
//!
//! BuildKit names its work (the vertices of its graph): what it loads, resolves, fetches and runs. The classic builder names
//! each instruction as it comes to it. Neither account is in the hands of the programs that a Dockerfile runs: what they write
//! comes beside it, or, with the classic builder, can only add steps that nobody asked for.

use crate::Builder;
use kiln_record::counted;
use std::collections::BTreeSet;

/// An account, as far as it was heard.
#[derive(Debug)]
pub(super) struct Account {
    builder: Builder,
    instructions: Vec<String>,
    images: BTreeSet<String>,
    network: bool,
    /// How many instructions the classic builder came to.
    steps: usize,
    /// The first instruction that BuildKit says failed.
    failed: Option<usize>,
}

/// What BuildKit does inside, of which nothing comes from elsewhere.
const INTERNAL: [&str; 6] = [
    "load build definition from",
    "load remote build context",
    "load build context",
    "load .dockerignore",
    "settings cache mount permissions",
    "preparing inline document",
];

impl Account {
    pub(super) fn new(
        builder: Builder,
        instructions: Vec<String>,
        images: BTreeSet<String>,
        network: bool,
    ) -> Self {
        Self { builder, instructions, images, network, steps: 0, failed: None }
    }

    /// Hears the name of one of BuildKit's vertices.
    ///
    /// # Errors
    /// What it uses or does that it was not asked for, in words.
    pub(super) fn vertex(&self, name: &str) -> Result<(), String> {
        let (of, work) = match name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((of, work)) => (of.rsplit(' ').next(), work),
            None => (None, name),
        };
        if let Some(image) = ["load metadata for ", "resolve image config for ", "docker-image://", "FROM "]
            .iter()
            .find_map(|start| work.strip_prefix(start))
        {
            return self.image(image);
        }
        let known = match of {
            Some("internal") => INTERNAL.iter().any(|known| work.starts_with(known)),
            // What it fetches with a login is named by what it is for.
            Some("auth") => true,
            Some(of) if is_step(of) => return self.instruction(work),
            Some(_) => false,
            // The context comes as an archive, which is unpacked.
            None => work.starts_with("exporting to ") || work == "copy /context /",
        };
        if known {
            Ok(())
        } else {
            Err(format!("the builder does what kiln does not know: {}", quoted(name)))
        }
    }

    /// Hears what one of BuildKit's vertices ended with: nothing, if that is no error.
    pub(super) fn ended(&mut self, name: &str, error: &str) {
        // What else was under way then is given up.
        if self.failed.is_none() && !error.is_empty() && !error.contains("context canceled") {
            self.failed = self.numbered(name);
        }
    }

    /// The instruction that failed, counted from 0, if the builder said that one did.
    pub(super) fn failed(&self) -> Option<usize> {
        match self.builder {
            Builder::Classic => self.steps.checked_sub(1),
            Builder::BuildKit | Builder::Buildah => self.failed,
        }
    }

    /// The instruction that BuildKit means by `[stage 2/3] RUN …`: it counts those of each stage that make files, and the FROM that
    /// takes an image (`prefixCommand` and `cmdTotal` of its frontend). A stage without a name is `stage-0`, and nothing if it is
    /// the only one.
    fn numbered(&self, name: &str) -> Option<usize> {
        let (of, work) = name.strip_prefix('[')?.split_once("] ")?;
        let mut of = of.split(' ').rev().filter(|word| !word.is_empty());
        let number: usize = of.next()?.split_once('/')?.0.parse().ok()?;
        let stage = of.next().filter(|word| !word.contains('/'));
        let (mut stages, mut counted, mut here): (Vec<Option<&str>>, usize, bool) = (Vec::new(), 0, false);
        for (index, instruction) in self.instructions.iter().enumerate() {
            let words: Vec<&str> = instruction.split(' ').filter(|word| !word.starts_with("--")).collect();
            let word = words.first().copied().unwrap_or_default();
            let counts = match word {
                "FROM" => {
                    let on = words.get(1).copied();
                    let counts = on != Some("scratch") && !stages.contains(&on);
                    let name = words.get(3).copied();
                    here = stage.is_none_or(|wanted| {
                        name.map_or_else(
                            || wanted == format!("stage-{}", stages.len()),
                            |name| name == wanted,
                        )
                    });
                    stages.push(name);
                    counted = 0;
                    counts
                }
                _ => matches!(word, "ADD" | "COPY" | "RUN" | "WORKDIR"),
            };
            counted += usize::from(counts);
            if here && counts && counted == number {
                return (work.split(' ').next() == Some(word)).then_some(index);
            }
        }
        None
    }

    /// Holds an instruction that BuildKit carries out, with its variables replaced.
    fn instruction(&self, text: &str) -> Result<(), String> {
        let word = text.split(' ').next().unwrap_or_default();
        let is_asked = self.instructions.iter().any(|asked| asked.split(' ').next() == Some(word));
        if !is_asked {
            return Err(format!("the builder carries out what the file does not say: {}", quoted(text)));
        }
        if word == "ADD" && !self.network && text.contains("://") {
            return Err(format!("the builder fetches what no lock knows: {}", quoted(text)));
        }
        Ok(())
    }

    /// Hears a line of the classic builder's own.
    ///
    /// # Errors
    /// As [`Account::vertex`].
    pub(super) fn line(&mut self, text: &str) -> Result<(), String> {
        if self.builder == Builder::BuildKit || !is_announced(text) {
            return Ok(());
        }
        let count = self.instructions.len();
        let expected = self.instructions.get(self.steps);
        let number = self.steps + 1;
        if expected.is_none_or(|line| text.trim_end() != format!("Step {number}/{count} : {line}").trim_end())
        {
            return Err(format!(
                "the builder says {}, where the file has {}",
                quoted(text.trim_end()),
                expected.map_or_else(|| "no more instructions".to_owned(), |line| quoted(line))
            ));
        }
        self.steps += 1;
        Ok(())
    }

    /// Hears what an engine says while it brings an image: all of them were there.
    ///
    /// # Errors
    /// As [`Account::vertex`].
    pub(super) fn status(&self, status: &str) -> Result<(), String> {
        match status.starts_with("Pulling ") {
            true => Err(format!("the engine brings an image from elsewhere: {}", quoted(status))),
            false => Ok(()),
        }
    }

    /// The end of the account.
    ///
    /// # Errors
    /// If something of what was asked for is not in it.
    pub(super) fn close(self) -> Result<(), String> {
        if self.builder == Builder::Classic && self.steps != self.instructions.len() {
            return Err(format!(
                "the builder came to {} of {}, and says that it is done",
                self.steps,
                counted(self.instructions.len(), "instructions")
            ));
        }
        Ok(())
    }

    /// An image, by the name that the builder has for it: with the digest that it found behind, if it had none.
    fn image(&self, name: &str) -> Result<(), String> {
        let known = self.images.iter().any(|image| {
            name.strip_prefix(image.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("@sha256:"))
        });
        if known {
            return Ok(());
        }
        Err(format!("the builder takes the image {}, which nothing pins", quoted(name)))
    }
}

/// Whether the text is the number of a step among all, as in `2/3`.
fn is_step(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('/').is_some_and(|(step, all)| number(step) && number(all))
}

/// Whether the classic builder announces a step.
fn is_announced(text: &str) -> bool {
    let step = text.strip_prefix("Step ").and_then(|rest| rest.split_once(" : "));
    step.is_some_and(|(number, _)| is_step(number))
}

/// Words of a builder, as they can be shown.
fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "localhost/kiln/python:0123";

    fn account(builder: Builder) -> Account {
        let instructions = [format!("FROM {BASE}"), "ADD a /a".to_owned(), "RUN true".to_owned()];
        Account::new(builder, instructions.to_vec(), BTreeSet::from([BASE.to_owned()]), false)
    }

    #[test]
    fn what_buildkit_takes_from_elsewhere_is_told() {
        let account = account(Builder::BuildKit);
        for name in [
            "[internal] load remote build context",
            "[internal] load build definition from .kiln-1.dockerfile",
            "[linux/amd64 internal] load metadata for localhost/kiln/python:0123",
            "[build 1/3] FROM localhost/kiln/python:0123",
            "[linux/amd64 build 1/3] FROM localhost/kiln/python:0123@sha256:00",
            "FROM localhost/kiln/python:0123",
            "docker-image://localhost/kiln/python:0123",
            "[2/3] ADD a /a",
            "[3/3] RUN true",
            "copy /context /",
            "exporting to image",
        ] {
            assert_eq!(account.vertex(name), Ok(()), "{name}");
        }
        for name in [
            "[internal] load metadata for localhost/kiln/python:01234",
            "[internal] load metadata for docker.io/library/alpine:3",
            "resolve image config for docker.io/docker/dockerfile:1",
            "docker-image://docker.io/docker/dockerfile:1",
            "[evil 1/1] FROM docker.io/library/evil",
            "FROM docker.io/library/evil",
            "[2/3] ADD https://example.org/x /x",
            "[2/3] COPY --from=evil /x /x",
            "https://example.org/x",
            "git://example.org/x.git",
            "local://context",
            "importing cache manifest from example.org/cache",
            "[internal] load git source https://example.org/x.git",
            "[context evil] load metadata for docker.io/library/evil",
            "something new",
        ] {
            assert!(account.vertex(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_instruction_that_failed_is_known() {
        let instructions = [
            "ARG A",
            "FROM base AS build",
            "WORKDIR /a",
            "ENV X=1",
            "RUN make $X",
            "FROM build",
            "RUN one",
            "FROM scratch",
            "COPY --from=build /a /a",
            "RUN two",
        ];
        let of = |instructions: &[&str], name: &str, error: &str| {
            let instructions = instructions.iter().map(|text| (*text).to_owned()).collect();
            let mut account = Account::new(Builder::BuildKit, instructions, BTreeSet::new(), false);
            account.ended(name, error);
            account.failed()
        };
        for (name, error, expected) in [
            ("[build 3/3] RUN make 1", "exit code: 1", Some(4)),
            ("[linux/amd64 build 2/3] WORKDIR /a", "x", Some(2)),
            ("[stage-1 1/1] RUN one", "x", Some(6)),
            ("[stage-2 2/2] RUN two", "x", Some(9)),
            ("[stage-2  2/12] RUN two", "x", Some(9)),
            ("[stage-2 2/2] COPY a b", "x", None),
            ("[build 3/3] RUN make 1", "", None),
            ("[build 3/3] RUN make 1", "Canceled: context canceled", None),
            ("[internal] load build context", "x", None),
        ] {
            assert_eq!(of(&instructions, name, error), expected, "{name}");
        }
        assert_eq!(of(&["FROM base", "RUN x"], "[2/2] RUN x", "x"), Some(1));
        let mut account = account(Builder::Classic);
        assert_eq!(account.failed(), None);
        account.line("Step 1/3 : FROM localhost/kiln/python:0123").unwrap();
        account.line("Step 2/3 : ADD a /a").unwrap();
        assert_eq!(account.failed(), Some(1));
    }

    #[test]
    fn the_classic_builder_comes_to_each_instruction_in_turn() {
        let steps = |lines: &[&str]| {
            let mut account = account(Builder::Classic);
            lines.iter().try_for_each(|line| account.line(line)).and_then(|()| account.close())
        };
        let all =
            ["Step 1/3 : FROM localhost/kiln/python:0123", "Step 2/3 : ADD a /a", "Step 3/3 : RUN true"];
        assert_eq!(steps(&all), Ok(()));
        assert_eq!(
            steps(&[all[0], "\n", "Step by step\n", "Step 2 : x", all[1], "Step 3/3 : RUN true\n"]),
            Ok(())
        );
        assert!(steps(&all[..2]).unwrap_err().contains("came to 2 of 3"));
        assert!(steps(&[all[0], "Step 2/4 : FROM evil"]).unwrap_err().contains("`Step 2/4 : FROM evil`"));
        assert!(steps(&[all[0], all[2]]).is_err());
        assert!(steps(&[all[0], all[1], all[2], "Step 4/4 : FROM evil"]).unwrap_err().contains("no more"));
        assert!(account(Builder::Classic).status("Pulling from library/evil").is_err());
        assert_eq!(account(Builder::Classic).status("Downloading"), Ok(()));
    }
}
