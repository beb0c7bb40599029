//! Questions whose answers are remembered: a program, with all that it is given.
//!
//! The key of an answer is a digest of everything that the program is given and that its answer can depend on, by what it is and not by where it is: the
//! image, the trees, the arguments with the program's own text among them, variables, user, limits, surroundings, and
//! the code of this kiln that runs it. What a program can see besides is the kernel, the processor and the clock; for
//! the last an answer stands for a day. Who asks decides which answers are worth remembering, and holds one that was
//! remembered against what was asked as it holds one that was just given.

use crate::input::Given;
use crate::{Bases, GuestError, Program, Ran};
use kiln_engine::{InputTree, Limits, RunSpec};
use kiln_record::{Digest, Epoch, digest_of_value};
use kiln_store::Memo;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long an answer stands, in seconds: what is imported may look at the clock.
const STANDS: u64 = 24 * 3600;

/// A program in a base or an image, and the trees that it is to be given.
#[derive(Debug)]
pub struct Question {
    program: Program,
    given: Vec<Given>,
    key: Option<AnswerKey>,
}

/// A question whose program has all that it is given.
#[derive(Debug)]
#[must_use = "it is asked by `ask`"]
pub struct ReadyQuestion {
    program: Program,
    key: Option<AnswerKey>,
}

/// By what an answer is remembered, beside what its program is not held to: that is known for sure once it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerKey(Digest);

/// What a program wrote to standard output, before it ended with success.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    at: Epoch,
    stdout: String,
}

impl Memo for Answer {
    const KIND: &'static str = "answer";

    fn content(&self) -> Vec<Digest> {
        Vec::new()
    }
}

/// That all that an artifact of some plan is asked was answered.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    at: Epoch,
}

impl Memo for Asked {
    const KIND: &'static str = "asked";

    fn content(&self) -> Vec<Digest> {
        Vec::new()
    }
}

/// Remembers that all that an artifact of a plan is asked was answered, and is remembered.
///
/// # Errors
/// If the store cannot be written to.
pub fn note_asked(bases: &Bases, plan: &Digest) -> Result<(), GuestError> {
    Ok(bases.store().remember(plan, &Asked { at: bases.run().now() })?)
}

/// Whether it can be expected that no program has to be asked anything of an artifact of a plan. What is remembered is looked
/// up all the same: nothing follows from this but whether it is worth to have an engine ready.
///
/// # Errors
/// If the store cannot be read.
pub fn was_asked(bases: &Bases, plan: &Digest) -> Result<bool, GuestError> {
    if !bases.run().recalls() {
        return Ok(false);
    }
    let asked = bases.store().recall::<Asked>(plan)?;
    Ok(asked.is_some_and(|asked| stands(asked.at, bases.run().now())))
}

/// Whether what was answered at one time is an answer at another. One from a time to come tells of a clock that was wrong.
fn stands(at: Epoch, now: Epoch) -> bool {
    now.seconds().checked_sub(at.seconds()).is_some_and(|age| age < STANDS)
}

impl Question {
    /// A question to a program that has no trees yet. `image` says what it runs in, whatever engines call that.
    ///
    /// # Errors
    /// A defect alone.
    pub fn new(
        bases: &Bases,
        image: &Digest,
        program: Program,
        given: Vec<Given>,
    ) -> Result<Self, GuestError> {
        let rules = bases.run().rules();
        let trees: Option<Vec<_>> =
            given.iter().map(|given| Some((given.place(), given.digest()?))).collect();
        let key = match (trees, program.decided_by()) {
            // Under other surroundings, which a trial has, nothing is remembered.
            (Some(trees), Some(decided)) if bases.run().variations().is_empty() => {
                let all = (rules.makers, rules.judges, image, trees, decided);
                Some(AnswerKey(digest_of_value(&all)?))
            }
            _ => None,
        };
        Ok(Self { program, given, key })
    }

