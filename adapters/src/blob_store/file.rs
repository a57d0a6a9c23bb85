//! A directory of this machine, such as a mount, in place of a bucket.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{Halt, LocalFile, Moved, UploadJournal},
    request::FileStore,
};
use tokio::time::timeout;

use super::{
    Limits,
    bucket::object_path,
    budget::Budget,
    digest::Digest,
    download::{checked, refuse_other_size},
    failure::Failure,
    halting::unless_halted,
    hidden::{Hidden, ignore_absence},
    local::{Source, Target, Writing, blocking},
    movement::Stall,
    parts::parts,
    tally,
};
use crate::beneath::OpenDirectory;

/// So much is copied at a time.
const COPY_BYTES: u64 = 1024 * 1024;

/// Putting a whole file on the disk may take so many times as long as any other step.
const SYNC_FACTOR: u32 = 10;

/// A directory that may be used. It is open, and nothing is reached but through that.
#[derive(Debug)]
pub(super) struct Directory {
    files: Arc<OpenDirectory>,
    /// How long one step may take. A mount whose server is gone does not answer at all; the thread
    /// that asked waits on, but the job does not.
    patience: Duration,
    /// Watches over the pieces.
    stall: Stall,
}

impl Directory {
    /// Opens the directory, if it is one of the roots, or lies below one and no link leads there.
    pub(super) async fn open(store: &FileStore, roots: &[PathBuf], limits: Limits) -> Result<Self, Failure> {
        let (path, roots) = (store.path.clone(), roots.to_vec());
        let open = blocking(move || allowed(&path, &roots));
        let patience = limits.retry;
        let files = within(patience, "opening it", open).await?;
        Ok(Self {
            files: Arc::new(files),
            patience,
            stall: Stall::new(limits.stall, &Arc::default()),
        })
    }

    pub(super) async fn find(&self, key: &ObjectKey) -> Result<Option<u64>, Failure> {
        let (files, key) = (Arc::clone(&self.files), name_of(key)?);
        let look = async {
            // Whatever has the name takes it, be it a directory or a link to nowhere.
            let found = blocking(move || files.look(key)).await;
            let found = found.map_err(|error| Failure::directory("looking the object up", &error))?;
            Ok(found.map(|found| found.len()))
        };
        within(self.patience, "looking the object up", look).await
    }

    /// Copies a file to a hidden name, and then gives it its own, which must not be taken.
    pub(super) async fn upload(
        &self,
        key: &ObjectKey,
        source: &Source,
        budget: &Arc<Budget>,
        journal: &dyn UploadJournal,
        halt: &Halt,
    ) -> Result<Moved, Failure> {
        let name = name_of(key)?;
        let hidden = Hidden::new(&self.files);
        // Before the file is there: so there is none that nobody knows.
        let opened = journal.opened(hidden.name()).await;
        opened.map_err(|text| Failure::unknown_upload(&text))?;
        let sha256 = match self.make(&hidden, &name, source, budget, halt).await {
            Ok(sha256) => sha256,
            Err(failure) => {
                hidden.remove(self.patience).await;
                return Err(failure);
            }
        };
        // From here on there is an object, and a halt comes too late.
        let size_bytes = self.find(key).await?.ok_or_else(Failure::no_object)?;
        Ok(Moved { size_bytes, sha256 })
    }

    /// Makes the whole object, name and all.
    async fn make(
        &self,
        hidden: &Hidden,
        name: &str,
        source: &Source,
        budget: &Arc<Budget>,
        halt: &Halt,
    ) -> Result<Sha256, Failure> {
        unless_halted(halt, async { Ok(()) }).await?;
        // Not dropped half-way: the file could appear after it was removed.
        let file = within(self.patience, "creating the object", hidden.create()).await?;
        let fill = async {
            let sha256 = self.copy(source, &file, budget).await?;
            source.refuse_if_changed().await?;
            let file = Arc::clone(&file);
            let complete = async {
                let synced = blocking(move || file.sync_all()).await;
                synced.map_err(|error| Failure::directory("writing the object", &error))
            };
            within(self.patience * SYNC_FACTOR, "writing the object", complete).await?;
            Ok(sha256)
        };
        let sha256 = unless_halted(halt, fill).await?;
        within(self.patience, "naming the object", hidden.become_object(file, name)).await?;
        Ok(sha256)
    }

