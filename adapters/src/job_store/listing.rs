//! The list of settled jobs, newest first.
//!
//! In memory is only in which order they were accepted; what else is told of them is read for one page
//! at a time.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
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
pub(super) struct Listing(Mutex<Option<BTreeSet<Place>>>);

impl Listing {
    /// A job was settled.
    pub(super) fn add(&self, view: &JobView) {
        if let Some(places) = self.places().as_mut() {
            places.insert(Place::of(view));
        }
    }

    /// A record is gone.
    pub(super) fn forget(&self, key: &JobKey) {
        if let Some(places) = self.places().as_mut() {
            places.retain(|place| place.key != *key);
        }
    }

    /// Everything may be different.
    pub(super) fn clear(&self) {
        *self.places() = None;
    }

    /// A page of the jobs whose records are in `directory`. `read` gives what clients see of a job.
    pub(super) fn page(
        &self,
        directory: &Path,
        wanted: &PageQuery,
        read: impl Fn(&JobKey) -> Option<JobView>,
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
                match read(&place.key) {
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
        // Who asks first holds it while all first lines are read. Who settles a job waits meanwhile, so
        // none is missed.
        let mut places = self.places();
        let known = match places.take() {
            Some(known) => known,
            None => all_places(directory)?,
        };
        let known = places.insert(known);
        let end = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let behind = known.range((Bound::Unbounded, end)).rev();
        Ok(behind.take(PLACES_AT_A_TIME).cloned().collect())
    }

    fn drop(&self, place: &Place) {
        if let Some(places) = self.places().as_mut() {
            places.remove(place);
        }
    }

    /// Each change is complete before anything could panic.
    fn places(&self) -> MutexGuard<'_, Option<BTreeSet<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of all records. Those that cannot be read are passed over: whoever asks for them by their
/// own id is told.
fn all_places(directory: &Path) -> Result<BTreeSet<Place>, String> {
    let unreadable = |error: &std::io::Error| format!("cannot read {}: {error}{}", directory.display(), advice(error));
    let mut places = BTreeSet::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(&error))? {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let Some(key) = entry.file_name().to_str().and_then(key_of) else {
            continue;
        };
        let Ok(line) = first_line(&entry.path()) else { continue };
        if let Ok(accepted_at) = accepted_at(&line) {
            places.insert(Place { accepted_at, key });
        }
    }
    Ok(places)
}

fn first_line(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(MAX_HEADER_BYTES)).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// What clients see of a settled job, if its record can be read.
pub(super) fn read(directory: &Path, key: &JobKey) -> Option<JobView> {
    let bytes = fs::read(directory.join(file_name(key))).ok()?;
    Some(decode(&bytes, key, Form::Finished).ok()?.job.view())
}
