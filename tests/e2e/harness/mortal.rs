//! An agent that dies at a given instant: ahead of, or after, a change of one of its files.

use std::{fs, path::PathBuf, process::Command};

use super::{Environment, Place};

/// What makes an agent mortal. Compiled from C, as it takes the place of functions of the C library.
#[derive(Debug)]
pub(crate) struct Mortality {
    directory: tempfile::TempDir,
}

impl Mortality {
    /// None where there is no C compiler.
    pub(crate) fn new() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let source = directory.path().join("mortal.c");
        fs::write(&source, include_str!("mortal.c")).expect("a file can be written");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(directory.path().join("mortal.so"))
            .arg(&source)
            .arg("-ldl")
            .output()
            .ok()?;
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        Some(Self { directory })
    }

    /// Has the next agent die at this instant after [`arm`], counted from 1; at none with 0.
    pub(crate) fn set(&self, environment: &mut Environment, place: &Place, instant: usize) {
        environment
            .set("LD_PRELOAD", self.directory.path().join("mortal.so"))
            .set("MORTAL_BELOW", place.root())
            .set("MORTAL_ARMED", armed(place))
            .set("MORTAL_AT", instant.to_string())
            .set("MORTAL_LOG", log(place));
    }

    /// Makes the next agent immortal again.
    pub(crate) fn unset(environment: &mut Environment) {
        for name in ["LD_PRELOAD", "MORTAL_BELOW", "MORTAL_ARMED", "MORTAL_AT", "MORTAL_LOG"] {
            environment.unset(name);
        }
    }
}

/// From now on instants are counted.
pub(crate) fn arm(place: &Place) {
    fs::write(armed(place), "").expect("a file can be written");
}

/// The instants that have passed, a line each.
pub(crate) fn instants(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(log(place)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn armed(place: &Place) -> PathBuf {
    place.path("trace/armed")
}

fn log(place: &Place) -> PathBuf {
    place.path("trace/instants")
}
