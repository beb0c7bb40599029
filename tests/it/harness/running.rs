//! A run under way: its containers, signals to it, and its end.

use super::{Outcome, block_on, engine};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often a condition is looked at again.
const INTERVAL: Duration = Duration::from_millis(20);

/// A process that is killed if the test ends before it does.
#[derive(Debug)]
pub(crate) struct Running {
    line: String,
    child: Option<Child>,
    pid: u32,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let line = format!("{command:?}");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        Self { line, pid: child.id(), child: Some(child) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal. A process that has ended already does not mind: it is still to be waited for.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it runs something in a container.
    #[track_caller]
    pub(crate) fn wait_for_container(&mut self) {
        let start = Instant::now();
        while containers_of(self.pid).is_empty() {
            if self.has_ended() || start.elapsed() > PATIENCE {
                panic!("it never ran a container\n{}", self.end());
            }
            std::thread::sleep(INTERVAL);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Outcome {
        if !self.ends_within(PATIENCE) {
            panic!("it does not end\n{}", self.end());
        }
        self.end()
    }

    /// Waits for some time, and tells whether it ended before.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < time {
            if self.has_ended() {
                return true;
            }
            std::thread::sleep(INTERVAL.min(time.saturating_sub(start.elapsed())));
        }
        self.has_ended()
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    fn end(&mut self) -> Outcome {
        let mut child = self.child.take().expect("it ends once");
        let _ = child.kill();
        Outcome::new(self.line.clone(), child.wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The containers that a process made and that still exist, by name.
pub(crate) fn containers_of(pid: u32) -> Vec<String> {
    let all = block_on(async { engine("watch").await.containers().await.unwrap() });
    all.into_iter()
        .filter(|container| container.session.pid == pid)
        .map(|container| container.container)
        .collect()
}
