//! Finds the operator's scripts, and the program that reads them.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use domain::plan::Phase;
use nix::unistd::{AccessFlags, access};

use super::{Interpreter, ScriptRunnerSettings};

/// Where bash is looked for last.
const USUAL_PLACES: &[&str] = &["/bin", "/usr/bin"];

/// What is to be executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The script.
    pub(super) script: PathBuf,
    /// The bash that reads it; none if the script is executed itself.
    pub(super) bash: Option<PathBuf>,
}

/// Why there is no script to run.
enum Fault {
    Missing(Phase),
    Unreadable(PathBuf, io::Error),
}

/// Whether a script is there for each phase; the error names all that are not.
pub(super) fn check(scripts_path: &Path, phases: &[Phase]) -> Result<(), String> {
    let faults: Vec<Fault> = phases
        .iter()
        .filter_map(|phase| find(scripts_path, *phase).err())
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(describe(scripts_path, faults))
}

/// The script of `phase`, and who reads it.
pub(super) fn invocation(settings: &ScriptRunnerSettings, phase: Phase) -> Result<Invocation, String> {
    let script = find(&settings.scripts_path, phase).map_err(|fault| describe(&settings.scripts_path, vec![fault]))?;
    let executed = match settings.interpreter {
        Interpreter::Bash => false,
        Interpreter::Shebang => {
            names_its_interpreter(&script).map_err(|error| cannot_read(&script, &error))? && may_be_executed(&script)
        }
    };
    let bash = if executed { None } else { Some(interpreter(settings)?) };
    Ok(Invocation { script, bash })
}

/// The bash that reads scripts.
pub(super) fn interpreter(settings: &ScriptRunnerSettings) -> Result<PathBuf, String> {
    let mut variables = settings.inherited_environment.iter().rev();
    let path = variables.find(|(name, _)| name == "PATH");
    find_bash(path.map(|(_, value)| value.as_os_str()), USUAL_PLACES)
}

/// `<phase>`, then `<phase>.sh`.
fn find(scripts_path: &Path, phase: Phase) -> Result<PathBuf, Fault> {
    for name in [phase.as_str().to_owned(), format!("{phase}.sh")] {
        let path = scripts_path.join(name);
        match is_readable_file(&path) {
            // Absolute, so that neither bash nor the system looks for it along PATH.
            Ok(true) => return std::path::absolute(&path).map_err(|error| Fault::Unreadable(path, error)),
            Ok(false) => {}
            Err(error) => return Err(Fault::Unreadable(path, error)),
        }
    }
    Err(Fault::Missing(phase))
}

/// Whether a regular file is there, or a link to one; an error if it is there but cannot be read.
fn is_readable_file(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map(|_| true),
        Ok(_) => Ok(false),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

fn names_its_interpreter(script: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(script)?.take(2).read_to_end(&mut start)?;
    Ok(start == b"#!")
}

/// Asks the system, which knows of users, groups, access lists and mount options.
fn may_be_executed(path: &Path) -> bool {
    access(path, AccessFlags::X_OK).is_ok()
}

/// The first bash along `path`, else in one of the `usual` directories.
///
/// A look-up of our own, because what the system does without a `PATH` differs by libc. Relative
/// directories are passed over: a bash in the working directory is nobody's intention.
fn find_bash(path: Option<&OsStr>, usual: &[&str]) -> Result<PathBuf, String> {
    env::split_paths(path.unwrap_or_default())
        .filter(|directory| directory.is_absolute())
        .chain(usual.iter().map(PathBuf::from))
        .map(|directory| directory.join("bash"))
        .find(|bash| bash.is_file() && may_be_executed(bash))
        .ok_or_else(|| {
            let path = path.map_or_else(|| OsString::from("not set"), OsStr::to_owned);
            format!(
                "there is no bash along PATH ({}) nor in {}; install it, or correct the agent's PATH",
                path.display(),
                usual.join(", ")
            )
        })
}

/// All faults in one message.
fn describe(scripts_path: &Path, faults: Vec<Fault>) -> String {
    let (mut missing, mut messages) = (Vec::new(), Vec::new());
    for fault in faults {
        match fault {
            Fault::Missing(phase) => missing.push(phase.as_str()),
            Fault::Unreadable(path, error) => messages.push(cannot_read(&path, &error)),
        }
    }
    if !missing.is_empty() {
        let (missing, place) = (missing.join(", "), scripts_path.display());
        messages.insert(
            0,
            if scripts_path.is_dir() {
                format!(
                    "no script for {missing} in {place}: each phase needs a file of its name there, with or without \
                     .sh; add what is missing, or correct scripts_path"
                )
            } else {
                format!("no script for {missing}: {place} is not a directory; make it, or correct scripts_path")
            },
        );
    }
    messages.join("; ")
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!(
        "cannot read {}: {error}; make it readable for the agent's user",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn bash_is_the_first_along_path_that_can_be_executed() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str, mode: u32| {
            let directory = root.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("bash"), "").unwrap();
            fs::set_permissions(directory.join("bash"), fs::Permissions::from_mode(mode)).unwrap();
            directory.display().to_string()
        };
        let (no_bash, plain, good, other) = (
            root.path().display().to_string(),
            place("plain", 0o644),
            place("good", 0o755),
            place("other", 0o755),
        );
        fs::create_dir_all(root.path().join("directory/bash")).unwrap();
        let directory = root.path().join("directory").display().to_string();
        let usual = [other.as_str()];
        for (path, expected) in [
            (Some(format!("{no_bash}:{plain}:{directory}:{good}:{other}")), &good),
            (Some(format!("{other}:{good}")), &other),
            (Some(format!("{no_bash}:{plain}")), &other),
            (Some(":.:relative".to_owned()), &other),
            (Some(String::new()), &other),
            (None, &other),
        ] {
            let found = find_bash(path.as_deref().map(OsStr::new), &usual);
            assert_eq!(found, Ok(Path::new(expected).join("bash")), "{path:?}");
        }
        for (path, said) in [(Some(no_bash.as_str()), no_bash.as_str()), (None, "not set")] {
            let error = find_bash(path.map(OsStr::new), &[plain.as_str()]).unwrap_err();
            assert!(
                error.contains(&format!("PATH ({said}) nor in {plain}")),
                "{path:?}: {error}"
            );
        }
    }
}
