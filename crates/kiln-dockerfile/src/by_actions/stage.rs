//! A stage as it is so far: its files, its config, and what its instructions can refer to.

use super::instruction::{Instruction, Says};
use super::paths::{absolute, make_folders, resolved};
use super::words::{expanded, pairs, words};
use crate::taken_apart::Taken;
use kiln_image::FileSystem;
use kiln_record::{HealthCheck, ImageRuns, TreePath};
use std::collections::BTreeMap;

/// The shell of a stage that names none (Dockerfile reference, "SHELL").
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// Where programs are looked for where nothing is stated.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage.
#[derive(Clone, Debug)]
pub(super) struct Stage<B> {
    /// The image that it stands on; none if that is nothing.
    pub(super) base: Option<B>,
    pub(super) files: FileSystem,
    /// Which layer each path had its last change in, of how many.
    pub(super) last: BTreeMap<TreePath, usize>,
    pub(super) layers: usize,
    pub(super) runs: ImageRuns,
    pub(super) shell: Vec<String>,
    /// The variables of the environment and the arguments, of which the later goes before the earlier.
    pub(super) values: BTreeMap<String, String>,
    /// Whether it names a command itself.
    has_command: bool,
}

impl<B> Stage<B> {
    pub(super) fn new(base: Option<B>, files: FileSystem, mut runs: ImageRuns) -> Self {
        if base.is_none() {
            runs.environment.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        }
        Self {
            base,
            files,
            last: BTreeMap::new(),
            layers: 0,
            values: runs.environment.clone(),
            runs,
            shell: SHELL.map(str::to_owned).to_vec(),
            has_command: false,
        }
    }

    /// A stage that stands on this one.
    pub(super) fn child(&self) -> Self
    where
        B: Clone,
    {
        Self { has_command: false, ..self.clone() }
    }

    /// The folder that it is in.
    pub(super) fn working_dir(&self) -> &str {
        self.runs.working_dir.as_deref().unwrap_or("/")
    }

    /// Takes files that an instruction made of those that were there.
    pub(super) fn take(&mut self, files: FileSystem) {
        Taken::note(&mut self.last, self.layers, &files, &self.files);
        self.files = files;
        self.layers += 1;
    }

    /// Makes a folder its working folder, which belongs to `owner` where it is not there.
    pub(super) fn enter(&mut self, text: &str, owner: (u32, u32)) -> Result<(), String> {
        let path = absolute(self.working_dir(), &expanded(text, &self.values)?);
        let mut files = self.files.clone();
        let place = resolved(&files, &path)?;
        make_folders(&mut files, &place, owner)?;
        self.take(files);
        self.runs.working_dir = Some(path);
        Ok(())
    }

