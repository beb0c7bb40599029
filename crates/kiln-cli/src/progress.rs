//! Progress: bars on a terminal, plain lines elsewhere.

use crate::printer::{Printer, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kiln_audit::format_size;
use kiln_engine::Stream;
use kiln_invocation::{Ending, Event, Events, Stage};
use kiln_record::ArtifactName;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a log may be silent before it is told what is at work: CI systems end jobs that say nothing, and people do.
const SILENCE: Duration = Duration::from_secs(30);

/// Shows events until it is dropped.
pub(crate) struct Progress {
    state: Arc<Mutex<State>>,
    /// Ends the thread that breaks silences, when it goes.
    _pulse: Option<Sender<()>>,
}

struct State {
    printer: Printer,
    bars: MultiProgress,
    overall: Option<ProgressBar>,
    /// Those that are worked at. What waits has no line: there may be a thousand.
    artifacts: BTreeMap<ArtifactName, Working>,
    /// When a line was last said.
    said: Cell<Instant>,
    bases: BTreeMap<String, &'static str>,
    downloads: Option<ProgressBar>,
    files: BTreeMap<String, u64>,
    /// Whether what a function prints is shown.
    shows_lines: bool,
}

/// An artifact that is worked at.
struct Working {
    bar: ProgressBar,
    stage: &'static str,
    since: Instant,
}

impl Progress {
    pub(crate) fn new(printer: Printer) -> Self {
        let target =
            if printer.live { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let state = State {
            printer,
            bars: MultiProgress::with_draw_target(target),
            overall: None,
            artifacts: BTreeMap::new(),
            said: Cell::new(Instant::now()),
            bases: BTreeMap::new(),
            downloads: None,
            files: BTreeMap::new(),
            shows_lines: false,
        };
        let state = Arc::new(Mutex::new(state));
        let _pulse = (!printer.live).then(|| pulse(&state));
        Self { state, _pulse }
    }

    /// Of a function that is run for somebody: what it prints is shown as it comes.
    pub(crate) fn of_function(printer: Printer) -> Self {
        let progress = Self::new(printer);
        progress.state.lock().unwrap_or_else(PoisonError::into_inner).shows_lines = true;
        progress
    }

    /// Where to send events.
    pub(crate) fn events(&self) -> Events {
        let state = Arc::clone(&self.state);
        Events::new(move |event| state.lock().unwrap_or_else(PoisonError::into_inner).show(event))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let _ = self.state.lock().unwrap_or_else(PoisonError::into_inner).bars.clear();
    }
}

impl State {
    fn show(&mut self, event: Event) {
        match event {
            Event::Started { artifacts } => {
                let bar = self.bars.add(ProgressBar::new(artifacts as u64));
                bar.set_style(style("{bar:16} {pos}/{len} artifacts{msg}  {elapsed}"));
                if self.printer.live {
                    bar.enable_steady_tick(Duration::from_millis(500));
                }
                self.overall = Some(bar);
            }
            Event::WaitingForLock { holder } => {
                let process = holder.map_or_else(String::new, |pid| format!(" (process {pid})"));
                self.say(&format!("waiting for another kiln in this workspace{process}"));
            }
            Event::Base { base, activity } => {
                if self.bases.insert(base.to_string(), activity) != Some(activity) {
                    self.say(&format!("{:>9}  base {base}", activity));
                }
            }
            Event::Locking { subject, activity } => self.say(&format!("{activity:>9}  {subject}")),
            Event::Moving { file, moves, bytes } => {
                let bytes = bytes.map_or_else(
                    || "how much is to bring is not known".to_owned(),
                    |bytes| format!("{} to bring", format_size(bytes)),
                );
                self.say(&format!("{:>9}  {file}: {} to move, {bytes}", "change", moves.len()));
                moves.iter().for_each(|line| self.say(&format!("{:>9}    {line}", "")));
            }
            Event::DownloadStarted { file, size } => {
                self.transfer_started("download", file, size.unwrap_or_default());
            }
            Event::UploadStarted { file, size } => self.transfer_started("upload", file, size),
            Event::Downloaded { file, bytes } => {
                if let Some(bar) = &self.downloads {
                    bar.inc(bytes);
                }
                if let Some(left) = self.files.get_mut(&file) {
                    *left = left.saturating_sub(bytes);
                }
            }
            Event::DownloadEnded { file } => {
                self.files.remove(&file);
                if self.files.is_empty()
                    && let Some(bar) = self.downloads.take()
                {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
            }
            Event::Stage { artifact, stage: Stage::Wait } => {
                self.left(&artifact);
                self.tell_waiting();
            }
            Event::Stage { artifact, stage } => {
                let (stage, since) = (stage.as_str(), Instant::now());
                let bar = match self.artifacts.get(&artifact) {
                    Some(working) => working.bar.clone(),
                    None => {
                        let bar = self.placed(ProgressBar::no_length());
                        bar.set_style(style("{spinner} {prefix:32} {msg}"));
                        bar.set_prefix(artifact.to_string());
                        if self.printer.live {
                            bar.enable_steady_tick(Duration::from_millis(120));
                        }
                        bar
                    }
                };
                bar.set_message(stage);
                self.artifacts.insert(artifact, Working { bar, stage, since });
                self.tell_waiting();
            }
            Event::SdistBuild { file, again } => {
                self.say(&format!("{:>9}  {file}{}", "build", if again { ", again" } else { "" }));
            }
            Event::Step { artifact, step, again } => {
                self.say(&format!("{:>9}  {artifact} {step}{}", "step", if again { ", again" } else { "" }));
            }
            Event::Measured { artifact, note } => {
                let word = self.printer.on_stderr(Style::Warn, &format!("{:>9}", "measured"));
                self.say(&format!("{word}  {artifact} {note}"));
            }
            Event::Told { artifact, what, from } => {
                self.say(&format!("{:>9}  {artifact} {what}, by the word of {from}", "told"));
            }
            Event::CacheLost { why, still_read } => {
                let word = self.printer.on_stderr(Style::Warn, &format!("{:>9}", "warning"));
                let then = if still_read { "nothing more is sent to it" } else { "everything is made here" };
                self.say(&format!("{word}  {why}; {then}"));
            }
            Event::AskedAgain { address, why, again, of } => {
                let word = self.printer.on_stderr(Style::Warn, &format!("{:>9}", "waiting"));
                self.say(&format!(
                    "{word}  {address} does not answer, asking again ({again} of {of}): {why}"
                ));
            }
            Event::BegunAgain { program, why, again, of } => {
                let word = self.printer.on_stderr(Style::Warn, &format!("{:>9}", "again"));
                self.say(&format!("{word}  {program} {why}; it is begun again ({again} of {of} at most)"));
            }
            Event::Line { stream: Stream::Stderr, text, .. } if self.shows_lines => self.say(&text),
            Event::Line { .. } => {}
            Event::Ended { artifact, ending } => self.ended(&artifact, &ending),
        }
    }

    fn transfer_started(&mut self, word: &str, file: String, size: u64) {
        if let Some(bar) = &self.downloads {
            bar.inc_length(size);
        } else {
            let bar = self.placed(ProgressBar::new(size));
            bar.set_style(style(&format!("  {word} {{bar:24}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}}")));
            self.downloads = Some(bar);
        }
        if !self.printer.live && !self.files.contains_key(&file) {
            self.say(&format!("{word:>9}  {file}"));
        }
        self.files.insert(file, size);
    }

    /// Puts a bar above that of the whole. What is set of it before would be drawn beside all others.
    fn placed(&self, bar: ProgressBar) -> ProgressBar {
        match &self.overall {
            Some(overall) => self.bars.insert_before(overall, bar),
            None => self.bars.add(bar),
        }
    }

    /// Nobody works at an artifact any more, or for now.
    fn left(&mut self, artifact: &ArtifactName) {
        if let Some(Working { bar, .. }) = self.artifacts.remove(artifact) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
    }

    /// How many artifacts are neither done nor worked at.
    fn waiting(&self) -> u64 {
        let left = |bar: &ProgressBar| bar.length().unwrap_or_default().saturating_sub(bar.position());
        self.overall.as_ref().map_or(0, left).saturating_sub(self.artifacts.len() as u64)
    }

    fn tell_waiting(&self) {
        if let Some(overall) = &self.overall
            && self.printer.live
        {
            let waiting = self.waiting();
            overall.set_message(if waiting == 0 { String::new() } else { format!(", {waiting} waiting") });
        }
    }

    fn ended(&mut self, artifact: &ArtifactName, ending: &Ending) {
        self.left(artifact);
        if let Some(overall) = &self.overall {
            overall.inc(1);
        }
        self.tell_waiting();
        // On a terminal the table at the end says it; a log tells when each one was done.
        if self.printer.live {
            return;
        }
        let (style, word) = match ending {
            Ending::Unchanged => (Style::Faint, "unchanged"),
            Ending::Published => (Style::Good, "published"),
            Ending::Denied => (Style::Bad, "denied"),
            Ending::Failed => (Style::Bad, "failed"),
            Ending::Skipped => (Style::Warn, "skipped"),
        };
        let word = self.printer.on_stderr(style, &format!("{word:>9}"));
        self.say(&format!("{word}  {artifact}"));
    }

    /// Says what is at work, where nothing was said for a while.
    fn break_silence(&self) {
        if self.artifacts.is_empty() || self.said.get().elapsed() < SILENCE {
            return;
        }
        let mut working: Vec<String> = self
            .artifacts
            .iter()
            .map(|(name, working)| {
                format!("{name} {} ({} s)", working.stage, working.since.elapsed().as_secs())
            })
            .collect();
        let waiting = self.waiting();
        if waiting > 0 {
            working.push(format!("{waiting} waiting"));
        }
        self.say(&format!("{:>9}  {}", "working", working.join(", ")));
    }

    fn say(&self, line: &str) {
        self.said.set(Instant::now());
        self.bars.suspend(|| self.printer.talk(line));
    }
}

/// Breaks silences until what it gives is dropped.
fn pulse(state: &Arc<Mutex<State>>) -> Sender<()> {
    let (ends, ended) = channel();
    let state = Arc::clone(state);
    // Not without a thread, and no worse: then nothing is told between two lines.
    let _ = std::thread::Builder::new().name("pulse".to_owned()).spawn(move || {
        while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            state.lock().unwrap_or_else(PoisonError::into_inner).break_silence();
        }
    });
    ends
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
