use chrono::DateTime;
use domain::{
    job::{ArtifactReport, ExitReason, Failure, FailureCause, JobEvent, ScriptLog, StepReport},
    plan::{Phase, Step},
};

use super::{super::polling::PollingBody, *};

const BACKUP_MEMBERS: &[&str] = &[
    "status",
    "message",
    "state",
    "type",
    "compression",
    "skip_storage",
    "skipSSL",
    "region",
    "bucket",
    "filename",
    "filenamePrefix",
    "filesize",
    "start_time",
    "end_time",
    "execution_time_ms",
    "pre_backup_lock_log",
    "pre_backup_lock_errorlog",
    "pre_backup_check_log",
    "pre_backup_check_errorlog",
    "backup_log",
    "backup_errorlog",
    "backup_cleanup_log",
    "backup_cleanup_errorlog",
    "post_backup_unlock_log",
    "post_backup_unlock_errorlog",
];

const RESTORE_MEMBERS: &[&str] = &[
    "status",
    "message",
    "state",
    "type",
    "compression",
    "skip_storage",
    "skipSSL",
    "start_time",
    "end_time",
    "execution_time_ms",
    "pre_restore_lock_log",
    "pre_restore_lock_errorlog",
    "restore_log",
    "restore_errorlog",
    "restore_cleanup_log",
    "restore_cleanup_errorlog",
    "post_restore_unlock_log",
    "post_restore_unlock_errorlog",
];

fn text_of(view: &JobView) -> String {
    serde_json::to_string(&PollingBody::from(view)).unwrap()
}

fn body_of(view: &JobView) -> Value {
    serde_json::from_str(&text_of(view)).unwrap()
}

/// A job that has ended, with one step failed or none.
fn ended(kind: JobKind, broken: Option<Step>) -> JobView {
    let at = |second: i64| DateTime::from_timestamp(1_541_523_939 + second, 250_000_000).unwrap();
    let mut job = Job::accepted(request(kind, "j", Transfer::ByAgent), FailurePolicy::default(), at(0));
    job.apply(JobEvent::Started { artifact_name: None }, at(1)).unwrap();
    while let Some(step) = job.status().next_step() {
        job.apply(JobEvent::StepStarted { step }, at(2)).unwrap();
        let log = ScriptLog {
            stdout: format!("<{step}>").into(),
            stderr: format!("{step} \u{fffd}").into(),
        };
        let report = StepReport {
            log: matches!(step, Step::Script(_)).then_some(log),
            artifact: (step == Step::Upload).then(|| {
                Box::new(ArtifactReport {
                    sha256: Some([0xab; 32].into()),
                    filename: "f.tar.gz".to_owned(),
                    size_bytes: 42,
                })
            }),
            note: None,
        };
        let failure = Failure {
            step,
            cause: FailureCause::Exit(ExitReason::Exited(3)),
        };
        let event = match broken == Some(step) {
            true => JobEvent::StepFailed { step, failure, report },
            false => JobEvent::StepSucceeded { step, report },
        };
        job.apply(event, at(3)).unwrap();
    }
    job.apply(JobEvent::Finished { note: None }, at(42)).unwrap();
    job.view()
}

#[test]
fn all_members_are_there_from_the_first_moment_in_the_original_s_order() {
    for (kind, members) in [(JobKind::Backup, BACKUP_MEMBERS), (JobKind::Restore, RESTORE_MEMBERS)] {
        for view in [view(kind), ended(kind, None)] {
            let text = text_of(&view);
            let places: Vec<Option<usize>> = members
                .iter()
                .map(|member| text.find(&format!("\"{member}\":")))
                .collect();
            assert!(places.iter().all(Option::is_some), "{text}");
            assert!(places.is_sorted(), "{text}");
            // The agent's own members follow, once there is something to tell.
            let own: &[&str] = match (view.status.is_finished(), kind) {
                (false, _) => &["phases"],
                (true, JobKind::Backup) => &["outcome", "lock_released", "sha256", "phases", "lock_held_ms"],
                (true, JobKind::Restore) => &["outcome", "lock_released", "phases", "lock_held_ms"],
            };
            assert!(own.iter().all(|member| !body_of(&view)[member].is_null()), "{text}");
            let count = body_of(&view).as_object().unwrap().len();
            assert_eq!(count, members.len() + own.len(), "{text}");
        }
    }
}

