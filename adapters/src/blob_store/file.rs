//! A directory of this machine, such as a mount, in place of a bucket.

use std::{
    fs, io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{Halt, Moved, UploadJournal},
    request::FileStore,
};
use object_store::{
    GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RenameOptions, RenameTargetMode,
    local::LocalFileSystem, path::Path,
};
use tokio::{runtime::Handle, time::timeout};

use super::{
    Limits,
    bucket::object_path,
    budget::Budget,
    digest::Digest,
    download::{checked, refuse_other_size},
    failure::Failure,
    halting::unless_halted,
    hidden::Hidden,
    local::{Source, Target, blocking},
    movement::Stall,
    parts::parts,
};

/// So much is copied at a time.
const COPY_BYTES: u64 = 1024 * 1024;

/// Putting a whole file on the disk may take so many times as long as any other step.
const SYNC_FACTOR: u32 = 10;

/// A directory that may be used.
#[derive(Debug)]
pub(super) struct Directory {
    files: LocalFileSystem,
    /// How long one step may take. A mount whose server is gone does not answer at all; the thread
    /// that asked waits on, but the job does not.
    patience: Duration,
    /// Watches over the pieces.
    stall: Stall,
}

impl Directory {
    /// Opens the directory, if it lies below one of the roots when all links are looked through.
    pub(super) async fn open(store: &FileStore, roots: &[PathBuf], limits: Limits) -> Result<Self, Failure> {
        let (path, roots) = (store.path.clone(), roots.to_vec());
        let open = blocking(move || {
            let directory = allowed(&path, &roots)?;
            let files = LocalFileSystem::new_with_prefix(&directory).map_err(|error| failure("opening it", error))?;
            Ok(files.with_fsync(true))
        });
        let patience = limits.retry;
        let files = within(patience, "opening it", open).await?;
        Ok(Self {
            files,
            patience,
            stall: Stall::new(limits.stall, &Arc::default()),
        })
    }

    pub(super) async fn find(&self, key: &ObjectKey) -> Result<Option<u64>, Failure> {
        let (_, path) = self.place(key)?;
        let look = async {
            // Whatever has the name takes it, be it a directory or a link to nowhere.
            match blocking(move || fs::symlink_metadata(path)).await {
                Ok(found) => Ok(Some(found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Failure::directory("looking the object up", &error)),
            }
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
        let (key, place) = self.place(key)?;
        let hidden = Hidden::new(&self.files)?;
        // Before the file is there: so there is none that nobody knows.
        let opened = journal.opened(hidden.name()).await;
        opened.map_err(|text| Failure::unknown_upload(&text))?;
        let sha256 = match self.make(&hidden, (&key, place), source, budget, halt).await {
            Ok(sha256) => sha256,
            Err(failure) => {
                hidden.remove(self.patience).await;
                return Err(failure);
            }
        };
        // From here on there is an object, and a halt comes too late.
        let look = async {
            let stored = self.files.head(&key).await;
            stored.map_err(|error| failure("looking the object up", error))
        };
        let object = within(self.patience, "looking the object up", look).await?;
        Ok(Moved {
            size_bytes: object.size,
            sha256,
        })
    }

    /// Makes the whole object, name and all.
    async fn make(
        &self,
        hidden: &Hidden,
        (key, place): (&Path, PathBuf),
        source: &Source,
        budget: &Arc<Budget>,
        halt: &Halt,
    ) -> Result<Sha256, Failure> {
        unless_halted(halt, async { Ok(()) }).await?;
        // Not dropped half-way: the file could appear after it was removed.
        let mut upload = within(self.patience, "creating the object", self.create(hidden)).await?;
        let fill = async {
            let sha256 = self.copy(source, upload.as_mut(), budget).await?;
            source.refuse_if_changed().await?;
            let complete = async {
                let completed = upload.complete().await;
                completed.map_err(|error| failure("writing the object", error))
            };
            within(self.patience * SYNC_FACTOR, "writing the object", complete).await?;
            Ok(sha256)
        };
        let sha256 = unless_halted(halt, fill).await?;
        within(self.patience, "naming the object", self.name(hidden, key, place)).await?;
        Ok(sha256)
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

    /// The library opens the file on the spot, so not on a thread that serves others.
    async fn create(&self, hidden: &Hidden) -> Result<Box<dyn MultipartUpload>, Failure> {
        let (files, key, runtime) = (self.files.clone(), hidden.key.clone(), Handle::current());
        let upload = blocking(move || runtime.block_on(files.put_multipart(&key))).await;
        let upload = upload.map_err(|error| failure("creating the object", error))?;
        hidden.keep_to_owner().await?;
        Ok(upload)
    }

    async fn copy(
        &self,
        source: &Source,
        upload: &mut dyn MultipartUpload,
        budget: &Arc<Budget>,
    ) -> Result<Sha256, Failure> {
        let digest = Digest::default();
        for part in parts(source.size, COPY_BYTES) {
            let piece = source.read(part, budget, &digest).await?;
            let write = async {
                let written = upload.put_part(PutPayload::from(piece)).await;
                written.map_err(|error| failure("writing the object", error))
            };
            let write = within(self.patience, "writing the object", write);
            self.stall.watch(write).await?;
        }
        Ok(digest.value())
    }

    /// Gives a whole file its name: by a hard link, which fails if the name is taken even since a
    /// moment ago.
    async fn name(&self, hidden: &Hidden, key: &Path, place: PathBuf) -> Result<(), Failure> {
        let create = RenameOptions::new().with_target_mode(RenameTargetMode::Create);
        let renamed = self.files.rename_opts(&hidden.key, key, create).await;
        if let Err(error) = renamed
            && !hidden.has_also_this_name(place).await
        {
            return Err(failure(
                "naming the object by a hard link, which the file system must have",
                error,
            ));
        }
        Ok(())
    }

    pub(super) async fn download(
        &self,
        key: &ObjectKey,
        target: &FilePath,
        expected: Expected,
        budget: &Arc<Budget>,
    ) -> Result<Moved, Failure> {
        let (key, path) = self.place(key)?;
        let (file, length) = within(self.patience, "opening the object", self.open_object(&key, path)).await?;
        refuse_other_size(length, expected)?;
        let target = Target::open(target).await?;
        let sha256 = self.receive(file, length, &target, budget).await?;
        target.finish(length).await?;
        checked(length, sha256, expected)
    }

    /// The object, which is a regular file and no link, and its length.
    async fn open_object(&self, key: &Path, path: PathBuf) -> Result<(fs::File, u64), Failure> {
        let named = blocking(move || fs::symlink_metadata(path)).await;
        let named = named.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::no_object(),
            _ => Failure::directory("looking the object up", &error),
        })?;
        // A pipe would never end, and a link may lead out of the allowed directories.
        if !named.is_file() {
            return Err(Failure::denied("what has this name is not a regular file"));
        }
        let object = self.files.get(key).await;
        let object = object.map_err(|error| failure("opening the object", error))?;
        let GetResultPayload::File(file, _) = object.payload else {
            return Err(Failure::strange("the object is no file"));
        };
        let opened = file.metadata();
        let opened = opened.map_err(|error| Failure::directory("opening the object", &error))?;
        if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Err(Failure::denied(
                "another file took the object's name while it was opened",
            ));
        }
        Ok((file, opened.len()))
    }

