//! rpm's database of installed packages, in the three forms that it has had: Berkeley DB (until rpm 4.15, Amazon Linux 2),
//! SQLite (since 4.16, Amazon Linux 2023) and ndb (SUSE).
//!
//! Each form is a container of header blobs, one for each package (`rpm/docs/manual/format_header.md`). Only what kiln needs
//! is read, nothing is written, and no query language is there: a few hundred lines that bound every length, where SQLite's
//! own library would be the largest thing in the binary and reads one of the three. Every function here is total: any bytes
//! give headers or a reason.

mod berkeley;
mod header;
mod installed;
mod ndb;
mod numbers;
mod sqlite;

pub(crate) use installed::{installed_packages, is_database};

#[cfg(test)]
mod tests;
