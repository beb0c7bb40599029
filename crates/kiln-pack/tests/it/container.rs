//! Two containers around the same content: each field that differs is named, and no other.

use kiln_pack::{FieldDifference, Limits, tar_differences, zip_differences};
use std::io::{Cursor, Write as _};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime};

type Member = (&'static str, SimpleFileOptions);

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::from_date_and_time(2026, 1, 2, 3, 4, 6).unwrap())
        .unix_permissions(0o644)
}

fn zip_of(members: &[Member]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, options) in members {
        if name.ends_with('/') {
            zip.add_directory(*name, *options).unwrap();
        } else {
            zip.start_file(*name, *options).unwrap();
            zip.write_all("content ".repeat(20).as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn zips(before: &[Member], after: &[Member]) -> Vec<FieldDifference> {
    zip_differences(Cursor::new(zip_of(before)), Cursor::new(zip_of(after)), &Limits::default()).unwrap()
}

fn fields(found: &[FieldDifference]) -> Vec<&str> {
    found.iter().map(|one| one.field).collect()
}

#[test]
fn each_field_of_a_zip_is_named_and_no_other() {
    let plain = [("a", options()), ("b", options())];
    assert_eq!(zips(&plain, &plain), []);

    let later = options().last_modified_time(DateTime::from_date_and_time(2026, 1, 2, 3, 4, 8).unwrap());
    let found = zips(&plain, &[("a", later), ("b", later)]);
    assert_eq!(
        found,
        [FieldDifference {
            field: "time",
            members: 2,
            example: Some("a".to_owned()),
            before: "2026-01-02 03:04:06".to_owned(),
            after: "2026-01-02 03:04:08".to_owned(),
        }]
    );

    assert_eq!(fields(&zips(&plain, &[("b", options()), ("a", options())])), ["order"]);
    let stored = options().compression_method(CompressionMethod::Stored);
    let found = zips(&plain, &[("a", stored), ("b", options())]);
    assert!(
        fields(&found).contains(&"compression") && !fields(&found).contains(&"compressed size"),
        "{found:?}"
    );
    assert_eq!((found[0].members, found[0].after.as_str()), (1, "stored"));
    let found = zips(&plain, &[("a", options().unix_permissions(0o664)), ("b", options())]);
    assert_eq!((fields(&found), found[0].after.as_str()), (vec!["permissions"], "100664"));
    assert_eq!(
        fields(&zips(&plain, &[("c/", options()), ("a", options()), ("b", options())])),
        ["entries of folders"]
    );
}

#[test]
fn each_field_of_a_tar_is_named_and_no_other() {
    let tar_of = |change: &dyn Fn(&mut tar::Header)| {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["a", "b"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            header.set_mtime(5);
            change(&mut header);
            builder.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let plain = tar_of(&|_| {});
    let found = |change: &dyn Fn(&mut tar::Header)| {
        tar_differences(plain.as_slice(), tar_of(change).as_slice(), &Limits::default()).unwrap()
    };
    assert_eq!(found(&|_| {}), []);
    assert_eq!(fields(&found(&|header| header.set_mtime(6))), ["time"]);
    assert_eq!(fields(&found(&|header| header.set_mode(0o4755))), ["mode"]);
    assert_eq!(fields(&found(&|header| header.set_uid(7))), ["owner"]);
    assert_eq!(fields(&found(&|header| header.set_username("me").unwrap())), ["name of the owner"]);
    assert!(tar_differences(plain.as_slice(), &b"no tar"[..], &Limits::default()).is_err());
}
