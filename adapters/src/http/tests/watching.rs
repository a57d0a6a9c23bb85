//! What is told of a job while it works, and to those who wait for news.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    job::{ExitReason, Live, LockSpan, Pace, PhaseRecord, PhaseStatus, StepProgress},
    plan::{Phase, Step},
};
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    super::{polling::PollingBody, waits::Stop},
    still::Still,
    *,
};

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_541_523_939_000 + ms).unwrap()
}

fn body_of(view: &JobView) -> Value {
    serde_json::to_value(PollingBody::from(view)).unwrap()
}

fn live(progress: Option<StepProgress>) -> Option<Box<Live>> {
    Some(Box::new(Live {
        as_of: at(10_500),
        queue_position: None,
        progress,
    }))
}

#[test]
fn a_phase_tells_its_times_and_how_its_script_ended() {
    let record = PhaseRecord {
        phase: Phase::Backup,
        status: PhaseStatus::Running,
        started_at: Some(at(500)),
        ended_at: None,
        exit: None,
        timed_out: false,
    };
    let phases = vec![
        PhaseRecord {
            status: PhaseStatus::Succeeded,
            ended_at: Some(at(1750)),
            exit: Some(ExitReason::Exited(0)),
            ..record
        },
        PhaseRecord {
            status: PhaseStatus::Failed,
            ended_at: Some(at(2500)),
            exit: Some(ExitReason::Signaled(9)),
            timed_out: true,
            ..record
        },
        record,
        PhaseRecord {
            status: PhaseStatus::Waiting,
            started_at: None,
            ..record
        },
    ];
    let told = body_of(&JobView {
        phases,
        live: live(None),
        ..view(JobKind::Backup)
    });
    let start = "2018-11-06T17:05:39+00:00";
    assert_eq!(
        told["phases"],
        serde_json::json!([
            {"name": "backup", "status": "succeeded", "started_at": start, "ended_at": "2018-11-06T17:05:40+00:00",
             "duration_ms": 1250, "exit_code": 0, "timed_out": false},
            {"name": "backup", "status": "failed", "started_at": start, "ended_at": "2018-11-06T17:05:41+00:00",
             "duration_ms": 2000, "signal": 9, "timed_out": true},
            // So far.
            {"name": "backup", "status": "running", "started_at": start, "duration_ms": 10_000, "timed_out": false},
            {"name": "backup", "status": "waiting", "timed_out": false},
        ])
    );
}

#[test]
fn progress_tells_what_is_known_and_nothing_else() {
    let mut progress = StepProgress {
        step: Step::Upload,
        bytes_done: Some(10),
        bytes_total: Some(100),
        pace: Pace {
            bytes_per_second: Some(5),
            eta_seconds: Some(18),
        },
    };
    let told = |progress| {
        let live = live(progress);
        let view = view(JobKind::Backup);
        body_of(&JobView { live, ..view })["progress"].clone()
    };
    assert_eq!(
        told(Some(progress)),
        serde_json::json!({"phase": "backup", "step": "upload", "bytes_done": 10, "bytes_total": 100,
            "bytes_per_second": 5, "eta_seconds": 18})
    );
    progress = StepProgress {
        step: Step::Script(Phase::Restore),
        bytes_done: None,
        bytes_total: None,
        pace: Pace::default(),
    };
    assert_eq!(
        told(Some(progress)),
        serde_json::json!({"phase": "restore", "step": "script"})
    );
    assert_eq!(told(None), Value::Null);
    progress.step = Step::Prepare;
    assert_eq!(told(Some(progress)), Value::Null, "before the first phase");
}

#[test]
fn a_lock_tells_how_long_it_was_held_or_is() {
    let since = at(500);
    for (until, live, expected) in [
        (Some(at(3500)), None, Some(3000)),
        (None, live(None), Some(10_000)),
        // It has ended and left it locked: nobody knows for how long.
        (None, None, None),
        // The clock was set back.
        (Some(since - TimeDelta::hours(1)), None, Some(0)),
    ] {
        let told = body_of(&JobView {
            lock_span: Some(LockSpan { since, until }),
            live,
            ..view(JobKind::Backup)
        });
        assert_eq!(told["lock_held_ms"].as_u64(), expected, "{until:?}");
    }
}

#[tokio::test]
async fn a_wait_is_handed_on_and_bounded_and_without_one_nobody_waits() {
    for (query, patience) in [("wait=30s", 30), ("wait=1h&wait=5m", 60), ("wait=0s", 0)] {
        for kind in JobKind::ALL {
            let mut api = MockJobApi::new();
            api.expect_find_changed()
                .withf(move |_, given| *given == Duration::from_secs(patience))
                .returning(|key, _| Ok(Some(view(key.kind))));
            let answer = call(api, "GET", &format!("/{kind}/j?{query}"), "").await;
            assert_eq!(answer.status(), 200, "{query}");
        }
    }
    for query in ["", "?", "?x=1", "?waits=1s"] {
        let mut api = MockJobApi::new();
        api.expect_find().returning(|key| Ok(Some(view(key.kind))));
        let answer = call(api, "GET", &format!("/backup/j{query}"), "").await;
        assert_eq!(answer.status(), 200, "{query}");
    }
    let answer = call(MockJobApi::new(), "GET", "/backup/j?wait=soon", "").await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (400, 0));
}

/// Routes to a core in which nothing happens, with so many connections; and what tells of waits.
fn still(connections: usize) -> (BoxedFilter<(super::super::Response,)>, Arc<Notify>) {
    let still = Arc::new(Still::default());
    let has_begun = Arc::clone(&still.waits);
    let limits = HttpLimits {
        connections,
        ..HttpLimits::default()
    };
    let context = context_of(still, limits);
    (routes(&context), has_begun)
}

fn waiting_poll() -> warp::test::RequestBuilder {
    let request = warp::test::request().path("/backup/j?wait=60s");
    request.header("authorization", authorization())
}

#[tokio::test]
async fn when_the_server_stops_those_who_wait_are_answered() {
    let (routes, has_begun) = still(10);
    let stop = CancellationToken::new();
    let request = waiting_poll().extension(Stop(stop.clone()));
    let stopping = async {
        has_begun.notified().await;
        stop.cancel();
    };
    let (answer, ()) = tokio::join!(request.reply(&routes), stopping);
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn too_many_who_wait_leave_places_for_others() {
    let (routes, has_begun) = still(4);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut poll = Box::pin(waiting_poll().reply(&routes));
        assert!(poll.as_mut().now_or_never().is_none());
        has_begun.notified().await;
        waiting.push(poll);
    }
    // Two may wait; the first has waited longest.
    assert_eq!(waiting.remove(0).await.status(), 200);
    for mut poll in waiting {
        assert!(poll.as_mut().now_or_never().is_none());
    }
}