#[test]
fn a_waiting_job_is_running_and_queued_with_nothing_known() {
    let body = body_of(&view(JobKind::Backup));
    for (member, value) in [
        ("status", serde_json::json!("RUNNING")),
        ("message", "backup is running".into()),
        ("state", "queued".into()),
        ("type", "S3".into()),
        ("filename", "".into()),
        ("filesize", serde_json::json!({"size": 0, "unit": "byte"})),
        ("start_time", "2018-11-06T17:05:39+00:00".into()),
        ("end_time", "".into()),
        ("execution_time_ms", 0.into()),
        ("backup_log", "".into()),
    ] {
        assert_eq!(body[member], value, "{member}");
    }
    assert!(body.get("error_message").is_none());
}

#[test]
fn a_good_end_tells_the_object_the_times_and_the_logs() {
    let body = body_of(&ended(JobKind::Backup, None));
    for (member, value) in [
        ("status", serde_json::json!("SUCCEEDED")),
        ("message", "backup successfully carried out".into()),
        ("state", "finished".into()),
        ("filename", "f.tar.gz".into()),
        ("filenamePrefix", "prefix/".into()),
        ("filesize", serde_json::json!({"size": 42, "unit": "byte"})),
        ("end_time", "2018-11-06T17:06:21+00:00".into()),
        ("execution_time_ms", 42_000.into()),
        ("backup_log", "<backup>".into()),
        ("post_backup_unlock_errorlog", "post-backup-unlock \u{fffd}".into()),
    ] {
        assert_eq!(body[member], value, "{member}");
    }
}

#[test]
fn a_bad_end_tells_the_failure_in_the_words_of_its_kind() {
    for (kind, phase) in [(JobKind::Backup, Phase::Backup), (JobKind::Restore, Phase::Restore)] {
        let body = body_of(&ended(kind, Some(Step::Script(phase))));
        assert_eq!(body["status"], "FAILED");
        assert_eq!(body["state"], "finished");
        assert_eq!(body["message"], format!("{kind} failed"));
        let message = body["error_message"].as_str().unwrap();
        assert!(
            message.contains(phase.as_str()) && message.contains("exit code 3"),
            "{message}"
        );
    }
}

#[test]
fn a_refusal_is_a_whole_polling_body_of_its_kind() {
    for (kind, members) in [(JobKind::Backup, BACKUP_MEMBERS), (JobKind::Restore, RESTORE_MEMBERS)] {
        let body = serde_json::to_value(PollingBody::refused(kind, "id is missing")).unwrap();
        assert_eq!(body["status"], "FAILED");
        assert_eq!(body["message"], format!("{kind} failed"));
        assert_eq!(body["state"], "Body Deserialization");
        assert_eq!(body["error_message"], "id is missing");
        for member in members {
            let is_left_out_when_empty = ["region", "bucket"].contains(member);
            assert_eq!(body.get(member).is_none(), is_left_out_when_empty, "{member}");
        }
    }
}

#[test]
fn a_clock_that_was_set_back_makes_no_negative_time() {
    let mut view = ended(JobKind::Backup, None);
    view.ended_at = Some(view.accepted_at - chrono::TimeDelta::hours(1));
    assert_eq!(body_of(&view)["execution_time_ms"], 0);
}

#[test]
fn no_secret_is_in_a_polling_body() {
    for kind in JobKind::ALL {
        for view in [view(kind), ended(kind, None)] {
            assert!(!text_of(&view).contains("SECRET"));
        }
    }
}
