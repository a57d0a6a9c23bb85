//! What the scripts of a place have written down about themselves, and the means to hold them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{Kind, Place, place::read_if_there, wait_until};

impl Place {
    /// The phases of a job whose scripts have been started, in order.
    pub(crate) fn ran(&self, kind: Kind, id: &str) -> Vec<String> {
        let text = read_if_there(&self.trace(kind, id, "ran")).unwrap_or_default();
        lines(&text)
    }

    /// `(<kind>.<id>, phase)` of every script that has been started, in order.
    pub(crate) fn order(&self) -> Vec<(String, String)> {
        let text = read_if_there(&self.path("trace/order")).unwrap_or_default();
        lines(&text)
            .iter()
            .filter_map(|line| line.split_once(' '))
            .map(|(job, phase)| (job.to_owned(), phase.to_owned()))
            .collect()
    }

    /// The arguments of a job's script.
    #[track_caller]
    pub(crate) fn arguments(&self, kind: Kind, id: &str, phase: &str) -> Vec<String> {
        nul_ended(&self.record(kind, id, &format!("{phase}.arguments")))
    }

    /// The environment of a job's script.
    #[track_caller]
    pub(crate) fn environment(&self, kind: Kind, id: &str, phase: &str) -> BTreeMap<String, String> {
        nul_ended(&self.record(kind, id, &format!("{phase}.environment")))
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// A file that a script has written to `$trace/$job.<what>`.
    #[track_caller]
    pub(crate) fn record(&self, kind: Kind, id: &str, what: &str) -> Vec<u8> {
        let path = self.trace(kind, id, what);
        fs::read(&path).unwrap_or_else(|error| panic!("no {what} of {} {id}: {error}", kind.name()))
    }

    /// Makes the script of this phase wait as soon as it has begun.
    pub(crate) fn hold(&self, kind: Kind, id: &str, phase: &str) {
        fs::write(self.trace(kind, id, &format!("{phase}.hold")), "").expect("a file can be written");
    }

    /// Waits until that script has begun and waits.
    #[track_caller]
    pub(crate) fn wait_held(&self, kind: Kind, id: &str, phase: &str) {
        let held = self.trace(kind, id, &format!("{phase}.held"));
        wait_until(&format!("{phase} of {} {id} begins", kind.name()), || held.exists());
    }

    /// Lets that script go on.
    pub(crate) fn release(&self, kind: Kind, id: &str, phase: &str) {
        fs::remove_file(self.trace(kind, id, &format!("{phase}.hold"))).expect("the phase is held");
    }

    fn trace(&self, kind: Kind, id: &str, what: &str) -> PathBuf {
        self.path("trace").join(format!("{}.{id}.{what}", kind.name()))
    }
}

fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

fn nul_ended(bytes: &[u8]) -> Vec<String> {
    let mut parts: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    assert_eq!(parts.pop().as_deref(), Some(""), "every value ends with NUL");
    parts
}
