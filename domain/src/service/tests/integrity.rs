//! That the right file is restored, that it has room, and how long a service is locked for it.

use super::bench::{Bench, Failing, Setup};
use crate::{
    artifact::{Expected, Sha256},
    job::{JobStatus, LockRecord},
    plan::{JobKind, Order, Step, Transfer},
    ports::JobStore,
    request::{JobRequest, Store, Work},
    testing::{block_on, request},
};

/// What the doubles make of every artifact.
const SIZE: u64 = super::bench::SIZE;
const DIGEST: [u8; 32] = [7; 32];
const OBJECT: &str = "h_2018_11_06_db.tar.gz";

fn downloading_first() -> Setup {
    let mut setup = Setup::default();
    setup.settings.policy.order = Order {
        download_before_lock: true,
        ..Order::default()
    };
    setup
}

fn restore_of(filename: &str, expected: Expected) -> JobRequest {
    let mut request = request(JobKind::Restore, "r", Transfer::ByAgent);
    request.work = Work::Restore {
        filename: filename.to_owned(),
        expected,
    };
    request
}

#[test]
fn a_service_need_not_be_locked_for_a_download() {
    let bench = Bench::new(downloading_first());
    let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
    assert_eq!(view.status, JobStatus::Succeeded);
    assert_eq!(
        bench.diary(),
        [
            &format!("download prefix/{OBJECT} to /r/j/.part"),
            "pre-restore-lock",
            &format!("place {OBJECT}"),
            "restore",
            "restore-cleanup",
            "post-restore-unlock",
            &format!("discard {OBJECT}"),
        ]
    );
}

#[test]
fn nor_for_one_that_fails() {
    let bench = Bench::new(Setup {
        broken: vec![(Step::Download, Failing::Error)],
        ..downloading_first()
    });
    let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
    assert!(matches!(view.status, JobStatus::Failed { .. }));
    assert_eq!((view.lock, view.owes_unlock), (LockRecord::NotTaken, false));
    let [download, discard] = [
        format!("download prefix/{OBJECT} to /r/j/.part"),
        format!("discard {OBJECT}"),
    ];
    assert_eq!(bench.diary(), [download, discard]);
}

#[test]
fn in_both_orders_every_failure_after_the_lock_unlocks() {
    for step in [Step::PlaceFile, Step::Script(crate::plan::Phase::Restore)] {
        let bench = Bench::new(Setup {
            broken: vec![(step, Failing::Error)],
            ..downloading_first()
        });
        let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
        assert_eq!(view.lock, LockRecord::Released, "{step}");
        let diary = bench.diary();
        assert!(diary.contains(&"restore-cleanup".to_owned()), "{step}: {diary:?}");
    }
}

#[test]
fn a_file_that_cannot_have_room_is_not_fetched_and_nothing_is_locked() {
    for (free, least, refusal) in [
        (
            SIZE - 1,
            0,
            Some(format!("has {SIZE} bytes, but only {} bytes are free", SIZE - 1)),
        ),
        (SIZE, 0, None),
        (SIZE + 9, 10, Some("10 are to stay free (min_free_space)".to_owned())),
        (SIZE + 10, 10, None),
    ] {
        let mut setup = Setup {
            taken: vec![format!("prefix/{OBJECT}")],
            free_bytes: Some(free),
            ..Setup::default()
        };
        setup.settings.min_free_space = least;
        let bench = Bench::new(setup);
        let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
        let message = view.error_message().unwrap_or_default();
        match refusal {
            None => assert_eq!(view.status, JobStatus::Succeeded, "{free} {least}: {message}"),
            Some(refusal) => {
                assert!(message.contains(&refusal), "{message}");
                assert_eq!((bench.diary(), view.lock), (vec![], LockRecord::NotTaken), "{message}");
            }
        }
    }
}

#[test]
fn a_restore_whose_object_is_not_known_before_goes_on_and_finds_out() {
    for broken_call in [None, Some("find")] {
        let bench = Bench::new(Setup {
            broken_call,
            free_bytes: Some(0),
            ..Setup::default()
        });
        let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
        assert_eq!(view.status, JobStatus::Succeeded, "{broken_call:?}");
    }
}

#[test]
fn a_backup_begins_only_where_as_much_is_free_as_the_operator_wants() {
    for (free, least, begins) in [(9, 10, false), (10, 10, true), (0, 0, true)] {
        let mut setup = Setup {
            free_bytes: Some(free),
            ..Setup::default()
        };
        setup.settings.min_free_space = least;
        let bench = Bench::new(setup);
        let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
        let message = view.error_message().unwrap_or_default();
        assert_eq!(view.status == JobStatus::Succeeded, begins, "{message}");
        if !begins {
            assert!(
                message.contains("only 9 bytes are free") && message.contains("wants 10"),
                "{message}"
            );
            assert!(bench.diary().is_empty());
        }
    }
}

#[test]
fn a_backup_for_which_the_room_may_not_do_is_warned_of() {
    let earlier = Bench::new(Setup {
        free_bytes: Some(SIZE - 1),
        ..Setup::default()
    });
    let first = earlier.run(request(JobKind::Backup, "first", Transfer::ByAgent));
    assert_eq!(first.notes, Vec::<String>::new());
    let bench = Bench::new(Setup {
        free_bytes: Some(SIZE - 1),
        ..Setup::default()
    });
    let known = block_on(earlier.jobs.find(&first.key)).expect("readable");
    block_on(bench.jobs.insert(&known.expect("it is known"))).expect("writable");
    let second = bench.run(request(JobKind::Backup, "second", Transfer::ByAgent));
    assert_eq!(second.status, JobStatus::Succeeded);
    let [note] = second.notes.as_slice() else {
        panic!("{:?}", second.notes);
    };
    assert!(
        note.contains(&format!("last backup of this database had {SIZE} bytes")),
        "{note}"
    );
}

#[test]
fn a_restore_is_held_against_what_the_request_or_the_record_of_the_backup_says() {
    let (known, named) = (Sha256::from(DIGEST), Sha256::from([1; 32]));
    let of = |size_bytes, sha256| Expected { size_bytes, sha256 };
    for (in_request, expected) in [
        (of(None, None), of(Some(SIZE), Some(known))),
        (of(Some(5), None), of(Some(5), Some(known))),
        // Whoever names a digest knows better than the record.
        (of(None, Some(named)), of(None, Some(named))),
        (of(Some(5), Some(named)), of(Some(5), Some(named))),
    ] {
        let bench = Bench::new(Setup::default());
        let backup = bench.run(request(JobKind::Backup, "b", Transfer::ByAgent));
        let filename = backup.artifact.expect("it is stored").filename;
        bench.run(restore_of(&filename, in_request));
        assert_eq!(*bench.expected.lock().unwrap(), [expected], "{in_request:?}");
    }
}

#[test]
fn an_object_of_another_place_or_name_is_not_that_of_the_backup() {
    let bench = Bench::new(Setup::default());
    let backup = bench.run(request(JobKind::Backup, "b", Transfer::ByAgent));
    let filename = backup.artifact.expect("it is stored").filename;
    let mut elsewhere = restore_of(&filename, Expected::default());
    let Store::S3(s3) = &mut elsewhere.destination.store else {
        panic!("requests are of S3");
    };
    s3.bucket.push('x');
    bench.run(elsewhere);
    let mut other = restore_of("other.tar.gz", Expected::default());
    other.id = crate::job::JobId::parse("other").expect("an id");
    bench.run(other);
    assert_eq!(*bench.expected.lock().unwrap(), [Expected::default(); 2]);
}
