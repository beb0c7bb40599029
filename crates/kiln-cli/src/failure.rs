//! Errors, as they are told: what, where, why, what to do, and which exit code.

use crate::printer::{Printer, Style, harmless_in_place, with_own_colours};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use kiln_engine::EngineError;
use kiln_fetch::FetchError;
use kiln_invocation::BuildError;
use kiln_plan::Problem;
use kiln_python::InputProblem;
use kiln_record::{Exit, exit};

/// How long a line of source may be before it is cut.
const WIDTH: usize = 110;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Exit,
    message: String,
    hints: Vec<String>,
    problems: Vec<Problem>,
}

impl Failure {
    fn new(code: Exit, message: String) -> Self {
        Self { code, message, hints: Vec::new(), problems: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message.into())
    }

    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(exit::INPUT_INVALID, message.into())
    }

    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(exit::STORE_FAILURE, message.into())
    }

    pub(crate) fn unexpected(message: impl Into<String>) -> Self {
        Self::new(exit::UNEXPECTED, message.into())
    }

    pub(crate) fn fetch(error: FetchError) -> Self {
        Self::from(BuildError::Fetch(error))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.code
    }

    pub(crate) fn print(&self, printer: Printer) {
        for problem in &self.problems {
            printer.problem(&render_problem(problem, printer));
        }
        if self.problems.is_empty() {
            let head = printer.on_stderr(Style::Bad, "error");
            printer.problem(&format!("{head}: {}", self.message));
        }
        for hint in &self.hints {
            printer.problem(&format!("  {}: {hint}", printer.on_stderr(Style::Note, "help")));
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let code = exit_of(&error);
        let hints = hints(&error);
        let (message, problems) = match error {
            BuildError::Input(problems) => (String::new(), problems),
            BuildError::Lock(problems) => (describe_input(&problems), Vec::new()),
            BuildError::Engine(error) => (format!("failed to {error}"), Vec::new()),
            BuildError::Guest { ref lines, .. } => {
                let tail: String = lines.iter().map(|line| format!("\n    {line}")).collect();
                (format!("{error}{tail}"), Vec::new())
            }
            BuildError::SdistBuild { ref lines, .. } => (with_log(&error, lines), Vec::new()),
            BuildError::Step(ref failed) | BuildError::Dockerfile(ref failed) => {
                (with_log(&error, &failed.lines), Vec::new())
            }
            BuildError::Unresolved { ref lines, .. } => {
                let said: String = lines.iter().map(|line| format!("\n    {line}")).collect();
                (format!("{error}; uv says:{said}"), Vec::new())
            }
            BuildError::HashNotLocked { ref offered, ref locked, .. } => {
                let offered = if offered.is_empty() {
                    "\n    nothing of this version".to_owned()
                } else {
                    listed(offered.iter())
                };
                (format!("{error}\n  locked:{}\n  offered:{offered}", listed(locked.iter())), Vec::new())
            }
            BuildError::ServedNotLocked { ref locked, .. } => {
                (format!("{error}\n  locked:{}", listed(locked.iter())), Vec::new())
            }
            other => (chain(&other), Vec::new()),
        };
        Self { code, message, hints, problems }
    }
}