    /// Whether an object can be read; gives its length.
    pub(super) async fn open_to_read(&self, key: &ObjectKey) -> Result<u64, Failure> {
        let open = self.open_object(name_of(key)?);
        let (_, length) = within(self.patience, "opening the object", open).await?;
        Ok(length)
    }

    /// Makes a small object as an upload does, reads it, and removes it.
    pub(super) async fn try_out(&self, key: &ObjectKey, content: &'static [u8]) -> Result<(), Failure> {
        let name = name_of(key)?;
        let hidden = Hidden::new(&self.files);
        let tried = self.make_and_read(&hidden, &name, content).await;
        hidden.remove(self.patience).await;
        let files = Arc::clone(&self.files);
        let remove = async {
            // Whatever failed, the name may be there.
            let removed = blocking(move || ignore_absence(files.remove(name))).await;
            removed.map_err(|error| Failure::directory("removing the object", &error))
        };
        let removed = within(self.patience, "removing the object", remove).await;
        tried.and(removed)
    }

    async fn make_and_read(&self, hidden: &Hidden, name: &str, content: &'static [u8]) -> Result<(), Failure> {
        let file = within(self.patience, "creating the object", hidden.create()).await?;
        let write = {
            let file = Arc::clone(&file);
            async {
                let written = blocking(move || file.write_all_at(content, 0).and_then(|()| file.sync_all())).await;
                written.map_err(|error| Failure::directory("writing the object", &error))
            }
        };
        within(self.patience, "writing the object", write).await?;
        within(self.patience, "naming the object", hidden.become_object(file, name)).await?;
        let read = async {
            let (file, length) = self.open_object(name.to_owned()).await?;
            let mut found = vec![0; content.len()];
            let is_same = length == content.len() as u64
                && blocking(move || file.read_exact_at(&mut found, 0).map(|()| found == content))
                    .await
                    .map_err(|error| Failure::directory("reading the object", &error))?;
            match is_same {
                true => Ok(()),
                false => Err(Failure::strange("the object holds something else than was written")),
            }
        };
        within(self.patience, "reading the object", read).await
    }

    /// Removes what uploads under these hidden names have left; nothing that has another name.
    pub(super) async fn discard(&self, known: &[String]) -> Result<(), Failure> {
        let mut result = Ok(());
        for name in known {
            let discarded = match Hidden::known(&self.files, name) {
                Ok(hidden) => within(self.patience, "removing an unfinished file", hidden.discard()).await,
                Err(failure) => Err(failure),
            };
            result = result.and(discarded);
        }
        result
    }

    async fn copy(&self, source: &Source, file: &Arc<File>, budget: &Arc<Budget>) -> Result<Sha256, Failure> {
        let digest = Digest::default();
        for part in parts(source.size, COPY_BYTES) {
            let piece = source.read(part, budget, &digest).await?;
            let file = Arc::clone(file);
            let write = async {
                let written = blocking(move || file.write_all_at(&piece, part.offset)).await;
                written.map_err(|error| Failure::directory("writing the object", &error))
            };
            let write = within(self.patience, "writing the object", write);
            self.stall.watch(write).await?;
            tally::moved(part.length as u64);
        }
        Ok(digest.value())
    }

    pub(super) async fn download(
        &self,
        key: &ObjectKey,
        target: &LocalFile,
        expected: Expected,
        budget: &Arc<Budget>,
    ) -> Result<Moved, Failure> {
        let open = self.open_object(name_of(key)?);
        let (file, length) = within(self.patience, "opening the object", open).await?;
        refuse_other_size(length, expected)?;
        let target = Target::open(target).await?;
        tally::expect(length);
        let fill = async {
            let writing = target.write(&self.stall);
            let received = self.receive(file, length, &writing, budget).await;
            // If nothing more was taken, it tells why.
            let sha256 = writing.finish().await?;
            received.map(|()| sha256)
        };
        let sha256 = self.stall.watch(fill).await?;
        target.finish(length).await?;
        checked(length, sha256, expected)
    }

