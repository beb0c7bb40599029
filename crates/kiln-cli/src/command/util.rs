//! `kiln util`: what shells and `man` want to know of the command line.

use crate::args::Arguments;
use crate::args::start::{Util, UtilWhat};
use crate::failure::Failure;
use crate::printer::Printer;
use fs_err as fs;
use kiln_record::{Exit, exit};
use kiln_store::write_atomically;
use std::path::Path;

pub(crate) fn run(command: &Util, printer: Printer) -> Result<Exit, Failure> {
    match &command.what {
        UtilWhat::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command_line(), "kiln", &mut script);
            printer.data(&String::from_utf8_lossy(&script));
        }
        UtilWhat::Man { into } => {
            let count = pages(into)?;
            printer.data(&format!("{}: {count} pages written\n", into.display()));
        }
    }
    Ok(exit::SUCCESS)
}

/// Writes a page for kiln, and one for each of its commands.
fn pages(into: &Path) -> Result<usize, Failure> {
    let broken = |error: std::io::Error| Failure::store(error.to_string());
    fs::create_dir_all(into).map_err(broken)?;
    let mut kiln = Arguments::command_line();
    kiln.build();
    let commands = kiln.get_subcommands().filter(|command| command.get_name() != "help").cloned();
    let mut all: Vec<(String, clap::Command)> =
        commands.map(|command| (format!("kiln-{}", command.get_name()), command)).collect();
    all.push(("kiln".to_owned(), kiln));
    for (name, command) in &all {
        let mut page = Vec::new();
        // A leaked name is what clap's builder takes without its feature for owned ones; there is one for each command.
        let command = command.clone().name(&*name.clone().leak());
        clap_mangen::Man::new(command).render(&mut page).map_err(broken)?;
        write_atomically(&into.join(format!("{name}.1")), &page)
            .map_err(|error| Failure::store(error.to_string()))?;
    }
    Ok(all.len())
}