pub(crate) fn exit_of(error: &BuildError) -> Exit {
    // A full disk is a full disk, whichever part of the work met it.
    if error.is_of_disk() {
        return exit::STORE_FAILURE;
    }
    match error {
        BuildError::Input(_)
        | BuildError::Lock(_)
        | BuildError::Unknown { .. }
        | BuildError::SeveralPlatforms { .. }
        | BuildError::TagTaken { .. }
        | BuildError::Repository { .. }
        | BuildError::Index { .. }
        | BuildError::Reference { .. }
        | BuildError::NotUsable { .. } => exit::INPUT_INVALID,
        BuildError::Unresolved { unsatisfiable: true, .. } => exit::INPUT_INVALID,
        BuildError::Upstream { source, .. } if matches!(**source, FetchError::NotInRepository { .. }) => {
            exit::INPUT_INVALID
        }
        BuildError::Unresolved { .. } | BuildError::Tool { .. } => exit::FETCH_FAILED,
        BuildError::Denied(_) => exit::FINDINGS_DENIED,
        BuildError::NoIndex
        | BuildError::NoCrates
        | BuildError::Crates { .. }
        | BuildError::UpstreamDiffers { .. }
        | BuildError::Upstream { .. }
        | BuildError::ReferrersNotListed { .. }
        | BuildError::Keyring { .. }
        | BuildError::NoMirror { .. }
        | BuildError::PackageGone { .. }
        | BuildError::Release { .. }
        | BuildError::Registry { .. }
        | BuildError::HashNotLocked { .. }
        | BuildError::ServedNotLocked { .. }
        | BuildError::NotAllListed { .. }
        | BuildError::Archive { .. }
        | BuildError::Wheel { .. }
        | BuildError::Fetch(_)
        | BuildError::Image(_) => exit::FETCH_FAILED,
        BuildError::BaseDiffers { .. } | BuildError::NotAsRecorded { .. } => exit::NOT_REPRODUCIBLE,
        BuildError::Engine(EngineError::Deadline { .. }) => exit::BUILD_STEP_FAILED,
        BuildError::EngineImageDiffers { .. } | BuildError::Engine(_) | BuildError::ForeignBase { .. } => {
            exit::ENGINE_UNAVAILABLE
        }
        BuildError::SourceChanged { .. } => exit::INPUT_INVALID,
        BuildError::Guest { .. }
        | BuildError::SdistBuild { .. }
        | BuildError::Step(_)
        | BuildError::Dockerfile(_) => exit::BUILD_STEP_FAILED,
        BuildError::ArchiveDiffers { .. }
        | BuildError::Sbom(_)
        | BuildError::Pack(_)
        | BuildError::Python(_) => exit::UNEXPECTED,
        BuildError::Interrupted => exit::INTERRUPTED,
        BuildError::StoreDamaged { .. } | BuildError::Store(_) | BuildError::Io(_) => exit::STORE_FAILURE,
    }
}

