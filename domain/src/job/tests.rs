use std::fmt::Write;

use super::*;
use crate::{
    plan::{Order, Step, Transfer},
    testing::request,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("a time")
}

fn new_job(kind: JobKind) -> Job {
    Job::accepted(request(kind, "j", Transfer::ByAgent), FailurePolicy::default(), at(0))
}

fn failure(step: Step) -> JobEvent {
    JobEvent::StepFailed {
        step,
        failure: Failure {
            step,
            cause: FailureCause::Error("it broke".to_owned()),
        },
        report: StepReport::default(),
    }
}

fn success(step: Step) -> JobEvent {
    JobEvent::StepSucceeded {
        step,
        report: StepReport::default(),
    }
}

fn started() -> JobEvent {
    JobEvent::Started { artifact_name: None }
}

fn finished() -> JobEvent {
    JobEvent::Finished { note: None }
}

/// Every event there can be for a kind of job.
fn all_events(kind: JobKind) -> Vec<JobEvent> {
    let steps = kind.plan(Transfer::ByAgent, Order::default());
    let of_steps = steps
        .iter()
        .flat_map(|step| [JobEvent::StepStarted { step: *step }, success(*step), failure(*step)]);
    [started(), finished()].into_iter().chain(of_steps).collect()
}

/// Every state that a job of a kind can be in without a failure, with the events that led there.
fn all_good_paths(kind: JobKind) -> Vec<Vec<JobEvent>> {
    let mut events = vec![started()];
    for step in kind.plan(Transfer::ByAgent, Order::default()) {
        events.extend([JobEvent::StepStarted { step: *step }, success(*step)]);
    }
    events.push(finished());
    (0..=events.len()).map(|length| events[..length].to_vec()).collect()
}

#[test]
fn in_every_state_exactly_the_events_that_may_follow_are_taken() {
    for kind in JobKind::ALL {
        for path in all_good_paths(kind) {
            let job = Job::replay(
                request(kind, "j", Transfer::ByAgent),
                FailurePolicy::default(),
                at(0),
                path.iter().map(|event| (at(1), event.clone())),
            )
            .expect("a good path");
            for event in all_events(kind) {
                let expected = match (job.status(), &event) {
                    (JobStatus::Queued, JobEvent::Started { .. }) => true,
                    (
                        JobStatus::Between { remaining, .. },
                        JobEvent::StepStarted { step } | JobEvent::StepFailed { step, .. },
                    ) => remaining.first() == Some(step),
                    (JobStatus::Between { remaining, .. }, JobEvent::Finished { .. }) => remaining.is_empty(),
                    (
                        JobStatus::Running { step: running, .. },
                        JobEvent::StepSucceeded { step, .. } | JobEvent::StepFailed { step, .. },
                    ) => running == step,
                    _ => false,
                };
                let mut changed = job.clone();
                let taken = changed.apply(event.clone(), at(2)).is_ok();
                assert_eq!(taken, expected, "{kind} {:?} {event:?}", job.status());
                if !taken {
                    assert_eq!(changed.status(), job.status(), "a refused event changes nothing");
                    assert_eq!(changed.events().len(), job.events().len());
                }
            }
        }
    }
}

#[test]
fn a_failure_of_another_step_is_not_taken_as_this_ones() {
    let mut job = new_job(JobKind::Backup);
    job.apply(started(), at(1)).expect("it leaves the queue");
    job.apply(JobEvent::StepStarted { step: Step::Prepare }, at(1))
        .expect("it prepares");
    let mixed = JobEvent::StepFailed {
        step: Step::Prepare,
        failure: Failure {
            step: Step::Upload,
            cause: FailureCause::Error("it broke".to_owned()),
        },
        report: StepReport::default(),
    };
    assert!(job.apply(mixed, at(1)).is_err());
}

#[test]
fn a_job_walks_to_its_end_whichever_step_fails() {
    for kind in JobKind::ALL {
        for broken in kind.plan(Transfer::ByAgent, Order::default()) {
            let mut job = new_job(kind);
            let mut walked = String::new();
            job.apply(started(), at(1)).expect("it leaves the queue");
            while let Some(step) = job.status().next_step() {
                write!(walked, "{step}, ").expect("a string takes text");
                job.apply(JobEvent::StepStarted { step }, at(2))
                    .expect("the step begins");
                let event = if step == *broken { failure(step) } else { success(step) };
                job.apply(event, at(3)).expect("the step ends");
            }
            job.apply(finished(), at(4)).expect("the job ends");
            let JobStatus::Failed { failures } = job.status() else {
                panic!("{kind} {broken}: {:?}", job.status());
            };
            assert_eq!(failures.len(), 1, "{kind} {broken} {walked}");
            assert_eq!(failures[0].step, *broken, "{walked}");
            assert_eq!(job.view().ended_at, Some(at(4)));
        }
    }
}