    /// By what its answer is remembered; none if it is asked each time.
    #[must_use]
    pub fn key(&self) -> Option<AnswerKey> {
        self.key
    }

    /// Brings the trees to where the program runs: in an image of the engine.
    ///
    /// # Errors
    /// If a tree cannot be brought.
    pub async fn bring(self, bases: &Bases, image: &str) -> Result<ReadyQuestion, GuestError> {
        let mut inputs = Vec::new();
        for given in self.given {
            inputs.push(given.bring(bases, image).await?);
        }
        let program = self.program.inputs(inputs).changed(|spec| image.clone_into(&mut spec.image));
        Ok(ReadyQuestion { program, key: self.key })
    }
}

impl ReadyQuestion {
    /// By what its answer is remembered; none if it is asked each time.
    #[must_use]
    pub fn key(&self) -> Option<AnswerKey> {
        self.key
    }

    /// Gives it what no answer depends on, and that is in no key.
    pub fn aided(mut self, aid: Option<InputTree>) -> Self {
        self.program = self.program.inputs(aid);
        self
    }

    /// Runs the program.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub async fn ask(self, bases: &Bases, subject: &str) -> Result<Ran, GuestError> {
        self.program.run(bases.engine().await?, bases.run().events(), subject).await
    }
}

impl AnswerKey {
    /// The answer of an earlier run, unless the run is one that asks again.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn recall(self, bases: &Bases) -> Result<Option<Vec<u8>>, GuestError> {
        if !bases.run().recalls() {
            return Ok(None);
        }
        let answer = bases.store().recall::<Answer>(&self.of(bases)?)?;
        let now = bases.run().now();
        Ok(answer.filter(|answer| stands(answer.at, now)).map(|answer| answer.stdout.into_bytes()))
    }

    /// Remembers an answer that was just given.
    ///
    /// # Errors
    /// If the store cannot be written to.
    pub fn remember(self, bases: &Bases, stdout: Vec<u8>) -> Result<(), GuestError> {
        let Ok(stdout) = String::from_utf8(stdout) else { return Ok(()) };
        Ok(bases.store().remember(&self.of(bases)?, &Answer { at: bases.run().now(), stdout })?)
    }

    /// The key of what is remembered, as far as is known what programs are held to.
    fn of(self, bases: &Bases) -> Result<Digest, GuestError> {
        Ok(digest_of_value(&(self.0, bases.unkept_names()))?)
    }
}

impl Program {
    /// All that decides what it answers, but for its image and its trees; none where it has some of these already, or
    /// leaves files.
    fn decided_by(&self) -> Option<serde_json::Value> {
        let RunSpec {
            // A label for people, which it does not see.
            name: _,
            image: _,
            // That it is heard.
            reports: _,
            argv,
            env,
            working_dir,
            user,
            supervised,
            inputs,
            outputs,
            scratch,
            shared_memory,
            limits,
            surroundings,
        } = self.spec();
        let Limits {
            memory_bytes,
            scratch_bytes,
            descriptors,
            pids,
            cpus,
            output_bytes,
            output_files,
            deadline,
        } = limits;
        let scratch: Vec<&str> = scratch.iter().map(kiln_engine::GuestPath::as_str).collect();
        (inputs.is_empty() && outputs.is_empty()).then(|| {
            json!({
                "argv": argv,
                "env": env,
                "working_dir": working_dir,
                "user": user,
                "supervised": supervised,
                "scratch": scratch,
                "shared_memory": shared_memory,
                "memory_bytes": memory_bytes,
                "scratch_bytes": scratch_bytes,
                "descriptors": descriptors,
                "pids": pids,
                "cpus": cpus.map(f64::to_bits),
                "output_bytes": output_bytes,
                "output_files": output_files,
                "deadline": deadline.as_millis().to_string(),
                "host_name": surroundings.host_name,
                "processors": surroundings.processors,
                "input_time": surroundings.input_time,
            })
        })
    }
}