    /// Declares arguments. `given` goes before defaults, and these before `global`.
    pub(super) fn declare(
        &mut self,
        text: &str,
        given: &BTreeMap<String, String>,
        global: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        for word in words(text) {
            let (name, default) = word.split_once('=').map_or((word.as_str(), None), |(n, d)| (n, Some(d)));
            let value = match (given.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(expanded(default, &self.values)?),
                (None, None) => global.get(name).cloned(),
            };
            if let Some(value) = value {
                self.values.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Takes an instruction that changes the config alone.
    pub(super) fn configure(&mut self, instruction: &Instruction) -> Result<(), String> {
        let text = instruction.text();
        match instruction.keyword.as_str() {
            "ENV" => {
                for (name, value) in self.expanded_pairs(text)? {
                    self.runs.environment.insert(name.clone(), value.clone());
                    self.values.insert(name, value);
                }
            }
            "LABEL" => {
                let labels = self.expanded_pairs(text)?;
                self.runs.labels.extend(labels);
            }
            "USER" => self.runs.user = Some(expanded(text, &self.values)?),
            "STOPSIGNAL" => self.runs.stop_signal = Some(expanded(text, &self.values)?),
            "EXPOSE" => {
                for word in instruction.words() {
                    for port in expanded(&word, &self.values)?.split_whitespace() {
                        self.runs.ports.extend(ports(port)?);
                    }
                }
            }
            "VOLUME" => {
                for word in instruction.words() {
                    self.runs.volumes.insert(expanded(&word, &self.values)?);
                }
            }
            "ENTRYPOINT" => {
                self.runs.entrypoint = instruction.command(&self.shell);
                if !self.has_command {
                    self.runs.command.clear();
                }
            }
            "CMD" => {
                self.runs.command = instruction.command(&self.shell);
                self.has_command = true;
            }
            "SHELL" => self.shell = instruction.words(),
            "HEALTHCHECK" => self.runs.health_check = self.health_check(instruction)?,
            // Who wrote it is no part of how it is started.
            "MAINTAINER" => {}
            other => return Err(format!("`{other}` is not known here")),
        }
        Ok(())
    }

    fn expanded_pairs(&self, text: &str) -> Result<Vec<(String, String)>, String> {
        let one = |(name, value): (String, String)| {
            Ok((expanded(&name, &self.values)?, expanded(&value, &self.values)?))
        };
        pairs(text)?.into_iter().map(one).collect()
    }

    fn health_check(&self, instruction: &Instruction) -> Result<Option<HealthCheck>, String> {
        let text = instruction.text();
        let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match kind.to_ascii_uppercase().as_str() {
            "NONE" => return Ok(None),
            "CMD" => {}
            _ => return Err("has neither CMD nor NONE".to_owned()),
        }
        let command = match Says::read(rest.trim_start()) {
            Says::List(list) => list,
            Says::Text(text) => self.shell.iter().chain([&text]).cloned().collect(),
        };
        let time = |name: &str, usual: u32| -> Result<u32, String> {
            let Some(text) = instruction.flag(name) else { return Ok(usual) };
            let time = seconds(text).ok_or_else(|| format!("has no time in `--{name}={text}`"))?;
            Ok(if time == 0 { usual } else { time })
        };
        let retries = match instruction.flag("retries") {
            Some(text) => text.parse().map_err(|_| format!("has no number in `--retries={text}`"))?,
            None => 0,
        };
        Ok(Some(HealthCheck {
            command,
            interval: time("interval", 30)?,
            timeout: time("timeout", 30)?,
            start_period: time("start-period", 0)?,
            retries: if retries == 0 { 3 } else { retries },
        }))
    }
}

/// Ports as a config has them: `80` is `80/tcp`, and a range is each of its ports.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{text}` is no port");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (number(first)?, number(last)?);
    if first > last || !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A time of Go's (`time.ParseDuration`) in whole seconds, begun ones counted.
fn seconds(text: &str) -> Option<u32> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (mut left, mut sum) = (text, 0.0);
    if text == "0" {
        return Some(0);
    }
    while !left.is_empty() {
        let end = left.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let number: f64 = left[..end].parse().ok()?;
        let rest = &left[end..];
        let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..unit_end])?;
        sum += number * unit;
        left = &rest[unit_end..];
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is rounded, and no time is below nothing"
    )]
    (!text.is_empty() && sum <= f64::from(u32::MAX)).then(|| (sum - 1e-9).ceil().max(0.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(lines: &[&str]) -> Stage<()> {
        let runs = ImageRuns {
            command: vec!["base".to_owned()],
            environment: [("A".to_owned(), "base".to_owned())].into(),
            ..ImageRuns::default()
        };
        let mut stage = Stage::new(Some(()), FileSystem::new(), runs);
        for line in lines {
            let instruction = Instruction::read(line, 1);
            match instruction.keyword.as_str() {
                "ARG" => stage.declare(
                    instruction.text(),
                    &[("GIVEN".to_owned(), "g".to_owned())].into(),
                    &[("GLOBAL".to_owned(), "x".to_owned())].into(),
                ),
                "WORKDIR" => stage.enter(instruction.text(), (1, 2)),
                _ => stage.configure(&instruction),
            }
            .unwrap();
        }
        stage
    }

    #[test]
    fn a_config_follows_from_instructions() {
        let stage = stage(&[
            "ENV A=new B=$A",
            "ARG GIVEN=no GLOBAL NONE D=d$B",
            "LABEL who=\"$GIVEN $GLOBAL$NONE\" a.b=c",
            "WORKDIR /srv/$D",
            "WORKDIR sub/../x",
            "EXPOSE 80 8000-8001/udp",
            "SHELL [\"/bin/bash\", \"-ec\"]",
            "ENTRYPOINT [\"run\"]",
            "HEALTHCHECK --interval=1m500ms --retries=2 CMD curl localhost",
            "VOLUME [\"/data\"]",
            "USER $GIVEN",
        ]);
        let runs = &stage.runs;
        let environment: Vec<String> =
            runs.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(environment, ["A=new", "B=base"], "arguments are not in it");
        assert_eq!(runs.labels["who"], "g x");
        assert_eq!((stage.working_dir(), runs.user.as_deref()), ("/srv/dbase/x", Some("g")));
        assert_eq!(runs.ports.iter().collect::<Vec<_>>(), ["80/tcp", "8000/udp", "8001/udp"]);
        assert!(runs.command.is_empty(), "another entrypoint takes no arguments of the base's");
        let health = runs.health_check.as_ref().unwrap();
        assert_eq!(health.command, ["/bin/bash", "-ec", "curl localhost"]);
        assert_eq!((health.interval, health.timeout, health.retries), (61, 30, 2));
        let folders: Vec<(&str, u64)> =
            stage.files.iter().map(|(path, node)| (path.as_str(), node.user)).collect();
        assert_eq!(folders, [("srv", 1), ("srv/dbase", 1), ("srv/dbase/x", 1)]);
        assert_eq!(stage.layers, 2);
    }

    #[test]
    fn a_command_goes_with_the_entrypoint_of_its_own_stage() {
        let mut stage = stage(&["CMD [\"own\"]", "ENTRYPOINT [\"run\"]"]);
        assert_eq!(stage.runs.command, ["own"]);
        stage = stage.child();
        stage.configure(&Instruction::read("ENTRYPOINT [\"other\"]", 1)).unwrap();
        assert!(stage.runs.command.is_empty());
    }

    #[test]
    fn times_and_ports_are_those_of_builders() {
        for (text, expected) in [
            ("5s", Some(5)),
            ("1h2m", Some(3720)),
            ("1.5s", Some(2)),
            ("0", Some(0)),
            ("5", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        for text in ["x", "80:80", "9-8", "80/x"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }
}
