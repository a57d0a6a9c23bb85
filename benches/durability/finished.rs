//! Finished jobs, as they are after backups that went well.

use adapters::system::SystemClock;
use domain::{
    job::{ArtifactReport, Job, JobEvent, JobId, ScriptLog, StepReport},
    plan::{FailurePolicy, JobKind, Phase, Step},
    ports::Clock,
    request::{DestinationDraft, Draft, Faults, JobRequest, RequestRules, ServiceDraft},
    secret::Secret,
};

/// The id of the job of this number: as long as those that clients choose.
pub(crate) fn id(number: usize) -> String {
    format!("778f038c-e1c5-11e8-9f32-{number:012x}")
}

/// A backup that has succeeded; each of its scripts has written a line.
pub(crate) fn job(number: usize, rules: &RequestRules) -> Job {
    let now = SystemClock.now();
    let mut job = Job::accepted(request(number, rules), FailurePolicy::default(), now);
    let apply = |job: &mut Job, event| job.apply(event, now).expect("this follows");
    apply(&mut job, JobEvent::Started { artifact_name: None });
    while let Some(step) = job.status().next_step() {
        apply(&mut job, JobEvent::StepStarted { step });
        let mut report = StepReport::of_log(ScriptLog {
            stdout: format!("{step:?}: 2026-11-23 13:00:00 done with database-{number}\n").into(),
            stderr: "".into(),
        });
        if step == Step::Script(Phase::Backup) {
            report.artifact = Some(Box::new(ArtifactReport {
                sha256: Some([7; 32].into()),
                filename: format!("localhost_2026_11_23_database-{number}.tar.gz"),
                size_bytes: 123_456_789,
            }));
        }
        apply(&mut job, JobEvent::StepSucceeded { step, report });
    }
    apply(&mut job, JobEvent::Finished { note: None });
    job
}

fn request(number: usize, rules: &RequestRules) -> JobRequest {
    let text = |text: &str| Some(text.to_owned());
    let secret = |text: &str| Some(Secret::new(text));
    let draft = Draft {
        kind: JobKind::Backup,
        id: JobId::parse(&id(number)).expect("it is an id"),
        destination: DestinationDraft {
            kind: text("S3"),
            endpoint: text("https://s3.example.org"),
            region: text("eu-central-1"),
            bucket: text("backups"),
            auth_key: secret("the-key-of-the-store"),
            auth_secret: secret("the-secret-of-the-store"),
            ..DestinationDraft::default()
        },
        service: ServiceDraft {
            host: text("localhost"),
            user: text("admin"),
            password: secret("the-password-of-the-database"),
            database: Some(format!("database-{number}")),
            parameters: Vec::new(),
        },
        compression: Some(true),
        encryption_key: secret("none"),
        skip_storage: Some(true),
    };
    draft
        .check(rules, Faults::default())
        .expect("the request has no faults")
}
