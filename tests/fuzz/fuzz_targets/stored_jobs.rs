//! Records of jobs in the state directory.
//!
//! The first byte chooses the kind of record, and whether the rest is a record as it is or lines of JSON
//! that get their sums here.
#![no_main]

use std::sync::LazyLock;

use adapters::job_store::fuzzing::{Key, Kind};
use domain::{
    job::{Job, JobId, JobKey},
    plan::JobKind,
};
use libfuzzer_sys::fuzz_target;
use osb_backup_agent_fuzz::choice;

static KEY: LazyLock<Key> = LazyLock::new(Key::default);

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = choice(data) else { return };
    let kind = if choice & 1 == 0 { Kind::Open } else { Kind::Finished };
    let job_kind = if choice & 2 == 0 {
        JobKind::Backup
    } else {
        JobKind::Restore
    };
    let job_key = JobKey::new(job_kind, JobId::parse("job-1").expect("an id"));
    let record = if choice & 4 == 0 {
        match KEY.record_of(kind, &job_key, rest) {
            Ok(record) => record,
            Err(_) => return,
        }
    } else {
        rest.to_vec()
    };
    let Ok((job, sound_bytes)) = KEY.decode(kind, &record, &job_key) else {
        return;
    };
    // What follows these is overwritten by the next event.
    let sound = &record[..usize::try_from(sound_bytes).expect("it is no longer than the record")];
    assert_eq!(sound.last(), Some(&b'\n'));
    assert_eq!(job.key(), job_key);
    assert_eq!(
        kind == Kind::Finished && !job.is_settled(),
        false,
        "it could come back to life"
    );
    written_and_read_again(kind, &job);
    let _ = job.view();
});

/// What decodes encodes to the same.
fn written_and_read_again(kind: Kind, job: &Job) {
    let bytes = KEY.encode(kind, job).expect("what was read can be written");
    let (again, sound_bytes) = KEY
        .decode(kind, &bytes, &job.key())
        .expect("what was written can be read");
    assert_eq!(sound_bytes, bytes.len() as u64);
    assert_eq!(again.accepted_at(), job.accepted_at());
    assert_eq!(again.events(), job.events());
    assert_eq!(again.policy(), job.policy());
    assert_eq!(again.status(), job.status());
    match kind {
        Kind::Open => assert_eq!(again.request(), job.request()),
        // Secrets that somebody has put there are not kept.
        Kind::Finished => assert_eq!(*again.request(), job.request().clone().without_secrets()),
    }
}
