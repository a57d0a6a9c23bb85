//! Reads variables, and remembers what was wrong and what is in force.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use domain::secret::Secret;

type LookUp<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The variables of the environment, as they are asked for. Set but empty is the same as not set.
pub(super) struct Variables<'a> {
    look_up: LookUp<'a>,
    faults: Vec<String>,
    summary: Vec<(&'static str, String)>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(look_up: LookUp<'a>) -> Self {
        Self {
            look_up,
            faults: Vec::new(),
            summary: Vec::new(),
        }
    }

    /// A variable that must be set, and is not shown.
    pub(super) fn secret(&mut self, name: &'static str) -> Secret {
        let faults = self.faults.len();
        let value = self.optional_secret(name);
        if value.is_none() && self.faults.len() == faults {
            self.fault(name, "is required, and must not be empty");
        }
        value.unwrap_or_default()
    }

    /// A variable that may be absent, and is not shown.
    pub(super) fn optional_secret(&mut self, name: &'static str) -> Option<Secret> {
        let value = self.text(name)?;
        self.summary.push((name, "(set)".to_owned()));
        Some(Secret::new(value))
    }

    /// How many faults there are so far.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// A variable with a default. A bad value is a fault, never a silent default.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        match parse(&text) {
            Ok(value) => {
                self.summary.push((name, text));
                value
            }
            Err(problem) => {
                self.fault(name, &format!("{problem}, but is {text:?}"));
                parse(default).unwrap_or_else(|problem| unreachable!("the default of {name} {problem}"))
            }
        }
    }

    /// A variable that may be absent.
    pub(super) fn optional<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => {
                self.summary.push((name, text));
                Some(value)
            }
            Err(problem) => {
                self.fault(name, &format!("{problem}, but is {text:?}"));
                None
            }
        }
    }

    /// A directory or a file; a relative path is taken from the working directory.
    pub(super) fn directory(&mut self, name: &'static str) -> Option<PathBuf> {
        self.optional(name, absolute)
    }

    /// A directory that is needed, but where scripts move the bytes.
    pub(super) fn storage_directory(&mut self, name: &'static str, skip_storage: bool) -> Option<PathBuf> {
        let faults = self.faults.len();
        let directory = self.directory(name);
        if directory.is_none() && !skip_storage && self.faults.len() == faults {
            self.fault(name, "is required, but with skip_storage=true");
        }
        directory
    }

    /// A directory whose variable has two spellings.
    pub(super) fn directory_with_alias(
        &mut self,
        name: &'static str,
        alias: &'static str,
        default: &'static str,
    ) -> PathBuf {
        let (by_name, by_alias) = (self.directory(name), self.directory(alias));
        match (by_name, by_alias) {
            (Some(one), Some(other)) if one != other => {
                self.fault(
                    name,
                    &format!("and {alias}, its other spelling, are both set and differ; set one of them"),
                );
                one
            }
            (Some(path), _) | (None, Some(path)) => path,
            (None, None) => {
                self.summary.push((name, default.to_owned()));
                PathBuf::from(default)
            }
        }
    }

    /// Shows what is in force where the variable does not say it.
    pub(super) fn show(&mut self, name: &'static str, value: &Path) {
        if !self.summary.iter().any(|(known, _)| *known == name) {
            self.summary.push((name, value.display().to_string()));
        }
    }

    pub(super) fn fault(&mut self, name: &str, problem: &str) {
        self.faults.push(format!("{name} {problem}"));
    }

    /// All faults, and every variable in force with its value.
    pub(super) fn finish(self) -> (Vec<String>, Vec<(&'static str, String)>) {
        (self.faults, self.summary)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        debug_assert!(super::NAMES.contains(&name), "{name} must be in the list of names");
        let value = (self.look_up)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.fault(name, "is not UTF-8");
                None
            }
        }
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| format!("must be a path ({error})"))
}
