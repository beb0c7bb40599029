//! `docs/reports.md`: the form that code scanning takes, an error for a program, and pages for a browser.

use crate::harness::page::{Walk, blocks, text};
use crate::harness::{LocalIndex, Sandbox, validate_sarif, wheel};
use kiln_record::exit;
use serde_json::Value;

const PAGE: &str = "docs/reports.md";
const CODE: &str = "import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n";

#[test]
fn each_form_is_written_to_where_its_reader_looks() {
    let alphas = ["1.0", "1.1"].map(|version| {
        wheel(
            "alpha",
            version,
            "py3-none-any",
            &[],
            &[("alpha.py", format!("VALUE = {version}\n").as_bytes())],
        )
    });
    let index = LocalIndex::serve(&alphas);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("shop", "3.13", CODE, &alphas[0].requirement(""));
    sandbox.kiln().run(["build", "shop"]).ends_with(exit::SUCCESS);
    sandbox.function("shop", "3.13", CODE, &alphas[1].requirement(""));

    let mut walk = Walk::of(PAGE, &[]);
    let written = |path: &str| String::from_utf8(sandbox.read(path)).unwrap();
    walk.next(&sandbox.kiln());
    validate_sarif(&written("kiln.sarif"));
    let [change, shop, site] = walk.take(&sandbox.kiln());
    assert_eq!((change.stdout.as_str(), shop.stdout.as_str()), ("", ""), "they are in files");
    site.prints(&["site/index.html"]);
    let pages = [
        ("change.html", &["alpha", "1.0", "1.1"][..]),
        ("shop.html", &["alpha", "1.1"]),
        ("site/index.html", &["shop"]),
        ("site/shop.html", &["alpha", "1.1"]),
    ];
    for (path, parts) in pages {
        let page = written(path);
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("</html>"), "{path}");
        parts.iter().for_each(|part| assert!(page.contains(part), "{path} has {part}"));
    }
}

/// The document that the page shows is the one that comes of the mistake that it is about.
#[test]
fn an_error_is_the_document_of_the_page() {
    let page = text(PAGE);
    let (_, shown) = blocks(&page).into_iter().find(|(language, _)| *language == "json").unwrap();
    let mut shown: Value = serde_json::from_str(&shown.replace("[…]", "[\"…\"]")).unwrap();
    let key = shown["error"]["key"].as_str().unwrap().to_owned();
    let sandbox = Sandbox::bare();
    sandbox.append("kiln.toml", &format!("{key} = 1\n"));
    let mut told =
        sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::INPUT_INVALID).json();
    assert!(told["error"]["problems"].as_array().is_some_and(|problems| !problems.is_empty()), "{told:#}");
    for document in [&mut shown, &mut told] {
        for left_out in ["message", "problems"] {
            assert!(document["error"].as_object_mut().unwrap().remove(left_out).is_some(), "{left_out}");
        }
    }
    assert_eq!(told, shown);
}
