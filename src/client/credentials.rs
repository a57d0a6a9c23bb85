//! Who calls: a file or the environment, never the command line, which every user of a machine sees.

use std::{fmt, path::Path};

use domain::secret::Secret;

use super::trouble::Trouble;
use crate::secrets::{self, Look, secret};

/// The variables that are looked for, in this order: the client's own, then the agent's, for who calls it from
/// where it runs.
const VARIABLES: [[&str; 2]; 2] = [
    ["OSB_BACKUP_AGENT_USER", "OSB_BACKUP_AGENT_PASSWORD"],
    ["client_username", "client_password"],
];

/// A name, its password, and where both come from.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) user: Secret,
    pub(super) password: Secret,
    source: String,
}

impl fmt::Display for Credentials {
    /// Where they come from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Credentials {
    /// Those of the file, or of the environment.
    ///
    /// # Errors
    ///
    /// If there are none, or half of them.
    pub(super) fn find(file: Option<&Path>, variable: Look<'_>) -> Result<Self, Trouble> {
        if let Some(file) = file {
            return Self::of_file(file);
        }
        for [user, password] in VARIABLES {
            match (variable(user), secret(password, variable).map_err(Trouble::Usage)?) {
                (None, None) => {}
                (Some(name), Some(secret)) => {
                    return Ok(Self {
                        user: Secret::new(name),
                        password: secret,
                        source: format!("the variables {user} and {password}"),
                    });
                }
                (Some(_), None) => return Err(half(user, password)),
                (None, Some(_)) => return Err(half(password, user)),
            }
        }
        let [user, password] = VARIABLES[0];
        Err(Trouble::Usage(format!(
            "who calls is not said: set {user} and {password} (or {password}_FILE, the name of a file that holds it), \
             or name a file with a line USER:PASSWORD with --credentials"
        )))
    }

    fn of_file(file: &Path) -> Result<Self, Trouble> {
        let text = secrets::of_file(file, "--credentials").map_err(Trouble::Usage)?;
        match text.expose().split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(Self {
                user: Secret::new(user),
                password: Secret::new(password),
                source: file.display().to_string(),
            }),
            Some(_) | None => Err(Trouble::Usage(format!(
                "--credentials: {} must hold one line, USER:PASSWORD",
                file.display()
            ))),
        }
    }
}

fn half(present: &str, absent: &str) -> Trouble {
    Trouble::Usage(format!("{present} is set, but not {absent}; set both"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(variables: &[(&str, &str)], file: Option<&Path>) -> Result<(String, String), String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(of, _)| *of == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Credentials::find(file, &variable)
            .map(|found| (found.user.expose().to_owned(), found.password.expose().to_owned()))
            .map_err(|trouble| trouble.to_string())
    }

    #[test]
    fn half_of_the_credentials_is_no_credentials_and_the_clients_own_come_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("secret");
        fs::write(&file, "from:file\n").expect("it is ours");
        let path = file.to_str().expect("plain");
        let own = [("client_username", "a"), ("client_password", "b")];
        let pair = |user: &str, password: &str| Ok((user.to_owned(), password.to_owned()));
        assert_eq!(found(&own, None), pair("a", "b"));
        let both = [
            own[0],
            own[1],
            ("OSB_BACKUP_AGENT_USER", "c"),
            ("OSB_BACKUP_AGENT_PASSWORD", "d"),
        ];
        assert_eq!(found(&both, None), pair("c", "d"));
        assert_eq!(found(&both, Some(&file)), pair("from", "file"));
        let by_file = [("client_username", "a"), ("client_password_file", path)];
        assert_eq!(found(&by_file, None), pair("a", "from:file"));
        for (variables, part) in [
            (&[][..], "who calls is not said"),
            (
                &[("OSB_BACKUP_AGENT_USER", "c"), own[0], own[1]],
                "OSB_BACKUP_AGENT_USER is set, but not",
            ),
            (
                &[("client_password", "b")],
                "client_password is set, but not client_username",
            ),
            (&[own[0], own[1], ("client_password_file", path)], "are both set"),
            (
                &[own[0], ("client_password_file", "/nowhere/at-all")],
                "/nowhere/at-all",
            ),
        ] {
            let fault = found(variables, None).expect_err(part);
            assert!(fault.contains(part), "{part} in {fault}");
        }
        for content in ["", "\n", "no colon\n", ":password", "user:"] {
            fs::write(&file, content).expect("it is ours");
            assert!(found(&both, Some(&file)).is_err(), "{content:?}");
        }
    }
}