fn hints(error: &BuildError) -> Vec<String> {
    let hints: Vec<String> = match error {
        BuildError::SeveralPlatforms { .. } => vec!["name one of them".to_owned()],
        BuildError::Unknown { known, .. } if !known.is_empty() => vec![format!("there are: {}", known.join(", "))],
        BuildError::NoIndex => vec![
            "name one in kiln.toml: [python] index = \"https://…\"".to_owned(),
            "or set UV_DEFAULT_INDEX or PIP_INDEX_URL, or configure pip or uv".to_owned(),
        ],
        BuildError::NoCrates => vec![
            "use cargo once on this machine, or configure it: kiln takes the registry that cargo is configured for".to_owned(),
            "or say with KILN_CRATES where archives are: the `dl` of the registry's config.json".to_owned(),
        ],
        BuildError::NoMirror { base } => vec![
            format!("name one in images/{base}.toml ([debian] mirror = \"…\") or in kiln.toml ([debian] mirror = \"…\")"),
            "or set KILN_DEBIAN_MIRROR; on Debian, kiln takes the mirror of apt's own sources".to_owned(),
        ],
        BuildError::PackageGone { base, .. } => vec![
            format!("move the pin to what the mirror has now: kiln lock --base {base}"),
            format!("or name an archive of Debian's past: snapshot = \"…\" in [debian] of images/{base}.toml"),
        ],
        BuildError::HashNotLocked { .. } | BuildError::ServedNotLocked { .. } => vec![
            "if the lock is right, the index serves other files than it was made from: find out why before going on".to_owned(),
            "if files were added since, lock again with the tool that made the lock".to_owned(),
        ],
        BuildError::Release { keyring, .. } => vec![
            "nothing was pinned: a mirror, or a proxy on the way, changes files or is not what it should be".to_owned(),
            format!("if the suite is signed by newer keys, bring images/{keyring} up to date from a source that you trust"),
        ],
        BuildError::NotAsRecorded { artifact, path } => vec![
            format!("what differs: kiln verify {path}"),
            format!("build it again: kiln build {artifact}"),
        ],
        BuildError::TagTaken { .. } => vec![
            "nothing was sent: whoever uses the tag would get something else".to_owned(),
            "push under another tag with --tag, or move this one with --move-tag".to_owned(),
        ],
        BuildError::Upstream { source, .. } => {
            let mut hints = vec![
                "check `git`, `revision` (a tag, a branch, or all 40 digits of a commit) and `folder` under [[upstream]]".to_owned(),
            ];
            if !matches!(**source, FetchError::NotInRepository { .. }) {
                hints.push("git must reach the repository from here without asking for a login".to_owned());
            }
            hints
        }
        BuildError::UpstreamDiffers { lock, .. } => vec![
            format!("a commit has one content: {lock} was edited, or the repository does not give what it gave before"),
            "nothing was kept; find out which before going on".to_owned(),
        ],
        BuildError::Fetch(FetchError::NoSuchDistribution { .. }) => vec![
            "correct the name where the lock's source has it, and lock again".to_owned(),
            "or name the index that has it: index = \"https://…\" under [python] in kiln.toml, or [[index]] for some names"
                .to_owned(),
        ],
        BuildError::NotAllListed { .. } => vec![
            "which wheel is the best depends on all of them, so kiln would build something else here than elsewhere".to_owned(),
            "use an index that has every file of the lock, or lock again against this one".to_owned(),
        ],
        BuildError::Fetch(FetchError::DigestMismatch { .. } | FetchError::SizeMismatch { .. }) => vec![
            "the server sent other bytes than the lock names: a broken proxy, a mirror out of date, or an attack".to_owned(),
            "nothing was kept; find out which before going on".to_owned(),
        ],
        BuildError::ForeignBase { base, here, .. } => vec![
            format!("lock the base for {here} too, from one state of its source: add it to `platforms` in images/{base}.toml and run: kiln lock --base {base}"),
            "or use an engine that can run the platform".to_owned(),
        ],
        BuildError::BaseDiffers { base, .. } => vec![
            format!("the lock was made by another format version of kiln: pin it again with kiln lock --base {base}"),
        ],
        BuildError::Guest { base, .. } => vec![
            format!("is image.python in images/{base}.toml a Python that runs in this base?"),
        ],
        BuildError::SdistBuild { hints, base, .. } if !hints.is_empty() => {
            let mut hints = hints.clone();
            hints.push(format!("docs/python.md says what a build has in base `{base}`, and what it has not"));
            hints
        }
        BuildError::SdistBuild { .. } => {
            vec!["docs/python.md says what a build has, and what it has not; nothing was published".to_owned()]
        }
        BuildError::Step(failed) => {
            let mut hints = failed.hints.clone();
            hints.push("docs/steps.md says what a step has, and what it has not; nothing was published".to_owned());
            hints
        }
        BuildError::Dockerfile(failed) => {
            let mut hints = failed.hints.clone();
            hints.push("docs/dockerfiles.md says what a Dockerfile has, and what it has not; nothing was published".to_owned());
            hints
        }
        BuildError::StoreDamaged { .. } => vec!["run the command again: they are downloaded or made anew".to_owned()],
        BuildError::Unresolved { only_source, input, .. } if !only_source.is_empty() => only_source
            .iter()
            .map(|name| {
                format!("{name} has no wheel that fits, only a source distribution: to let it be built, name it in `sdists` under [python] (see docs/python.md)")
            })
            .chain([format!("ask for a version that has a wheel, or for something else, in {input}; the lock is as it was")])
            .collect(),
        BuildError::Unresolved { unsatisfiable: true, input, .. } => {
            vec![format!("change what {input} asks for, or the target; the lock is as it was")]
        }
        BuildError::Unresolved { .. } => vec!["the lock is as it was".to_owned()],
        BuildError::Tool { .. } => vec!["name a version that can be used: kiln lock --tools --tool uv==VERSION".to_owned()],
        BuildError::Denied(finding) => finding.remedy.clone(),
        BuildError::Interrupted => vec!["the same command goes on with what is missing".to_owned()],
        BuildError::SourceChanged { .. } => vec!["build again when nothing writes to the source".to_owned()],
        BuildError::Store(kiln_store::StoreError::Locked { .. }) => {
            vec!["KILN_LOCK_WAIT says how many seconds to wait for it".to_owned()]
        }
        _ => Vec::new(),
    };
    hints
}

