//! Whether a release is the newest there is, as far as it tells itself: a mirror that holds updates back serves an old one
//! whose signature is as good as ever.

use kiln_image::debian::{Release, parse_date};
use kiln_plan::DebianRelease;
use kiln_record::{Epoch, excerpt};

/// Judges a verified release against the present and against the one that is locked. `frozen` says that the archive is kept
/// as it was on purpose: then nothing is asked.
///
/// # Errors
/// Why it is not taken, in words.
pub(crate) fn judge(
    release: &Release,
    locked: Option<&DebianRelease>,
    now: Epoch,
    frozen: bool,
) -> Result<(), String> {
    if frozen {
        return Ok(());
    }
    let date = release
        .published()
        .ok_or_else(|| format!("its `Date`, `{}`, cannot be read", excerpt(&release.date)))?;
    if let Some(limit) = &release.valid_until {
        let until = release
            .usable_until()
            .ok_or_else(|| format!("its `Valid-Until`, `{}`, cannot be read", excerpt(limit)))?;
        if until < now {
            return Err(format!("it was only valid until {until}"));
        }
    }
    // Another codename is another release, whose dates say nothing about this one's.
    if let Some(locked) = locked.filter(|locked| locked.codename == release.codename)
        && let Some(before) = parse_date(&locked.date)
        && date < before
    {
        return Err(format!("it is of {date}, and the locked one is of {before}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Digest;

    fn release(date: &str, valid_until: Option<&str>) -> Release {
        let limit = valid_until.map(|limit| format!("Valid-Until: {limit}\n")).unwrap_or_default();
        let digest = Digest::of(b"").hex();
        Release::parse(&format!(
            "Suite: stable\nCodename: bookworm\nDate: {date}\n{limit}SHA256:\n {digest} 0 main/binary-amd64/Packages.xz\n"
        ))
        .unwrap()
    }

    fn locked(codename: &str, date: &str) -> DebianRelease {
        DebianRelease {
            codename: codename.to_owned(),
            date: date.to_owned(),
            signed_by: String::new(),
            digest: Digest::of(b""),
        }
    }

    const JULY: &str = "Sat, 11 Jul 2026 10:16:37 UTC";
    const AUGUST: &str = "Sat, 1 Aug 2026 10:16:37 UTC";

    #[test]
    fn an_old_release_is_refused_unless_the_archive_is_frozen() {
        let now: Epoch = "2026-07-20T00:00:00Z".parse().unwrap();
        let later: Epoch = "2026-09-01T00:00:00Z".parse().unwrap();
        let rows = [
            (release(JULY, None), None, later, ""),
            (release(JULY, Some(AUGUST)), None, now, ""),
            (release(JULY, Some(AUGUST)), None, later, "only valid until 2026-08-01"),
            (release(JULY, Some("soon")), None, now, "`Valid-Until`, `soon`, cannot be read"),
            (release("yesterday", None), None, now, "`Date`, `yesterday`, cannot be read"),
            (release(AUGUST, None), Some(locked("bookworm", JULY)), later, ""),
            (release(JULY, None), Some(locked("bookworm", JULY)), later, ""),
            (release(JULY, None), Some(locked("bookworm", AUGUST)), later, "it is of 2026-07-11"),
            (release(JULY, None), Some(locked("bullseye", AUGUST)), later, ""),
        ];
        for (release, locked, now, expect) in rows {
            let told = judge(&release, locked.as_ref(), now, false).err().unwrap_or_default();
            assert_eq!(told.is_empty(), expect.is_empty(), "{told}");
            assert!(told.contains(expect), "{told}");
            assert_eq!(judge(&release, locked.as_ref(), now, true), Ok(()));
        }
    }
}
