//! The applets of busybox that the contract uses, as far as it uses them.

use crate::guest::Guest;
use std::time::Duration;

/// `busybox APPLET ARGUMENT…`
pub(crate) fn run(guest: &mut Guest) -> i64 {
    let argv = guest.argv().to_vec();
    let arguments: Vec<&str> = argv.iter().skip(2).map(String::as_str).collect();
    let Some(applet) = argv.get(1) else { return 0 };
    match (applet.as_str(), arguments.as_slice()) {
        ("true", _) => 0,
        ("false", _) => 1,
        ("echo", words) => say(guest, &words.join(" ")),
        ("pwd", _) => {
            let folder = guest.working_dir().to_owned();
            say(guest, &folder)
        }
        ("hostname", _) => say(guest, "kiln"),
        ("id", ["-u"]) => say(guest, &guest.user.uid.to_string()),
        ("id", ["-g"]) => say(guest, &guest.user.gid.to_string()),
        ("env", []) => {
            let lines: String = guest.env().iter().map(|(key, value)| format!("{key}={value}\n")).collect();
            guest.write_stdout(lines.as_bytes());
            0
        }
        ("seq", [last]) => seq(guest, last),
        ("sleep", [seconds]) => match seconds.parse().map(Duration::try_from_secs_f64) {
            Ok(Ok(time)) => {
                guest.sleep(time);
                0
            }
            _ => complain(guest, "sleep", seconds, "invalid number"),
        },
        ("cat", paths) => each(guest, paths, |guest, path| match guest.read(path) {
            Ok(bytes) => {
                guest.write_stdout(&bytes);
                0
            }
            Err(why) => complain(guest, "cat", path, &why),
        }),
        ("ls", paths) => each(guest, paths, |guest, path| match guest.list(path) {
            Ok(names) => names.iter().fold(0, |_, name| say(guest, name)),
            Err(why) => complain(guest, "ls", path, &why),
        }),
        ("touch", paths) => each(guest, paths, |guest, path| {
            let bytes = guest.read(path).unwrap_or_default();
            match guest.write(path, &bytes) {
                Ok(()) => 0,
                Err(why) => complain(guest, "touch", path, &why),
            }
        }),
        ("cp", [from, to]) => match guest.read(from).and_then(|bytes| guest.write(to, &bytes)) {
            Ok(()) => 0,
            Err(why) => complain(guest, "cp", to, &why),
        },
        ("stat", ["-c", "%a %u %g %n", paths @ ..]) => {
            each(guest, paths, |guest, path| stat(guest, path, true))
        }
        ("stat", ["-c", "%a %n", paths @ ..]) => each(guest, paths, |guest, path| stat(guest, path, false)),
        ("dd", arguments) => dd(guest, arguments),
        (applet, _) => complain(guest, applet, "", "applet not found"),
    }
}

fn say(guest: &mut Guest, text: &str) -> i64 {
    guest.write_stdout(format!("{text}\n").as_bytes());
    0
}

fn complain(guest: &mut Guest, applet: &str, path: &str, why: &str) -> i64 {
    guest.write_stderr(format!("{applet}: {path}: {why}\n").as_bytes());
    1
}

fn each(guest: &mut Guest, paths: &[&str], applet: impl Fn(&mut Guest, &str) -> i64) -> i64 {
    paths.iter().fold(0, |code, path| code.max(applet(guest, path)))
}

fn seq(guest: &mut Guest, last: &str) -> i64 {
    let Ok(last) = last.parse::<u64>() else { return complain(guest, "seq", last, "invalid number") };
    for start in (1..=last).step_by(4096) {
        let lines: String = (start..=last.min(start + 4095)).map(|n| format!("{n}\n")).collect();
        guest.write_stdout(lines.as_bytes());
        if guest.is_past_limit() {
            break;
        }
    }
    0
}

fn stat(guest: &mut Guest, path: &str, with_owner: bool) -> i64 {
    match guest.files.find(path, guest.working_dir()) {
        Ok((_, node)) => {
            let owner = if with_owner { format!("{} {} ", node.uid, node.gid) } else { String::new() };
            let line = format!("{:o} {owner}{path}", node.mode);
            say(guest, &line)
        }
        Err(fault) => complain(guest, "stat", path, &fault.to_string()),
    }
}

/// Only what it needs to run out of memory: one block of `bs` MiB from `/dev/zero`.
fn dd(guest: &mut Guest, arguments: &[&str]) -> i64 {
    let block = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("bs=")?.strip_suffix('M')?.parse::<u64>().ok());
    let Some(block) = block else { return complain(guest, "dd", "bs", "invalid number") };
    guest.oom_killed = block.saturating_mul(1 << 20) > guest.limits.memory_bytes;
    0
}
