//! What Python handler names are good for: whatever the runtime can import.

use crate::harness::Sandbox;
use kiln_record::exit;

/// A file's name need not be an identifier: the runtime imports by name, as `importlib.import_module` does.
#[test]
fn handlers_in_files_with_dashes_digits_and_folders_are_built_and_a_wrong_one_fails_alone() {
    let sandbox = Sandbox::new();
    let code = "def handler(event, context):\n    return __name__\n";
    let good = [("dash", "my-func"), ("digit", "1st"), ("nested", "a-b/2nd"), ("dots", "a-b.2nd")];
    for (name, module) in good.into_iter().chain([("wrong", "no-such"), ("whole", "")]) {
        sandbox.function(name, "3.13", "", "");
        let handler = if module.is_empty() { "handler".to_owned() } else { format!("{module}.handler") };
        sandbox.replace(&format!("manifests/{name}.toml"), "app.handler", &handler);
        let file = if module.is_empty() { "app".to_owned() } else { module.replace('.', "/") };
        if name != "wrong" {
            sandbox.write(&format!("manifests/{name}/src/{file}.py"), code);
        }
    }
    let outcome = sandbox.kiln().run(["build", "--all", "--color", "never"]);
    outcome.ends_with(exit::FINDINGS_DENIED).says(&[
        "handler-missing",
        "there is no module `no-such`",
        "`handler` is not `module.function`",
    ]);
    for (name, _) in good {
        assert!(sandbox.path(&format!("dist/{name}/{name}.zip")).exists(), "{name}");
    }
    for name in ["wrong", "whole"] {
        assert!(!sandbox.path(&format!("dist/{name}/{name}.zip")).exists(), "{name}");
    }
}
