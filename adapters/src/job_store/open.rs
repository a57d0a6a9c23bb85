//! The jobs that are not settled: in memory, and each in a file that grows by a line for each event.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use domain::job::{Job, JobKey};

use super::{
    home::{Home, Places},
    problems::Problems,
    record::{Form, Record, decode, encode, encode_events, file_name, key_of},
    writing::{TEMPORARY, advice, remove, remove_quietly, write_whole},
};

/// An open job, and how much of it is on the disk.
#[derive(Debug, Clone)]
pub(super) struct OpenJob {
    pub(super) job: Job,
    pub(super) written_events: usize,
    pub(super) written_bytes: u64,
}

/// Writes a whole open record.
pub(super) fn write(home: &Home, job: &Job) -> Result<OpenJob, String> {
    let bytes = encode(job, Form::Open(home.key())).map_err(|error| cannot_write(job, home, &error))?;
    write_whole(&home.places().open(), &file_name(&job.key()), &bytes).map_err(|error| fault(job, home, &error))?;
    Ok(OpenJob {
        job: job.clone(),
        written_events: job.events().len(),
        written_bytes: bytes.len() as u64,
    })
}

/// Appends the events that are not on the disk yet.
pub(super) fn append(home: &Home, known: &OpenJob, job: &Job) -> Result<OpenJob, String> {
    let Some(events) = job.events().get(known.written_events..) else {
        return write(home, job);
    };
    let lines = encode_events(events).map_err(|error| cannot_write(job, home, &error))?;
    let path = home.places().open().join(file_name(&job.key()));
    match append_lines(&path, known.written_bytes, &lines) {
        Ok(()) => Ok(OpenJob {
            job: job.clone(),
            written_events: job.events().len(),
            written_bytes: known.written_bytes + lines.len() as u64,
        }),
        // Somebody has removed or cut it.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
            write(home, job)
        }
        Err(error) => Err(fault(job, home, &error)),
    }
}

fn append_lines(path: &Path, sound_bytes: u64, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    if length < sound_bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if length > sound_bytes {
        // What a failed write has left; it must not end up in the middle.
        file.set_len(sound_bytes)?;
    }
    file.seek(SeekFrom::Start(sound_bytes))?;
    file.write_all(lines)?;
    file.sync_data()
}

/// Puts a settled job among the finished ones, and returns the length of its record.
pub(super) fn settle(home: &Home, job: &Job) -> Result<u64, String> {
    let bytes = encode(job, Form::Finished).map_err(|error| cannot_write(job, home, &error))?;
    let name = file_name(&job.key());
    write_whole(&home.places().finished(), &name, &bytes).map_err(|error| fault(job, home, &error))?;
    // If it stays, the finished one counts, and the next agent removes it.
    if let Err(error) = remove(&home.places().open(), &name) {
        tracing::warn!(job = %job.key(), %error, "the open record of a finished job cannot be removed");
    }
    Ok(bytes.len() as u64)
}

/// Reads all open records; damaged ones are put aside.
pub(super) fn load(home: &Home, problems: &Problems) -> Result<Vec<OpenJob>, String> {
    let directory = home.places().open();
    let unreadable = |error: &io::Error| format!("cannot read {}: {error}{}", directory.display(), advice(error));
    let mut jobs = Vec::new();
    for entry in fs::read_dir(&directory).map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(TEMPORARY) || home.places().finished().join(&name).exists() {
            remove_quietly(&path);
            continue;
        }
        match read(home, &path, &name) {
            Ok(job) => jobs.push(job),
            Err(why) => put_aside(&home.places(), problems, &path, &name, &why),
        }
    }
    jobs.sort_by_key(|open| (open.job.accepted_at(), open.job.key()));
    Ok(jobs)
}

fn read(home: &Home, path: &Path, name: &str) -> Result<OpenJob, String> {
    let key = key_of(name).ok_or("its name is not that of a job")?;
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let Record { job, sound_bytes } = decode(&bytes, &key, Form::Open(home.key()))?;
    Ok(OpenJob {
        written_events: job.events().len(),
        written_bytes: sound_bytes,
        job,
    })
}

/// Reads a finished record; one that is damaged is put aside.
pub(super) fn read_finished(places: &Places, problems: &Problems, key: &JobKey) -> Result<Option<Job>, String> {
    let name = file_name(key);
    let path = places.finished().join(&name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(format!("cannot read the record of {key}: {error}{}", advice(&error))),
    };
    match decode(&bytes, key, Form::Finished) {
        Ok(record) => Ok(Some(record.job)),
        Err(why) => {
            put_aside(places, problems, &path, &name, &why);
            Err(format!(
                "the record of {key} is damaged ({why}) and was put aside in {}",
                places.damaged().display()
            ))
        }
    }
}

/// Keeps what cannot be read under another name, and says so.
fn put_aside(places: &Places, problems: &Problems, path: &Path, name: &str, why: &str) {
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%S%.6f");
    let aside = places.damaged().join(format!("{name}.{now}"));
    let kept = match fs::rename(path, &aside) {
        Ok(()) => aside,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a damaged record cannot be put aside");
            path.to_owned()
        }
    };
    tracing::error!(
        record = name,
        kept = %kept.display(),
        why,
        "the record of a job is damaged, and its unlock may be owed: run the unlock script by hand, then remove the file"
    );
    problems.add_damaged(kept, why);
}

fn fault(job: &Job, home: &Home, error: &io::Error) -> String {
    cannot_write(job, home, &format!("{error}{}", advice(error)))
}

fn cannot_write(job: &Job, home: &Home, why: &str) -> String {
    let directory = home.directory().display();
    format!("cannot write the record of {} in {directory}: {why}", job.key())
}
