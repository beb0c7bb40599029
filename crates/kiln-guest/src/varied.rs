//! Programs under other surroundings than usual, to see whether what they make depends on them.

use crate::{GuestError, Program, guest};
use kiln_engine::{GuestPath, RunSpec};
use kiln_invocation::Variation;
use kiln_plan::BaseDefinition;
use serde_json::json;
use std::collections::BTreeSet;

/// Sets what no engine sets, inside of the container, and becomes the program.
const LAUNCHER: &str = include_str!("varied.py");
/// The package of Debian whose library tells programs another date.
pub const FAKETIME: &str = "libfaketime";
/// What a program runs as instead.
const USER: &str = "24567:24568";
/// A home folder that is empty, and that it may write to.
const HOME: &str = "/kiln-other-home";
/// Where inputs are whose folders are to list them in another order.
const ASIDE: &str = "/kiln-aside";
/// Debian's libfaketime, wherever the loader has the libraries of a program, and what it is told: a later year, without the clocks
/// that only measure.
const CLOCK: [(&str, &str); 3] = [
    ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1"),
    ("FAKETIME", "+400d"),
    ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
];
/// Some time in 2001, which no input has otherwise.
const TIME: u64 = 1_000_000_007;

impl Program {
    /// The same program with other surroundings, as far as the base lets it have them: its Python has to be stated, its packages have to
    /// have libfaketime.
    ///
    /// # Errors
    /// If what it is given does not fit.
    pub fn varied(self, variations: &BTreeSet<Variation>, base: &BaseDefinition) -> Result<Self, GuestError> {
        let (python, has_clock) = (base.stated_python(), base.has_package(FAKETIME));
        let home = guest(HOME)?;
        let aside = |number: usize| guest(&format!("{ASIDE}/{number}"));
        let mut moved = Vec::new();
        let mut changed = self.changed(|spec| {
            for variation in variations {
                let env = &mut spec.env;
                match variation {
                    Variation::User => spec.user = USER.to_owned(),
                    Variation::Home => {
                        env.insert("HOME".to_owned(), HOME.to_owned());
                        spec.scratch.push(home.clone());
                    }
                    Variation::Path => {
                        let path = env.entry("PATH".to_owned()).or_default();
                        path.push_str(":/kiln-other-path");
                    }
                    Variation::Zone => drop(env.insert("TZ".to_owned(), "KILN-14".to_owned())),
                    Variation::Locale => {
                        for (name, value) in
                            [("LANG", "et_EE.UTF-8"), ("LANGUAGE", "et"), ("LC_ALL", "POSIX")]
                        {
                            env.insert(name.to_owned(), value.to_owned());
                        }
                    }
                    Variation::InputTimes => spec.surroundings.input_time = TIME,
                    Variation::Cores => spec.surroundings.processors = Some("0".to_owned()),
                    Variation::HostName => spec.surroundings.host_name = "kiln-other-host".to_owned(),
                    Variation::WallClock if has_clock => {
                        env.extend(CLOCK.map(|(name, value)| (name.to_owned(), value.to_owned())));
                    }
                    Variation::WallClock | Variation::Umask | Variation::FileOrder | Variation::Engine => {}
                }
            }
        });
        let Some(python) = python.filter(|_| variations.iter().any(|one| one.needs_python())) else {
            return Ok(changed);
        };
        if variations.contains(&Variation::FileOrder) {
            let mut failed = None;
            changed = changed.changed(|spec| failed = put_aside(spec, &aside, &mut moved).err());
            if let Some(error) = failed {
                return Err(error);
            }
        }
        let umask = variations.contains(&Variation::Umask).then_some("077");
        let asked = json!({ "umask": umask, "folders": moved });
        Ok(changed.changed(|spec| {
            let program = std::mem::take(&mut spec.argv);
            let launcher = [python, "-c", LAUNCHER, &asked.to_string()].map(str::to_owned);
            spec.argv = launcher.into_iter().chain(program).collect();
        }))
    }
}

/// Brings inputs to other places, and has folders in memory where they were: those list in the order in which they were
/// filled. What an output begins with stays.
fn put_aside(
    spec: &mut RunSpec,
    aside: &impl Fn(usize) -> Result<GuestPath, GuestError>,
    moved: &mut Vec<(String, String)>,
) -> Result<(), GuestError> {
    for (number, input) in spec.inputs.iter_mut().enumerate() {
        if spec.outputs.iter().any(|output| output.path == input.path) {
            continue;
        }
        let place = aside(number)?;
        moved.push((place.to_string(), input.path.to_string()));
        spec.scratch.push(std::mem::replace(&mut input.path, place));
    }
    Ok(())
}
