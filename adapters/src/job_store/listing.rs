//! The list of settled jobs, newest first.
//!
//! In memory is only in which order they were accepted; what else is told of them is read for one page
//! at a time.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    ops::Bound,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{
    job::{JobKey, JobView},
    ports::{JobPage, PageQuery, Place, Standing},
};

use super::{
    record::{Form, accepted_at, decode, file_name, key_of},
    writing::advice,
};

/// So many records are read for one page at most, however few of them are wanted: whoever wants the
/// others asks for the next page.
const MOST_RECORDS: usize = 1000;
/// So many places are looked at between two looks at what has changed.
const PLACES_AT_A_TIME: usize = 100;
/// The first line of a record holds a request, which is not longer.
const MAX_HEADER_BYTES: u64 = 4 * 1024 * 1024;

/// In which order the settled jobs were accepted. Nothing is known before somebody asks.
#[derive(Debug, Default)]
pub(super) struct Listing {
    state: Mutex<State>,
    /// Held by the one who reads all records.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// None before all records were read.
    places: Option<BTreeSet<Place>>,
    /// What has changed while they are read; none if nobody does.
    changes: Option<Vec<Change>>,
}

#[derive(Debug)]
enum Change {
    Added(Place),
    Forgotten(JobKey),
}

impl Change {
    fn apply(self, places: &mut BTreeSet<Place>) {
        match self {
            Self::Added(place) => drop(places.insert(place)),
            Self::Forgotten(key) => places.retain(|place| place.key != key),
        }
    }
}

impl Listing {
    /// A job was settled.
    pub(super) fn add(&self, view: &JobView) {
        self.change(Change::Added(Place::of(view)));
    }

    /// A record is gone.
    pub(super) fn forget(&self, key: &JobKey) {
        self.change(Change::Forgotten(key.clone()));
    }

    /// Everything may be different.
    pub(super) fn clear(&self) {
        *self.state() = State::default();
    }

    fn change(&self, change: Change) {
        let mut state = self.state();
        let State { places, changes } = &mut *state;
        match (places, changes) {
            (Some(places), _) => change.apply(places),
            (None, Some(changes)) => changes.push(change),
            (None, None) => {}
        }
    }

    /// A page of the jobs whose records are in `directory`. `read` gives what clients see of a job, none
    /// if there is no such job any more.
    pub(super) fn page(
        &self,
        directory: &Path,
        wanted: &PageQuery,
        read: impl Fn(&JobKey) -> Result<Option<JobView>, String>,
    ) -> Result<JobPage, String> {
        let mut page = JobPage::default();
        if wanted.jobs.standing == Some(Standing::Running) {
            return Ok(page);
        }
        let mut records_left = MOST_RECORDS;
        let mut after = wanted.after.clone();
        loop {
            let places = self.next(directory, after.as_ref())?;
            let Some(last) = places.last().cloned() else {
                return Ok(page);
            };
            for place in places {
                if wanted.jobs.since.is_some_and(|since| place.accepted_at < since) {
                    // Those behind it are older still.
                    return Ok(page);
                }
                if !wanted.jobs.takes_place(&place) {
                    continue;
                }
                match read(&place.key)? {
                    Some(view) if Place::of(&view) == place => {
                        if wanted.takes(&view) {
                            page.jobs.push(JobView {
                                logs: Vec::new(),
                                ..view
                            });
                        }
                    }
                    // It was removed, perhaps by somebody else, and its id may have come again.
                    Some(_) | None => self.drop(&place),
                }
                records_left -= 1;
                if page.jobs.len() >= wanted.most || records_left == 0 {
                    page.next = Some(place);
                    return Ok(page);
                }
            }
            after = Some(last);
        }
    }

    /// The next places behind one, newest first.
    fn next(&self, directory: &Path, after: Option<&Place>) -> Result<Vec<Place>, String> {
        loop {
            if let Some(known) = &self.state().places {
                let end = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
                let behind = known.range((Bound::Unbounded, end)).rev();
                return Ok(behind.take(PLACES_AT_A_TIME).cloned().collect());
            }
            self.learn(directory)?;
        }
    }

    /// Reads all records, unless somebody else just did. Who settles a job does not wait meanwhile: that
    /// may take long, and a service may be locked.
    fn learn(&self, directory: &Path) -> Result<(), String> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            if state.places.is_some() {
                return Ok(());
            }
            state.changes = Some(Vec::new());
        }
        let found = all_places(directory);
        let mut state = self.state();
        // None if everything may be different by now.
        let changes = state.changes.take();
        let mut places = found?;
        if let Some(changes) = changes {
            for change in changes {
                change.apply(&mut places);
            }
            state.places = Some(places);
        }
        Ok(())
    }

    fn drop(&self, place: &Place) {
        if let Some(places) = self.state().places.as_mut() {
            places.remove(place);
        }
    }

    /// Each change is complete before anything could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of all records. Damaged ones are passed over: whoever asks for them by their own id is told.
fn all_places(directory: &Path) -> Result<BTreeSet<Place>, String> {
    let unreadable = |error: io::Error| unreadable(directory, &error);
    let mut places = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Some(key) = entry.file_name().to_str().and_then(key_of) else {
            continue;
        };
        let path = entry.path();
        let line = unless_gone(first_line(&path)).map_err(|error| self::unreadable(&path, &error))?;
        let Some(line) = line else { continue };
        if let Ok(accepted_at) = accepted_at(&line) {
            places.insert(Place { accepted_at, key });
        }
    }
    Ok(places)
}

fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(MAX_HEADER_BYTES)).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// What clients see of a settled job; none if it is gone, or its record is damaged.
///
/// # Errors
///
/// If the record cannot be read now.
pub(super) fn read(directory: &Path, key: &JobKey) -> Result<Option<JobView>, String> {
    let path = directory.join(file_name(key));
    let bytes = unless_gone(fs::read(&path)).map_err(|error| unreadable(&path, &error))?;
    let record = bytes.and_then(|bytes| decode(&bytes, key, Form::Finished).ok());
    Ok(record.map(|record| record.job.view()))
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}{}", path.display(), advice(error))
}
