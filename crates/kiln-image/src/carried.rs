//! Python distributions that an image brings: those that are installed, and wheels that lie there to be installed from, such as the pip
//! of `ensurepip` and of Debian. Their names tell what they are; of a wheel, its digest is known, and nothing of what is in it.

use crate::{ContentEntry, ImageContents, WheelDigests};
use kiln_record::{DistributionName, TreePath};

/// The longest version that is taken for one.
const LONGEST_VERSION: usize = 64;

/// A distribution that an image brings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CarriedDistribution {
    /// Its name.
    pub name: DistributionName,
    /// Its version.
    pub version: String,
    /// The wheel, or the folder of its metadata.
    pub path: TreePath,
    /// The digests and size of the wheel, if it is one that was read.
    pub wheel: Option<(WheelDigests, u64)>,
}

impl ImageContents {
    /// The distributions that the image brings, by path, at any depth.
    #[must_use]
    pub fn distributions(&self) -> Vec<CarriedDistribution> {
        let files = self.entries.iter().filter(|(_, entry)| matches!(entry, ContentEntry::File { .. }));
        let found = files.filter_map(|(path, entry)| {
            let wheel = match entry {
                ContentEntry::File { size, .. } => {
                    self.wheels.get(path).map(|digests| (digests.clone(), *size))
                }
                _ => None,
            };
            Some(CarriedDistribution { wheel, ..carried(path)? })
        });
        found.collect()
    }
}

/// The distribution that a file tells of: a wheel (binary distribution format, "File name convention"), or the `METADATA` of one that
/// is installed ("Recording installed projects").
fn carried(path: &TreePath) -> Option<CarriedDistribution> {
    let (stem, path) = match path.file_name() {
        "METADATA" => {
            let folder = TreePath::new(path.parent()).ok()?;
            (folder.file_name().strip_suffix(".dist-info")?.to_owned(), folder)
        }
        wheel => {
            let stem = wheel.strip_suffix(".whl")?;
            // Name, version, perhaps a build, and three tags.
            if !(4..=5).contains(&stem.matches('-').count()) {
                return None;
            }
            (stem.splitn(3, '-').take(2).collect::<Vec<_>>().join("-"), path.clone())
        }
    };
    let (name, version) = stem.split_once('-')?;
    let is_version = version.len() <= LONGEST_VERSION
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".!+_".contains(&byte));
    let name = name.parse().ok().filter(|_| is_version)?;
    Some(CarriedDistribution { name, version: version.replace('_', "-"), path, wheel: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_wheels_and_of_metadata_tell_what_an_image_brings() {
        let file = ContentEntry::File { size: 1, mode: 0o644 };
        let paths = [
            "usr/share/python-wheels/pip-25.1.1-py3-none-any.whl",
            "usr/lib/python3.13/ensurepip/_bundled/setuptools-65.5.0-1-py3-none-any.whl",
            "usr/lib/python3/dist-packages/Zope_Interface-5.0.dist-info/METADATA",
            "opt/setuptools/_vendor/wheel-0.45.1.dist-info/METADATA",
            "srv/app-1.0+local.2-cp313-cp313-linux_x86_64.whl",
            // None of these is one.
            "srv/notes.whl",
            "srv/a-b-c.whl",
            "srv/METADATA",
            "srv/odd.dist-info/METADATA",
            "srv/odd-<b>.dist-info/METADATA",
            "srv/six-1.16.0.dist-info/RECORD",
        ];
        let mut contents = ImageContents::default();
        for path in paths {
            contents.entries.insert(TreePath::new(path).unwrap(), file.clone());
        }
        let read = TreePath::new(paths[0]).unwrap();
        contents.wheels.insert(read.clone(), WheelDigests::of(b"pip"));
        let folder = TreePath::new("srv/pip-1.0-py3-none-any.whl").unwrap();
        contents.entries.insert(folder, ContentEntry::Folder);
        let found = contents.distributions();
        for one in &found {
            assert_eq!(one.wheel, (one.path == read).then(|| (WheelDigests::of(b"pip"), 1)), "{}", one.path);
        }
        let found: Vec<(&str, &str, &str)> =
            found.iter().map(|one| (one.name.as_str(), one.version.as_str(), one.path.as_str())).collect();
        assert_eq!(
            found,
            [
                ("wheel", "0.45.1", "opt/setuptools/_vendor/wheel-0.45.1.dist-info"),
                ("app", "1.0+local.2", "srv/app-1.0+local.2-cp313-cp313-linux_x86_64.whl"),
                (
                    "setuptools",
                    "65.5.0",
                    "usr/lib/python3.13/ensurepip/_bundled/setuptools-65.5.0-1-py3-none-any.whl"
                ),
                ("zope-interface", "5.0", "usr/lib/python3/dist-packages/Zope_Interface-5.0.dist-info"),
                ("pip", "25.1.1", "usr/share/python-wheels/pip-25.1.1-py3-none-any.whl"),
            ]
        );
    }
}
