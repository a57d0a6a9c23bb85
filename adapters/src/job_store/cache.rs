//! What clients see of the settled jobs that were asked for last: they poll the same ones again and
//! again, and reading a record takes several times as long as answering from memory.

use std::{
    collections::{BTreeMap, HashMap},
    mem::size_of,
    sync::Arc,
};

use domain::job::{JobKey, JobView, PhaseRecord};

/// Enough for some ten thousand jobs whose scripts say little.
const MAX_BYTES: usize = 26 * 1024 * 1024;
/// What a text, a log or an entry of the two maps takes beside its bytes, roughly.
const OVERHEAD_BYTES: usize = 32;

/// Keeps views of settled jobs, as many as have room. The one that was not asked for the longest goes
/// first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    held: HashMap<Arc<JobKey>, Held>,
    by_turn: BTreeMap<u64, Arc<JobKey>>,
    bytes: usize,
    next_turn: u64,
    changes: u64,
}

#[derive(Debug)]
struct Held {
    view: Arc<JobView>,
    bytes: usize,
    turn: u64,
}

impl Cache {
    pub(super) fn get(&mut self, key: &JobKey) -> Option<Arc<JobView>> {
        let held = self.held.get_mut(key)?;
        if let Some(key) = self.by_turn.remove(&held.turn) {
            held.turn = self.next_turn;
            self.by_turn.insert(held.turn, key);
            self.next_turn += 1;
        }
        Some(Arc::clone(&held.view))
    }

    /// How often records have changed, so far as the cache was told. To be asked for before a record is
    /// read that is to be put here.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes in what was read, unless a record has changed since: it may have been this one.
    pub(super) fn put(&mut self, view: JobView, as_of: u64) {
        if as_of == self.changes {
            self.insert(view);
        }
    }

    /// Takes in what was just written.
    pub(super) fn replace(&mut self, view: JobView) {
        self.changes += 1;
        self.insert(view);
    }

    /// To be called once the record is gone, not before: it could be read once more.
    pub(super) fn forget(&mut self, key: &JobKey) {
        self.changes += 1;
        self.drop(key);
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            changes: self.changes + 1,
            ..Self::default()
        };
    }

    fn insert(&mut self, view: JobView) {
        self.drop(&view.key);
        let key = Arc::new(view.key.clone());
        let held = Held {
            bytes: bytes_of(&view),
            turn: self.next_turn,
            view: Arc::new(view),
        };
        self.next_turn += 1;
        self.bytes += held.bytes;
        self.by_turn.insert(held.turn, Arc::clone(&key));
        self.held.insert(key, held);
        while self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.by_turn.pop_first() else {
                return;
            };
            self.drop(&oldest);
        }
    }

    fn drop(&mut self, key: &JobKey) {
        if let Some(held) = self.held.remove(key) {
            self.by_turn.remove(&held.turn);
            self.bytes -= held.bytes;
        }
    }
}

/// What a view takes here, roughly; all that may be long counts.
fn bytes_of(view: &JobView) -> usize {
    let echo = &view.destination;
    let texts = [
        view.key.id.as_str(),
        view.key.id.as_str(),
        &view.host,
        &view.database,
        &echo.kind,
        &echo.region,
        &echo.endpoint,
        &echo.bucket,
        &echo.auth_url,
        &echo.domain,
        &echo.container_name,
        &echo.project_name,
        &echo.account,
        &echo.container,
        &echo.path,
        &echo.filename_prefix,
        view.restore_filename.as_deref().unwrap_or_default(),
        view.artifact.as_ref().map_or("", |artifact| &artifact.filename),
        // Of the failures and the notes, all in one.
        &view.error_message().unwrap_or_default(),
    ];
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    let logs = view.logs.iter().flat_map(|(_, log)| [&*log.stdout, &*log.stderr]);
    let of_text = |text: &str| text.len() + OVERHEAD_BYTES;
    // Each log is shared text, and has its entry in the list.
    let of_log = |text: &str| text.len() + 2 * OVERHEAD_BYTES;
    let in_maps = size_of::<Held>() + 4 * OVERHEAD_BYTES;
    let phases = view.phases.len() * size_of::<PhaseRecord>() + OVERHEAD_BYTES;
    size_of::<JobView>() + in_maps + phases + texts.map(of_text).sum::<usize>() + logs.map(of_log).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use domain::{
        job::{Job, JobId, ScriptLog},
        plan::{FailurePolicy, JobKind, Phase, Transfer},
        testing::request,
    };

    use super::*;

    fn key(id: &str) -> JobKey {
        JobKey::new(JobKind::Backup, JobId::parse(id).unwrap())
    }

    fn view(id: &str, log_bytes: usize) -> JobView {
        let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
        let request = request(JobKind::Backup, id, Transfer::ByAgent);
        let mut view = Job::accepted(request, FailurePolicy::default(), at).view();
        let stdout = "x".repeat(log_bytes).into();
        let stderr = "".into();
        view.logs.push((Phase::Backup, ScriptLog { stdout, stderr }));
        view
    }

    #[test]
    fn what_was_asked_for_last_stays_and_all_together_are_bounded() {
        let mut cache = Cache::default();
        let size = MAX_BYTES / 4;
        for id in ["a", "b", "c"] {
            cache.put(view(id, size), 0);
        }
        assert!(cache.get(&key("a")).is_some());
        cache.put(view("d", size), 0);
        for (id, is_held) in [("a", true), ("b", false), ("c", true), ("d", true)] {
            assert_eq!(cache.get(&key(id)).is_some(), is_held, "{id}");
        }
        cache.put(view("huge", MAX_BYTES), 0);
        assert!(cache.get(&key("huge")).is_none());
        assert_eq!((cache.bytes, cache.held.len(), cache.by_turn.len()), (0, 0, 0));
    }

    #[test]
    fn ten_thousand_jobs_whose_scripts_say_little_have_room() {
        let mut cache = Cache::default();
        for number in 0..10_000 {
            let mut view = view(&format!("778f038c-e1c5-11e8-9f32-{number:012}"), 80);
            view.logs.extend(vec![view.logs[0].clone(); 4]);
            cache.put(view, 0);
        }
        assert_eq!(cache.held.len(), 10_000, "{} bytes", cache.bytes);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_held() {
        type Change = fn(&mut Cache);
        let changes: [(&str, Change); 3] = [
            ("a record was removed", |cache| cache.forget(&key("j"))),
            ("a record was written", |cache| cache.replace(view("other", 0))),
            ("all records are gone", Cache::clear),
        ];
        for (name, change) in changes {
            let mut cache = Cache::default();
            let as_of = cache.changes();
            change(&mut cache);
            cache.put(view("k", 0), as_of);
            assert!(cache.get(&key("k")).is_none(), "{name}");
            let as_of = cache.changes();
            cache.put(view("k", 0), as_of);
            assert!(cache.get(&key("k")).is_some(), "{name}");
        }
    }
}
