//! What somebody should see to.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// More are not told one by one.
const MAX_TOLD: usize = 100;

/// What was found to be wrong, until it is seen to.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<Vec<Problem>>);

#[derive(Debug)]
struct Problem {
    text: String,
    /// Once this file is gone, somebody has seen to it; none: it stands until the agent ends.
    file: Option<PathBuf>,
}

impl Problems {
    /// Something that nothing can mend any more.
    pub(super) fn add(&self, text: String) {
        let mut known = self.known();
        if known.iter().all(|problem| problem.text != text) {
            known.push(Problem { text, file: None });
        }
    }

    /// A damaged record lies aside.
    pub(super) fn add_damaged(&self, path: PathBuf, why: &str) {
        let text = format!(
            "the record {} is damaged ({why}): its unlock may be owed: run the unlock script by hand, then remove \
             the file",
            path.display()
        );
        self.known().push(Problem { text, file: Some(path) });
    }

    /// What lies in `directory` from before.
    pub(super) fn add_all_of(&self, directory: &Path) -> std::io::Result<()> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory)? {
            paths.push(entry?.path());
        }
        paths.sort();
        for path in paths {
            self.add_damaged(path, "found earlier");
        }
        Ok(())
    }

    /// One text each.
    pub(super) fn texts(&self) -> Vec<String> {
        let mut known = self.known();
        known.retain(|problem| {
            let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
            problem.file.as_ref().is_none_or(is_there)
        });
        let mut texts: Vec<_> = known
            .iter()
            .take(MAX_TOLD)
            .map(|problem| problem.text.clone())
            .collect();
        if known.len() > MAX_TOLD {
            texts.push(format!("{} more records are damaged", known.len() - MAX_TOLD));
        }
        texts
    }

    fn known(&self) -> MutexGuard<'_, Vec<Problem>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
