//! Advisories, and statements on whether they matter.

use kiln_advisory::{read_advisory, read_openvex, read_vex_file};

/// The longest reason that is told.
const LONGEST: usize = 4_000;

/// A document of OSV: what is taken is short, rated without a panic, and the same each time.
pub fn osv(data: &[u8]) {
    match read_advisory(data) {
        Ok(advisory) => {
            assert!(advisory.id.bytes().all(|c| c.is_ascii_graphic()), "an id is one word");
            let all = advisory.affected.iter().flat_map(|one| &one.ratings).chain(&advisory.ratings);
            for (severity, score) in all.filter_map(|rating| rating.judged()) {
                assert!(score.is_none_or(|tenths| tenths <= 100), "{severity:?} {score:?}");
            }
            assert_eq!(read_advisory(data), Ok(advisory));
        }
        Err(reason) => assert!(reason.len() < LONGEST, "a reason is short"),
    }
}

/// Statements, in both forms that are read: whoever says that something is not affected says why.
pub fn vex(data: &[u8]) {
    let said = match data.first() {
        Some(b'{') => read_openvex("vex.json", data),
        _ => read_vex_file("vex.toml", &String::from_utf8_lossy(data)),
    };
    match said {
        Ok(statements) => {
            for one in &statements {
                let silences = one.status == kiln_advisory::Status::NotAffected;
                assert!(!silences || one.justification.is_some() || one.reason.is_some(), "{one:?}");
            }
        }
        Err(error) => assert!(error.to_string().len() < LONGEST, "a reason is short"),
    }
}
