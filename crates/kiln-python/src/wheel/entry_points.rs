//! Entry points: the commands that an installer writes for a distribution.

use kiln_record::excerpt;
use std::collections::BTreeMap;

/// The interpreter line of every script in an artifact. `pip` writes the absolute path of the interpreter
/// that runs it, which says where the build happened and seldom exists where the artifact runs.
pub(crate) const SHEBANG: &str = "#!/usr/bin/env python3";

/// The most commands that a distribution may declare; the largest on the public index have some hundreds.
const MOST_COMMANDS: usize = 10_000;

/// A command declared in `entry_points.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The script's file name.
    pub(crate) name: String,
    /// The module to import, dotted.
    pub(crate) module: String,
    /// What to call in it, dotted.
    pub(crate) function: String,
}

/// Reads the `console_scripts` and `gui_scripts` of `entry_points.txt` by name, the last of equal names winning.
///
/// # Errors
/// More than 10,000 commands, or the offending line with the reason: a command without `module:function`, a name that is no file name, or
/// words that are no Python names (they would become code in the script).
pub(crate) fn parse_commands(text: &str) -> Result<BTreeMap<String, Command>, String> {
    let mut commands = BTreeMap::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            wanted = matches!(section.trim(), "console_scripts" | "gui_scripts");
        } else if wanted {
            let command =
                parse_command(line).map_err(|reason| format!("entry point `{}` {reason}", excerpt(line)))?;
            commands.insert(command.name.clone(), command);
            if commands.len() > MOST_COMMANDS {
                return Err(format!("it declares more than {MOST_COMMANDS} commands"));
            }
        }
    }
    Ok(commands)
}

fn parse_command(line: &str) -> Result<Command, &'static str> {
    let (name, value) = line.split_once('=').ok_or("has no `=`")?;
    let name = name.trim();
    // Extras after the reference are obsolete; installers pass over them.
    let reference = value.split('[').next().unwrap_or_default();
    let (module, function) = reference.split_once(':').ok_or("names no function after a `:`")?;
    let (module, function) = (module.trim(), function.trim());
    if !is_dotted_name(module) || !is_dotted_name(function) {
        return Err("is not `module:function` made of Python names");
    }
    let file_name =
        name.chars().all(|c| c.is_alphanumeric() || "-_.+ ".contains(c)) && !name.starts_with('.');
    if name.is_empty() || !file_name {
        return Err("has a name that cannot be a script's file name");
    }
    Ok(Command { name: name.to_owned(), module: module.to_owned(), function: function.to_owned() })
}

fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The script for a command: the text that `pip` writes through distlib (the versions in Debian 12 and 13),
/// with [`SHEBANG`] as its first line.
pub(crate) fn command_script(command: &Command) -> String {
    let Command { module, function, .. } = command;
    let import = function.split('.').next().unwrap_or_default();
    format!(
        "{SHEBANG}\n# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom {module} import {import}\n\
         if __name__ == '__main__':\n    \
         sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    sys.exit({function}())\n"
    )
}

/// Replaces a first line that starts with `#!python`, as the binary distribution format asks; `None` if there
/// is none.
pub(crate) fn rewrite_shebang(script: &[u8]) -> Option<Vec<u8>> {
    if !script.starts_with(b"#!python") {
        return None;
    }
    let rest = script.iter().position(|c| *c == b'\n').map_or(&[][..], |end| &script[end + 1..]);
    let mut rewritten = Vec::with_capacity(SHEBANG.len() + 1 + rest.len());
    rewritten.extend_from_slice(SHEBANG.as_bytes());
    rewritten.push(b'\n');
    rewritten.extend_from_slice(rest);
    Some(rewritten)
}

/// Whether a script in `.data/scripts` is a wrapper that setuptools made for one of the commands. `pip`
/// leaves these out, because it writes its own.
pub(crate) fn is_wrapper(file_name: &str, commands: &BTreeMap<String, Command>) -> bool {
    let lower = file_name.to_lowercase();
    let cut =
        [".exe", "-script.py", ".pya"].iter().find(|suffix| lower.ends_with(*suffix)).map_or(0, |s| s.len());
    let name = file_name.len().checked_sub(cut).and_then(|end| file_name.get(..end)).unwrap_or(file_name);
    commands.contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_written() {
        let commands = parse_commands(
            "# c\n[console_scripts]\nrun = pkg.cli:App.main [extra]\n[other]\nx = y\n[gui_scripts]\nwin=pkg:gui\n",
        )
        .unwrap();
        let names: Vec<&String> = commands.keys().collect();
        assert_eq!(names, ["run", "win"]);
        assert_eq!(
            command_script(&commands["run"]),
            "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\nimport re\nimport sys\nfrom pkg.cli import App\n\
             if __name__ == '__main__':\n    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])\n    \
             sys.exit(App.main())\n"
        );
    }

    #[test]
    fn nothing_but_names_becomes_code_or_a_path() {
        for bad in
            ["a = b", "a", "../a = b:c", "a/b = c:d", " = b:c", "a = b:c; import os", "a = b:(c)", "a = 1:b"]
        {
            let text = format!("[console_scripts]\n{bad}\n");
            assert!(parse_commands(&text).is_err(), "{bad}");
        }
        assert_eq!(parse_commands("[console_scripts]\n; a = b\n[x]\na = /\n"), Ok(BTreeMap::new()));
    }

    #[test]
    fn commands_are_bounded() {
        let lines = |count: usize| -> String {
            (0..count).map(|n| format!("c{n} = a:b\n")).fold("[console_scripts]\n".to_owned(), |a, b| a + &b)
        };
        assert_eq!(parse_commands(&lines(MOST_COMMANDS)).unwrap().len(), MOST_COMMANDS);
        assert!(parse_commands(&lines(MOST_COMMANDS + 1)).unwrap_err().contains("10000 commands"));
        let repeated = "[console_scripts]\n".to_owned() + &"a = b:c\n".repeat(100_000) + "a = b:d\n";
        assert_eq!(parse_commands(&repeated).unwrap()["a"].function, "d", "the last of equal names wins");
        let long = format!("[console_scripts]\n{}\n", "x".repeat(1 << 20));
        assert!(parse_commands(&long).unwrap_err().len() < 1_000);
    }

    #[test]
    fn shebangs() {
        assert_eq!(rewrite_shebang(b"#!pythonw -E\r\nx\n").unwrap(), b"#!/usr/bin/env python3\nx\n");
        assert_eq!(rewrite_shebang(b"#!python").unwrap(), b"#!/usr/bin/env python3\n");
        assert_eq!(rewrite_shebang(b"#!/bin/sh\n"), None);
        assert_eq!(rewrite_shebang(b"\x7fELF"), None);
    }

    #[test]
    fn wrappers() {
        let commands = parse_commands("[console_scripts]\nrun = a:b\n").unwrap();
        for name in ["run", "run.exe", "run-script.py", "run.EXE"] {
            assert!(is_wrapper(name, &commands), "{name}");
        }
        assert!(!is_wrapper("run.py", &commands));
        assert!(!is_wrapper("é.exe", &commands));
    }
}
