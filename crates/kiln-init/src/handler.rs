//! Handlers in Python code, and the names of artifacts.

use crate::folder::{Folder, name_of, parent};
use kiln_record::{ArtifactName, NameError};

/// A name that a project uses, as the name of an artifact.
pub(crate) fn artifact_name(text: &str) -> Result<ArtifactName, NameError> {
    text.parse()
}

/// What a module has that Lambda could call, by the two names that Lambda's own examples use: a function of an event and a
/// context at its top, or an application behind an adapter.
pub(crate) fn handlers_of(code: &str) -> Vec<&'static str> {
    let named = |name: &str| {
        code.lines().any(|line| match line.strip_prefix("def ").and_then(|line| line.strip_prefix(name)) {
            Some(rest) => rest.strip_prefix('(').is_some_and(|rest| {
                // A signature that goes on in the next line is one, too.
                parameters(rest).is_none_or(|count| count == 2)
            }),
            None => line
                .strip_prefix(name)
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix('='))
                .is_some_and(|value| value.trim_start().starts_with("Mangum(")),
        })
    };
    ["handler", "lambda_handler"].into_iter().filter(|name| named(name)).collect()
}

/// How many parameters a signature has, from behind its parenthesis; nothing where it does not end in this line.
fn parameters(signature: &str) -> Option<usize> {
    let (mut depth, mut start, mut count) = (0_usize, 0, 0);
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ']' | '}' | ')' if depth > 0 => depth -= 1,
            ',' | ')' if depth == 0 => {
                // `/` and `*` alone say how the others are given.
                let one = signature.get(start..at)?.trim();
                count += usize::from(!matches!(one, "" | "/" | "*"));
                start = at + 1;
                if c == ')' {
                    return Some(count);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a file is of tests or of tools, in which a handler is none of an artifact.
pub(crate) fn is_of_tests(path: &str) -> bool {
    let name = name_of(path);
    path.split('/').any(|part| matches!(part, "tests" | "test" | "docs" | "examples"))
        || name.starts_with("test_")
        || name.ends_with("_test.py")
        || matches!(name, "conftest.py" | "setup.py" | "noxfile.py")
}

/// The folder that a module is imported from: that above its topmost package.
pub(crate) fn import_root<'a>(folder: &Folder, path: &'a str) -> &'a str {
    let mut root = parent(path);
    while !root.is_empty() && folder.has_file(&format!("{root}/__init__.py")) {
        root = parent(root);
    }
    root
}

/// The dotted name of a module below the folder that it is imported from.
pub(crate) fn module_name(root: &str, path: &str) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    below.strip_suffix(".py").unwrap_or(below).trim_end_matches("/__init__").replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_functions_of_two_values_or_adapters() {
        let check = |code: &str, expected: &[&str]| assert_eq!(handlers_of(code), expected, "{code}");
        check("def handler(event, context):\n    pass\n", &["handler"]);
        check("def lambda_handler(event: dict, context,) -> dict:\n", &["lambda_handler"]);
        check("def lambda_handler(\n    event,\n    context,\n):\n", &["lambda_handler"]);
        check("app = FastAPI()\nhandler = Mangum(app)\n", &["handler"]);
        check("def handler(event: dict[str, Any], context: Context, /) -> dict[str, int]:\n", &["handler"]);
        check("def handler(event=dict(a=1), context=None):\n", &["handler"]);
        check("def handler(event, context, more):\n", &[]);
        check("def handler(event):\n", &[]);
        check("class A:\n    def handler(self, event):\n", &[]);
        check("def handlers(event, context):\n", &[]);
        check("handler = 3\n", &[]);
    }
}
