//! Where a workspace asks for a distribution that a lock moved: the line of the project file, if that is still the one that the build
//! was made from.

use fs_err as fs;
use kiln_audit::{CauseKind, Diff};
use kiln_invocation::Environment;
use kiln_record::{Digest, DistributionName, Ecosystem, InputRole, Record, excerpt};

/// The largest project file that is looked into, in bytes.
const LARGEST: u64 = 4 << 20;

/// Adds to each change that a lock accounts for where the project asks for the distribution.
pub fn name_declarations(environment: &Environment, after: &Record, diff: &mut Diff) {
    if !environment.has_workspace() {
        return;
    }
    let projects: Vec<(&str, String)> = after
        .inputs
        .iter()
        .filter(|input| input.role == InputRole::Project)
        .filter_map(|input| {
            let path = environment.root.join(&input.name);
            let bytes = fs::metadata(&path)
                .ok()
                .filter(|file| file.len() <= LARGEST)
                .and_then(|_| fs::read(&path).ok())?;
            // Another file says nothing of this build.
            let text =
                (Digest::of(&bytes) == input.digest).then(|| String::from_utf8(bytes).ok()).flatten()?;
            Some((input.name.as_str(), text))
        })
        .collect();
    for change in &mut diff.components {
        if change.cause.kind != CauseKind::Lock || change.id.ecosystem() != Ecosystem::Python {
            continue;
        }
        let found = projects.iter().find_map(|(path, text)| Some((path, line_about(text, &change.name)?)));
        if let Some((path, (number, line))) = found {
            change.cause.text.push_str(&format!("; asked for at {path}:{number} (`{}`)", excerpt(&line)));
        }
    }
}

/// The first line that begins with the name of a distribution, quotes and the like aside.
fn line_about(text: &str, name: &str) -> Option<(usize, String)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let line = line
            .trim()
            .trim_start_matches(['"', '\'', '[', '-', ' '])
            .trim_end_matches([',', '"', '\'', ']', ' ']);
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c)).unwrap_or(line.len());
        let found: DistributionName = line[..end].parse().ok()?;
        (found.as_str() == name && end < line.len()).then(|| (index + 1, line.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::line_about;

    #[test]
    fn the_line_that_asks_is_found() {
        let project = "[project]\nname = \"app\"\ndependencies = [\n    \"Requests_Oauthlib<2\",\n    'requests<2.33',\n]\n";
        assert_eq!(line_about(project, "requests"), Some((5, "requests<2.33".to_owned())));
        assert_eq!(line_about(project, "requests-oauthlib"), Some((4, "Requests_Oauthlib<2".to_owned())));
        assert_eq!(line_about(project, "urllib3"), None);
        assert_eq!(
            line_about("[tool.poetry.dependencies]\nrequests = \"^2\"\n", "requests"),
            Some((2, "requests = \"^2".to_owned()))
        );
    }
}