    async fn receive(
        &self,
        file: fs::File,
        length: u64,
        target: &Target,
        budget: &Arc<Budget>,
    ) -> Result<Sha256, Failure> {
        let file = Arc::new(file);
        let digest = Digest::default();
        for part in parts(length, COPY_BYTES) {
            let mut buffer = budget.lend(part.length).await;
            let (file, digest) = (Arc::clone(&file), digest.clone());
            let read = blocking(move || {
                let result = file.read_exact_at(buffer.as_mut(), part.offset);
                digest.update(buffer.as_ref());
                (buffer, result)
            });
            let read = within(self.patience, "reading the object", async { Ok(read.await) });
            let (buffer, result) = self.stall.watch(read).await?;
            match result {
                Ok(()) => target.write(part.offset, buffer, part.length).await?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Failure::changed_object()),
                Err(error) => return Err(Failure::directory("reading the object", &error)),
            };
        }
        Ok(digest.value())
    }

    /// Where an object is.
    fn place(&self, key: &ObjectKey) -> Result<(Path, PathBuf), Failure> {
        let path = object_path(key)?;
        if path.parts_count() != 1 {
            return Err(Failure::strange("a file name cannot hold a /"));
        }
        match self.files.path_to_filesystem(&path) {
            Ok(file) => Ok((path, file)),
            // Such names are those of unfinished files of the library.
            Err(_) => Err(Failure::strange(
                "a name that ends with # and a number cannot be used in a directory",
            )),
        }
    }
}

/// The directory, with all links looked through.
fn allowed(path: &FilePath, roots: &[PathBuf]) -> Result<PathBuf, Failure> {
    if roots.is_empty() {
        return Err(Failure::denied(
            "the agent is not set up for directories: it has no list of allowed ones",
        ));
    }
    let directory = fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::missing("there is no such directory; create it or mount it first"),
        _ => Failure::directory("opening it", &error),
    })?;
    // A root that is not there has nothing below it.
    let roots: Vec<_> = roots.iter().filter_map(|root| fs::canonicalize(root).ok()).collect();
    if !roots.iter().any(|root| directory.starts_with(root)) {
        return Err(Failure::denied(
            "it is not below a directory that the agent may use, after all links are followed; \
             check the path and the agent's allowed directories",
        ));
    }
    if !directory.is_dir() {
        return Err(Failure::missing("it is not a directory"));
    }
    Ok(directory)
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

/// The library's errors wrap those of the system.
pub(super) fn failure(doing: &str, error: object_store::Error) -> Failure {
    if matches!(error, object_store::Error::AlreadyExists { .. }) {
        return Failure::taken();
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Failure::directory(doing, error);
        }
        cause = error.source();
    }
    Failure::strange(format!("{doing}: {error}"))
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