#[test]
fn every_prefix_of_a_log_replays_to_the_state_it_had() {
    for kind in JobKind::ALL {
        for broken in kind.plan(Transfer::ByAgent, Order::default()) {
            let mut job = new_job(kind);
            let mut states = vec![job.status().clone()];
            let mut apply = |job: &mut Job, event| {
                job.apply(event, at(1)).expect("a legal event");
                states.push(job.status().clone());
            };
            apply(&mut job, started());
            while let Some(step) = job.status().next_step() {
                apply(&mut job, JobEvent::StepStarted { step });
                apply(&mut job, if step == *broken { failure(step) } else { success(step) });
            }
            apply(&mut job, finished());
            for (length, state) in states.iter().enumerate() {
                let prefix = job.events()[..length].iter().cloned();
                let replayed = Job::replay(job.request().clone(), FailurePolicy::default(), at(0), prefix);
                let replayed = replayed.expect("a log that was written can be replayed");
                assert_eq!(replayed.status(), state, "{kind} {broken} {length}");
            }
        }
    }
}

#[test]
fn a_lock_that_stays_leads_the_message_and_failures_follow_in_order() {
    let mut job = new_job(JobKind::Backup);
    job.apply(started(), at(1)).expect("it leaves the queue");
    while let Some(step) = job.status().next_step() {
        let broken = matches!(step, Step::Upload | Step::Script(Phase::PostBackupUnlock));
        job.apply(JobEvent::StepStarted { step }, at(1))
            .expect("the step begins");
        job.apply(if broken { failure(step) } else { success(step) }, at(1))
            .expect("the step ends");
    }
    let note = Some("the link stayed".to_owned());
    job.apply(JobEvent::Finished { note }, at(1)).expect("the job ends");
    assert_eq!(
        job.view().error_message().as_deref(),
        Some(
            "THE LOCK WAS NOT RELEASED, and the agent goes on trying (osb-backup-agent unlock tries at once): \
             post-backup-unlock: it broke; then backup (upload): it broke; the link stayed"
        )
    );
}

#[test]
fn a_job_that_succeeded_has_no_error_whatever_was_noted() {
    let mut job = new_job(JobKind::Restore);
    job.apply(started(), at(1)).expect("it leaves the queue");
    while let Some(step) = job.status().next_step() {
        job.apply(JobEvent::StepStarted { step }, at(1))
            .expect("the step begins");
        let report = StepReport {
            note: Some("no link".to_owned()),
            ..StepReport::default()
        };
        job.apply(JobEvent::StepSucceeded { step, report }, at(1))
            .expect("the step ends");
    }
    job.apply(finished(), at(1)).expect("the job ends");
    assert_eq!(job.status(), &JobStatus::Succeeded);
    assert_eq!(job.view().error_message(), None);
}

#[test]
fn clients_see_the_phase_at_work_and_keep_seeing_it_between_steps() {
    let mut job = new_job(JobKind::Backup);
    assert_eq!(job.view().phase, None);
    job.apply(started(), at(1)).expect("it leaves the queue");
    let mut last = None;
    while let Some(step) = job.status().next_step() {
        assert_eq!(job.view().phase, last, "before {step}");
        job.apply(JobEvent::StepStarted { step }, at(1))
            .expect("the step begins");
        last = step.phase().or(last);
        assert_eq!(job.view().phase, last, "in {step}");
        job.apply(success(step), at(1)).expect("the step ends");
    }
    assert_eq!(job.view().phase, Some(Phase::PostBackupUnlock));
}

#[test]
fn no_secret_is_in_a_view_or_in_what_a_job_prints() {
    let job = new_job(JobKind::Backup);
    for text in [format!("{:?}", job.view()), format!("{job:?}")] {
        assert!(!text.contains("SECRET"), "{text}");
    }
}