/// An error with the end of the log of what failed.
fn with_log(error: &BuildError, lines: &[String]) -> String {
    let log = if lines.is_empty() { "" } else { "; the end of its log:" };
    let tail: String = lines.iter().map(|line| format!("\n    {line}")).collect();
    format!("{error}{log}{tail}")
}

/// The first few of a list, one a line.
fn listed(items: impl ExactSizeIterator<Item = impl std::fmt::Display>) -> String {
    const MOST: usize = 8;
    let others = items.len().saturating_sub(MOST);
    let mut text: String = items.take(MOST).map(|item| format!("\n    {item}")).collect();
    if others > 0 {
        text.push_str(&format!("\n    and {others} more"));
    }
    text
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!("\n  because {cause_text}"));
        }
        source = cause.source();
    }
    text
}

fn describe_input(problems: &[InputProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let line = problem.line.map_or_else(String::new, |line| format!(":{line}"));
            let remedy: String = problem.remedy.iter().map(|remedy| format!("\n  help: {remedy}")).collect();
            format!("{}{line}: {}{remedy}", problem.file, problem.message)
        })
        .collect();
    lines.join("\n")
}

/// Shows a problem with the line that it is in.
fn render_problem(problem: &Problem, printer: Printer) -> String {
    // What the renderer adds are its own colours, so none may be in what it is given.
    let (message, file) = (harmless_in_place(&problem.message), harmless_in_place(&problem.file));
    let help = problem.help.as_deref().map(harmless_in_place);
    let (source, span) = match (&problem.text, &problem.span) {
        (Some(source), Some(span)) if source.get(span.clone()).is_some_and(|part| !part.is_empty()) => {
            (harmless_in_place(source), Some(span.clone()))
        }
        _ => (String::new(), None),
    };
    let message = if span.is_some() { message } else { format!("{file}: {message}") };
    let mut report = Level::ERROR.primary_title(message).elements(
        span.map(|span| Snippet::source(source).path(file).annotation(AnnotationKind::Primary.span(span))),
    );
    if let Some(help) = help {
        report = report.element(Level::HELP.message(help));
    }
    let renderer = if printer.stderr_colour { Renderer::styled() } else { Renderer::plain() };
    with_own_colours(renderer.term_width(WIDTH).render(&[report]).trim_end())
}

#[cfg(test)]
mod tests {
    use super::render_problem;
    use crate::args::Colour;
    use crate::printer::Printer;
    use kiln_plan::Problem;
    use std::sync::Arc;

    fn shown(text: &str, part: &str) -> String {
        let start = text.find(part).unwrap();
        let mut problem = Problem::in_file("kiln.toml", "not a format of this kiln");
        problem.help = Some("write \"1\"".to_owned());
        let problem = problem.at(&Arc::from(text), start..start + part.len());
        render_problem(&problem, Printer::new(false, Colour::Never, false, false))
    }

    #[test]
    fn a_place_is_shown_with_its_line() {
        let expected = "error: not a format of this kiln\n --> kiln.toml:2:10\n  |\n2 | format = \"ü\"\n  |          ^^^\n  |\n  = help: write \"1\"";
        assert_eq!(shown("# first\nformat = \"ü\"\n", "\"ü\""), expected);
        // Several lines, up to the end of the file.
        let several = shown("a = 1\nb = [\n  2,\n]", "[\n  2,\n]");
        assert!(several.contains("--> kiln.toml:2:5") && several.contains("4 | | ]"), "{several}");
    }

    #[test]
    fn what_a_file_holds_does_not_act_on_the_terminal() {
        let text = shown("format = \"\u{1b}[31m\u{202e}\r\"\n", "\"\u{1b}[31m\u{202e}\r\"");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{text:?}");
    }

    #[test]
    fn a_place_that_the_text_does_not_have_is_left_out() {
        let text: Arc<str> = Arc::from("a = 1\n");
        for span in [3..3, 4..40, 40..41] {
            let problem = Problem::in_file("kiln.toml", "wrong").at(&text, span);
            let shown = render_problem(&problem, Printer::new(false, Colour::Never, false, false));
            assert_eq!(shown, "error: kiln.toml: wrong");
        }
    }
}
