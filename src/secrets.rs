//! Secrets for commands that people type: from the environment or from files, never from arguments, which every user
//! of a machine sees. Faults are whole messages, without the secrets.

use std::{env, fmt, fs, path::Path};

use domain::secret::Secret;

/// Looks a variable up.
pub(crate) type Look<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A variable of the environment. One that is set but empty is not there, as for the agent itself.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A secret of the environment: the variable itself, or a file that the same name with `_FILE` names.
///
/// # Errors
///
/// If both are set, or the file cannot be used.
pub(crate) fn secret(name: &str, variable: Look<'_>) -> Result<Option<Secret>, String> {
    let file_variable = file_variable(name);
    match (variable(name), variable(&file_variable)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Secret::new(value))),
        (None, Some(path)) => of_file(Path::new(&path), &file_variable).map(Some),
        (Some(_), Some(_)) => Err(format!("{name} and {file_variable} are both set; set one of them")),
    }
}

/// The agent's own variables are in small letters, and so are their endings.
fn file_variable(name: &str) -> String {
    let is_small = !name.contains(|character: char| character.is_ascii_uppercase());
    format!("{name}{}", if is_small { "_file" } else { "_FILE" })
}

/// The content of a file, without one line break at its end. `named_by` is what named the file.
///
/// # Errors
///
/// If it cannot be read, or is empty.
pub(crate) fn of_file(file: &Path, named_by: &str) -> Result<Secret, String> {
    let fault = |problem: &dyn fmt::Display| format!("{named_by}: {}: {problem}", file.display());
    let text = Secret::new(fs::read_to_string(file).map_err(|error| fault(&error))?);
    let line = text.expose();
    let line = line.strip_suffix('\n').unwrap_or(line);
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(fault(&"the file is empty")),
        line => Ok(Secret::new(line)),
    }
}

/// Parameters for scripts, each `NAME=VALUE`, or `NAME` alone, whose value is then taken from the environment.
///
/// # Errors
///
/// If there is no such value.
pub(crate) fn parameters(pairs: &[String], variable: Look<'_>) -> Result<Vec<(String, Secret)>, String> {
    let parameter = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), Secret::new(value))),
        None => match secret(text, variable)? {
            Some(value) => Ok((text.clone(), value)),
            None => Err(format!(
                "--parameter {text}: there is no such variable; write {text}=VALUE, or set it"
            )),
        },
    };
    pairs.iter().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_variable_or_a_file_and_not_both() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("secret");
        let path = file.to_str().expect("plain").to_owned();
        let look = |variables: &[(&str, &str)], name: &str| {
            let variables: Vec<(String, String)> = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let variable = move |name: &str| {
                let found = variables.iter().find(|(of, _)| of == name);
                found.map(|(_, value)| value.clone())
            };
            secret(name, &variable).map(|secret| secret.map(|secret| secret.expose().to_owned()))
        };
        for (content, value) in [
            ("a\n", Some("a")),
            ("a\r\n", Some("a")),
            (" a\n\n", Some(" a\n")),
            ("\n", None),
            ("", None),
        ] {
            fs::write(&file, content).expect("it is ours");
            assert_eq!(
                look(&[("A_FILE", &path)], "A").ok(),
                value.map(|value| Some(value.to_owned())),
                "{content:?}"
            );
        }
        fs::write(&file, "a").expect("it is ours");
        assert_eq!(look(&[("a_file", &path)], "a"), Ok(Some("a".to_owned())));
        assert_eq!(look(&[("A", "b")], "A"), Ok(Some("b".to_owned())));
        assert_eq!(look(&[("B", "b")], "A"), Ok(None));
        assert!(look(&[("A", "b"), ("A_FILE", &path)], "A").is_err());
        assert!(
            look(&[("A_FILE", "/nowhere/at-all")], "A")
                .expect_err("no file")
                .contains("A_FILE: /nowhere/at-all")
        );
    }
}
