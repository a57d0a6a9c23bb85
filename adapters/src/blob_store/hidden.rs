//! Files of a directory that are no objects yet.

use std::{fs::File, io, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::timeout};
use uuid::Uuid;

use super::{failure::Failure, local::blocking};
use crate::beneath::{OpenDirectory, identity};

/// All hidden names begin so, and end with a UUID.
const START: &str = ".unfinished-";
/// Earlier agents wrote to a file of the hidden name with this ending.
const EARLIER_ENDING: &str = "#1";

/// A file that has a hidden name until it is whole. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Hidden {
    directory: Arc<OpenDirectory>,
    name: String,
    is_gone: bool,
}

impl Hidden {
    /// A new name.
    pub(super) fn new(directory: &Arc<OpenDirectory>) -> Self {
        Self::named(directory, format!("{START}{}", Uuid::new_v4()))
    }

    /// A name that was given earlier; no other is taken.
    pub(super) fn known(directory: &Arc<OpenDirectory>, name: &str) -> Result<Self, Failure> {
        let is_ours = |id: &str| Uuid::try_parse(id).is_ok_and(|parsed| parsed.to_string() == id);
        if name.strip_prefix(START).is_some_and(is_ours) {
            Ok(Self::named(directory, name.to_owned()))
        } else {
            Err(Failure::strange(format!(
                "{name:?} is no name of an unfinished file, so it was left alone; look at it yourself"
            )))
        }
    }

    fn named(directory: &Arc<OpenDirectory>, name: String) -> Self {
        Self {
            directory: Arc::clone(directory),
            name,
            is_gone: false,
        }
    }

    /// The name, by which the file is found again.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the file, which is its owner's alone: a dump holds all that its database holds.
    pub(super) async fn create(&self) -> Result<Arc<File>, Failure> {
        let (directory, name) = (Arc::clone(&self.directory), self.name.clone());
        let made = blocking(move || directory.create(name)).await;
        made.map(Arc::new)
            .map_err(|error| Failure::directory("creating the object", &error))
    }

    /// Gives the whole file its name: by a hard link, which fails if the name is taken even since a
    /// moment ago. All is on the disk then, or nothing has the name.
    pub(super) async fn become_object(&self, file: Arc<File>, key: &str) -> Result<(), Failure> {
        let (directory, name, key) = (Arc::clone(&self.directory), self.name.clone(), key.to_owned());
        blocking(move || {
            let own = file.metadata();
            let own = identity(&own.map_err(|error| Failure::directory("naming the object", &error))?);
            let has_it = || matches!(directory.look(&key), Ok(Some(found)) if identity(&found) == own);
            match directory.link(&name, &key) {
                // Who may write there too can have put something else under the hidden name.
                Ok(()) if !has_it() => {
                    return Err(Failure::denied(
                        "another file took the object's name while it was written; see who else writes there",
                    ));
                }
                Ok(()) => {}
                // The file got its name after all, and only the answer to that was lost.
                Err(_) if has_it() => {}
                Err(error) => {
                    let doing = "naming the object by a hard link, which the file system must have";
                    return Err(Failure::directory(doing, &error));
                }
            }
            remove(&directory, &name);
            directory.sync().map_err(|error| {
                if has_it() {
                    remove(&directory, &key);
                }
                Failure::directory("naming the object", &error)
            })
        })
        .await
    }

    /// Removes it, and waits for that, but not for ever: the mount may be dead.
    pub(super) async fn remove(mut self, patience: Duration) {
        self.is_gone = true;
        let (directory, name) = (Arc::clone(&self.directory), self.name.clone());
        let _ = timeout(patience, blocking(move || remove(&directory, &name))).await;
    }

    /// Removes what an earlier upload left under this name, if there is anything.
    pub(super) async fn discard(mut self) -> Result<(), Failure> {
        self.is_gone = true;
        let (directory, name) = (Arc::clone(&self.directory), self.name.clone());
        blocking(move || {
            let names = [format!("{name}{EARLIER_ENDING}"), name];
            let removed = names.map(|name| ignore_absence(directory.remove(name)));
            removed.into_iter().collect::<io::Result<()>>()
        })
        .await
        .map_err(|error| Failure::directory("removing an unfinished file", &error))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (directory, name) = (Arc::clone(&self.directory), self.name.clone());
        // A file may be large and a mount slow: not on a thread that serves others.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&directory, &name))),
            Err(_) => remove(&directory, &name),
        }
    }
}

fn remove(directory: &OpenDirectory, name: &str) {
    if let Err(error) = ignore_absence(directory.remove(name)) {
        tracing::warn!(path = %directory.at(name).display(), %error, "an unfinished file stays behind");
    }
}

pub(super) fn ignore_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
