//! Who users are, by the lists of an image.

use crate::DockerfileError;
use crate::content::Kept;
use kiln_image::FileSystem;

/// The lists of users and groups of an image (passwd(5), group(5)).
pub(crate) struct Users {
    passwd: String,
    groups: String,
}

impl Users {
    pub(crate) fn of(files: &FileSystem, kept: &mut Kept<'_>) -> Result<Self, DockerfileError> {
        Ok(Self { passwd: kept.text(files, "etc/passwd")?, groups: kept.text(files, "etc/group")? })
    }

    /// The user and group that a config names, in numbers.
    pub(crate) fn named(&self, stated: &str) -> Option<(u32, u32)> {
        self.numbers(stated, |uid| field(&self.passwd, uid, 2, 3).unwrap_or("0").to_owned())
    }

    /// The owner that `--chown` names, in numbers. A number alone is that of the group, too, whatever the lists say (Dockerfile
    /// reference, "COPY --chown").
    pub(crate) fn owner(&self, stated: &str) -> Option<(u32, u32)> {
        self.numbers(stated, str::to_owned)
    }

    /// The home of a user.
    pub(crate) fn home(&self, uid: u32) -> Option<&str> {
        field(&self.passwd, &uid.to_string(), 2, 5).filter(|home| !home.is_empty())
    }

    fn numbers(&self, stated: &str, usual: impl Fn(&str) -> String) -> Option<(u32, u32)> {
        let (user, group) =
            stated.split_once(':').map_or((stated, None), |(user, group)| (user, Some(group)));
        let number = |text: &str| text.parse::<u32>().ok();
        let (uid, usual) = match number(user) {
            Some(uid) => (uid, Some(usual(user))),
            None => (
                number(field(&self.passwd, user, 0, 2)?)?,
                field(&self.passwd, user, 0, 3).map(str::to_owned),
            ),
        };
        let gid = match group {
            None => number(usual.as_deref().unwrap_or("0"))?,
            Some(group) => match number(group) {
                Some(gid) => gid,
                None => number(field(&self.groups, group, 0, 2)?)?,
            },
        };
        Some((uid, gid))
    }
}

/// A field of the line that has a name in another.
fn field<'l>(list: &'l str, name: &str, by: usize, wanted: usize) -> Option<&'l str> {
    let mut lines = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.get(by) == Some(&name))?;
    fields.get(wanted).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_where_a_name_is_stated() {
        let users = Users {
            passwd: "root:x:0:0::/root:/bin/sh\napp:x:5:6::/home/app:/bin/sh\n".to_owned(),
            groups: "root:x:0:\nstaff:x:8:\n".to_owned(),
        };
        for (stated, user, owner) in [
            ("app", Some((5, 6)), Some((5, 6))),
            ("5", Some((5, 6)), Some((5, 5))),
            ("7", Some((7, 0)), Some((7, 7))),
            ("app:staff", Some((5, 8)), Some((5, 8))),
            ("5:9", Some((5, 9)), Some((5, 9))),
            ("nobody", None, None),
            ("app:nogroup", None, None),
        ] {
            assert_eq!((users.named(stated), users.owner(stated)), (user, owner), "{stated}");
        }
        assert_eq!((users.home(5), users.home(7)), (Some("/home/app"), None));
    }
}