    /// The object, which is a regular file and no link, and its length.
    async fn open_object(&self, name: String) -> Result<(File, u64), Failure> {
        let files = Arc::clone(&self.files);
        blocking(move || {
            let found = files.look(&name);
            let found = found.map_err(|error| Failure::directory("looking the object up", &error))?;
            let found = found.ok_or_else(Failure::no_object)?;
            // A pipe would never end, and a link may lead out of the allowed directories.
            if !found.is_file() {
                return Err(Failure::denied("what has this name is not a regular file"));
            }
            let opened = files.read(&name).and_then(|(file, opened)| {
                files.refuse_strangers_link(&opened)?;
                Ok((file, opened.len()))
            });
            opened.map_err(|error| Failure::directory("opening the object", &error))
        })
        .await
    }

    async fn receive(&self, file: File, length: u64, writing: &Writing, budget: &Arc<Budget>) -> Result<(), Failure> {
        let file = Arc::new(file);
        for part in parts(length, COPY_BYTES) {
            let mut buffer = self.stall.excuse(|| writing.is_idle(), budget.lend(part.length)).await;
            let file = Arc::clone(&file);
            let read = blocking(move || {
                let result = file.read_exact_at(buffer.as_mut(), part.offset);
                (buffer, result)
            });
            let read = within(self.patience, "reading the object", async { Ok(read.await) });
            let (buffer, result) = read.await?;
            self.stall.moved();
            match result {
                Ok(()) => writing.append(buffer, part.length).await?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Failure::changed_object()),
                Err(error) => return Err(Failure::directory("reading the object", &error)),
            };
            tally::moved(part.length as u64);
        }
        Ok(())
    }
}

/// The name that an object's file has.
fn name_of(key: &ObjectKey) -> Result<String, Failure> {
    let path = object_path(key)?;
    if path.parts_count() != 1 {
        return Err(Failure::strange("a file name cannot hold a /"));
    }
    Ok(String::from(path))
}

/// The directory, opened: the root by its path, as the operator has named it, and from there name by
/// name. The root that is nearest counts, should there be several.
fn allowed(path: &Path, roots: &[PathBuf]) -> Result<OpenDirectory, Failure> {
    if roots.is_empty() {
        return Err(Failure::denied(
            "the agent is not set up for directories: it has no list of allowed ones",
        ));
    }
    let ways = roots
        .iter()
        .filter_map(|root| Some((root, path.strip_prefix(root).ok()?)));
    let nearest = ways.min_by_key(|(_, way)| way.components().count());
    let (root, way) = nearest.ok_or_else(|| outside("it is not below a directory that the agent may use"))?;
    let mut directory = OpenDirectory::open(root).map_err(|error| unusable(&error))?;
    for step in way.components() {
        let Component::Normal(name) = step else {
            return Err(outside("it is not below a directory that the agent may use"));
        };
        match directory.look(name) {
            Ok(Some(found)) if found.is_symlink() => {
                let link = directory.at(name);
                return Err(outside(&format!(
                    "{} is a symbolic link, which is not followed below a directory that the agent may use",
                    link.display()
                )));
            }
            Ok(_) | Err(_) => {}
        }
        directory = directory.enter(name).map_err(|error| unusable(&error))?;
    }
    Ok(directory)
}

fn outside(text: &str) -> Failure {
    Failure::denied(format!("{text}; check the path and the agent's allowed_file_roots"))
}

fn unusable(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::missing("there is no such directory; create it or mount it first"),
        io::ErrorKind::NotADirectory => Failure::missing("it is not a directory"),
        _ => Failure::directory("opening it", error),
    }
}

/// Bounds a step by time.
async fn within<T>(
    patience: Duration,
    doing: &str,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(patience, step).await.unwrap_or_else(|_| {
        let silence = format!(
            "nothing came of it within {} s; is the mount alive?",
            patience.as_secs()
        );
        Err(Failure::directory(
            doing,
            &io::Error::new(io::ErrorKind::TimedOut, silence),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mount_that_does_not_answer_is_given_up() {
        let step = std::future::pending::<Result<(), Failure>>();
        let failure = within(Duration::from_millis(10), "writing the object", step).await;
        let text = failure.unwrap_err().to_string();
        assert!(
            text.contains("writing the object") && text.contains("is the mount alive?"),
            "{text}"
        );
    }
}
