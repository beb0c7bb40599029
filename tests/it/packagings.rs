//! One function as a zip and as an image: what each brings along.

use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::exit;
use serde_json::Value;

#[test]
fn a_zip_and_an_image_of_one_source_are_compared_by_what_they_bring() {
    let library = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"WORD = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&library));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import greeting\n\ndef handler(event, context):\n    return greeting.WORD\n";
    sandbox.function("app", "3.13", code, &library.requirement(""));
    sandbox.write(
        "manifests/app-image.toml",
        "kind = \"image\"\nbase = \"python-3.13\"\n\n[target]\narchitecture = \"x86_64\"\n\n[source]\npath = \
         \"app/src\"\n\n[python]\nlock = \"app/requirements.txt\"\n\n[image]\nentrypoint = \
         [\"/usr/bin/python3.13\", \"-c\", \"import app\"]\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let diff = |format: &str| {
        let arguments = ["diff", "app", "app-image", "--format", format];
        sandbox.kiln().run(arguments).ends_with(exit::SUCCESS)
    };
    let told = diff("human");
    let lines: Vec<String> = told
        .stdout
        .lines()
        .skip_while(|line| *line != "Packagings")
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(lines.contains(&"lambda-zip image".to_owned()), "{told}");
    assert!(lines.contains(&"Python distributions 1 1".to_owned()), "{told}");
    assert!(lines.contains(&"setuid or setgid none none".to_owned()), "{told}");
    assert!(lines.iter().any(|line| line.starts_with("OS packages none: the runtime's 2")), "{told}");
    // The same code and the same distribution are neither gone nor new.
    for gone in ["removed     app", "added       app", "removed     greeting", "added       greeting"] {
        assert!(!told.stdout.contains(gone), "{told}");
    }
    assert!(told.stdout.contains("target changed: kind"), "a base's packages come with the kind: {told}");
    let of_pip = lines.iter().find(|line| line.starts_with("added pip "));
    assert!(of_pip.is_some_and(|line| line.contains("target changed: kind")), "and so do its wheels: {told}");

    let json: Value = diff("json").json();
    let (zip, image) = (&json["packagings"]["before"], &json["packagings"]["after"]);
    assert_eq!((&zip["os_packages"], &zip["surface"]["libraries"]), (&0.into(), &0.into()));
    assert!(image["surface"]["executables"].as_u64().unwrap() > 1, "{image}");
    assert!(image["surface"]["libraries"].as_u64().unwrap() > 10, "{image}");
    assert!(image["unpacked"].as_u64() > zip["unpacked"].as_u64());
    diff("markdown").prints(&["| | lambda-zip | image |", "| OS packages | none: the runtime's |"]);

    // Two builds of one kind are not compared so.
    sandbox.write("manifests/app/src/app.py", code.replace("greeting.WORD", "1"));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let same = sandbox.kiln().run(["diff", "app@1", "app@2"]).ends_with(exit::SUCCESS);
    assert!(!same.stdout.contains("Packagings"), "{same}");
}
