//! What a panic ends with: the same message and exit code as any other defect.

use crate::failure::Failure;
use crate::printer::Printer;
use kiln_record::Defect;
use std::panic::{self, PanicHookInfo};

/// Has every panic, in whatever thread, told as a defect and end the process. Nothing is cleaned up: what is published gets its name
/// when it is whole, and containers are removed by the next run, as those of a killed one are.
pub(crate) fn tell_as_defects(printer: Printer) {
    panic::set_hook(Box::new(move |info| {
        let failure = Failure::from(defect(info));
        failure.print(printer);
        std::process::exit(failure.exit().number().into());
    }));
}

fn defect(info: &PanicHookInfo<'_>) -> Defect {
    let payload = info.payload();
    let said =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("it stopped without saying why");
    let (file, line) = info.location().map_or(("unknown file", 0), |at| (at.file(), at.line()));
    Defect::at(said, file, line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Colour;
    use kiln_record::exit;
    use std::process::Command;

    /// Set in the process that is to panic.
    const TO_PANIC: &str = "KILN_CLI_TEST_TO_PANIC";

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test asks in which of its two processes it is")]
    fn a_panic_in_any_thread_ends_the_process_as_a_defect() {
        if std::env::var_os(TO_PANIC).is_some() {
            tell_as_defects(Printer::new(false, Colour::Never, false, false));
            let _ = std::thread::spawn(|| panic!("a layer has {} records", 2)).join();
            unreachable!("the process has ended");
        }
        let name = "panics::tests::a_panic_in_any_thread_ends_the_process_as_a_defect";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(TO_PANIC, "1").output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(exit::UNEXPECTED.number().into()), "{said}");
        assert!(said.contains("error: this is a defect in kiln: a layer has 2 records ("), "{said}");
        assert!(said.contains("panics.rs, line ") && said.contains("please report it"), "{said}");
    }
}
