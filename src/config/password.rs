//! The password of the API, from a variable or a file.

use std::{fs, path::PathBuf};

use domain::secret::Secret;

use super::variables::Variables;

/// Where the password stands.
#[derive(Debug)]
pub(crate) enum PasswordSource {
    /// `client_password`
    Variable(Secret),
    /// `client_password_file`
    File(PathBuf),
}

impl PasswordSource {
    /// The password as it stands there now. A line break at the end of a file is not part of it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or holds no password; with the variable that names it.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        let path = match self {
            Self::Variable(password) => return Ok(password.clone()),
            Self::File(path) => path,
        };
        let fault = |problem: &str| Err(format!("client_password_file {} {problem}", path.display()));
        // A secret already, line break and all: it is wiped.
        let text = match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Secret::new(text),
            Ok(Err(_)) => return fault("is not UTF-8"),
            Err(error) => return fault(&format!("cannot be read: {error}")),
        };
        let line = text.expose();
        let line = line.strip_suffix('\n').unwrap_or(line);
        match line.strip_suffix('\r').unwrap_or(line) {
            "" => fault("is empty, but must hold the password"),
            password => Ok(Secret::new(password)),
        }
    }
}

/// Exactly one of the two variables.
pub(super) fn source(vars: &mut Variables<'_>) -> PasswordSource {
    const NAME: &str = "client_password";
    let faults = vars.fault_count();
    let password = vars.optional_secret(NAME);
    let file = vars.directory("client_password_file");
    match (password, file) {
        (Some(password), None) => return PasswordSource::Variable(password),
        (None, Some(path)) => return PasswordSource::File(path),
        (Some(_), Some(_)) => vars.fault(NAME, "and client_password_file are both set; set one of them"),
        (None, None) if vars.fault_count() == faults => {
            vars.fault(
                NAME,
                "is required, and must not be empty, or client_password_file must be set",
            );
        }
        (None, None) => {}
    }
    PasswordSource::Variable(Secret::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_the_password() {
        let directory = tempfile::tempdir().expect("a directory");
        let source = PasswordSource::File(directory.path().join("password"));
        let read = |content: &[u8]| {
            fs::write(directory.path().join("password"), content).expect("it is ours");
            source.read().map(|password| password.expose().to_owned())
        };
        for (content, password) in [
            ("a b:ü", "a b:ü"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\n\n", "secret\n"),
            (" secret ", " secret "),
        ] {
            assert_eq!(read(content.as_bytes()).as_deref(), Ok(password), "{content:?}");
        }
        for content in ["", "\n", "\r\n"] {
            let refusal = read(content.as_bytes()).expect_err(content);
            assert!(
                refusal.starts_with("client_password_file /") && refusal.contains("is empty"),
                "{refusal}"
            );
        }
        assert!(read(b"\xff").expect_err("no text").contains("is not UTF-8"));
    }
}
