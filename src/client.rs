//! `backup`, `restore`, `status`, `cancel` and `jobs --url`: the API for people and their scripts.
//!
//! ```text
//!   options, files, environment ─→ request ─→ agent (HTTP) ─→ watch ─→ story ─→ out
//! ```
//!
//! The exit code says to scripts what to do next: 0 it succeeded; 1 the job failed, or the agent would
//! not; 2 mend the call (options, credentials, request); 3 there was no answer, try again later. Who
//! waits and is interrupted ends as by the signal (130, 143): the job goes on.

mod agent;
mod credentials;
mod doing;
mod jobs;
mod options;
mod request;
mod story;
mod trouble;
mod watch;

use std::{process::ExitCode, time::Duration};

use domain::job::JobId;
use reqwest::{Method, StatusCode};

use self::{
    agent::{Agent, Answer},
    request::Request,
    trouble::Trouble,
    watch::{Interruption, JobName, Polled},
};
pub(crate) use self::{
    jobs::jobs,
    options::{CancelOptions, JobsOptions, StatusOptions, TriggerOptions},
};
use crate::{
    demo::job::{BACKUP, JobType, RESTORE},
    out::{self, Out},
    secrets::variable,
};

/// `backup`
pub(crate) async fn backup(options: &TriggerOptions) -> ExitCode {
    told(trigger(&BACKUP, options).await)
}

/// `restore`
pub(crate) async fn restore(options: &TriggerOptions) -> ExitCode {
    told(trigger(&RESTORE, options).await)
}

/// `status`
pub(crate) async fn status(options: &StatusOptions) -> ExitCode {
    told(try_status(options).await)
}

/// `cancel`
pub(crate) async fn cancel(options: &CancelOptions) -> ExitCode {
    told(try_cancel(options).await)
}

fn told(result: Result<ExitCode, Trouble>) -> ExitCode {
    result.unwrap_or_else(|trouble| {
        out::complain(&trouble.to_string());
        ExitCode::from(trouble.code())
    })
}

async fn trigger(job_type: &'static JobType, options: &TriggerOptions) -> Result<ExitCode, Trouble> {
    // All that can be wrong on this side, before anybody is asked.
    let request = Request::of(job_type, &options.request, &variable)?;
    let agent = Agent::of(&options.agent, &variable)?;
    let out = Out::new(options.look.json);
    let method = Method::from_bytes(job_type.method.as_bytes()).map_err(|error| Trouble::Usage(error.to_string()))?;
    let mut interruption = Interruption::expected()?;
    let asked = request.id.map(|id| JobName { job_type, id });
    let doubt = || doubt(asked.as_ref(), &agent);
    let call = async {
        let answer = agent.call(method, job_type.path, Some(&request.body)).await;
        answer.map_err(|silence| {
            let doubt = if silence.may_have_arrived {
                format!("; {}", doubt())
            } else {
                String::new()
            };
            Trouble::Unreachable(format!("{silence}{doubt}"))
        })
    };
    let answer = interruption.or(call, doubt).await?;
    if answer.status != StatusCode::CREATED {
        let taken = |polled: &Polled| {
            let id = asked.as_ref().map_or_else(String::new, |job| format!(" {}", job.id));
            format!("the id{id} is taken, by a job that {}", story::state(polled))
        };
        let refusal = answer.conflict(taken).unwrap_or_else(|| answer.refusal(&agent));
        return Err(match refusal {
            // Who did not get an answer for us may have got through to the agent.
            Trouble::Unreachable(text) => Trouble::Unreachable(format!("{text}; {}", doubt())),
            Trouble::Usage(_) | Trouble::Refused(_) | Trouble::Interrupted(..) => refusal,
        });
    }
    let job = accepted(job_type, &answer)?;
    out.line(&format!("{job} is accepted"));
    if options.no_wait {
        if options.look.json {
            let polled = watch::once(&agent, &job, options.look.patience);
            let polled = interruption.or(polled, || goes_on(&job, &agent)).await?;
            out.json(&polled.text);
        } else {
            out.line(&agent.look_again(&job));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let patience = options.look.patience;
    wait(&agent, &job, &out, patience, story::succeeded, &mut interruption).await
}

/// Nobody said whether the job was accepted, and it may have to be looked for.
fn doubt(asked: Option<&JobName>, agent: &Agent) -> String {
    match asked {
        Some(job) => format!("it is not known whether {job} was accepted\n{}", agent.look_again(job)),
        None => "it is not known whether the job was accepted: look with status before you ask again".to_owned(),
    }
}

/// The job that the agent's answer names.
fn accepted(job_type: &'static JobType, answer: &Answer) -> Result<JobName, Trouble> {
    let id = answer
        .location
        .as_deref()
        .and_then(|location| location.strip_prefix(job_type.path)?.strip_prefix('/'));
    match id.map(JobId::parse) {
        Some(Ok(id)) => Ok(JobName { job_type, id }),
        Some(Err(_)) | None => Err(Trouble::Refused(
            "the answer was 201, but without the Location of a job: this is no osb-backup-agent, or something stands \
             between"
                .to_owned(),
        )),
    }
}

async fn try_status(options: &StatusOptions) -> Result<ExitCode, Trouble> {
    let job = options
        .kind
        .as_deref()
        .zip(options.id.as_deref())
        .map(|(kind, id)| JobName::parse(kind, id))
        .transpose()?;
    let agent = Agent::of(&options.agent, &variable)?;
    let out = Out::new(options.look.json);
    let Some(job) = job else {
        return of_agent(&agent, &out).await;
    };
    if options.wait {
        let mut interruption = Interruption::expected()?;
        let patience = options.look.patience;
        return wait(&agent, &job, &out, patience, story::succeeded, &mut interruption).await;
    }
    let polled = watch::once(&agent, &job, Duration::ZERO).await?;
    story::show(&job, &polled, &out);
    Ok(code(!polled.snapshot.is_finished() || story::succeeded(&polled)))
}

/// Whether the agent runs, and what somebody should see to.
async fn of_agent(agent: &Agent, out: &Out) -> Result<ExitCode, Trouble> {
    let answer = agent.call(Method::GET, "/status", None).await.map_err(Trouble::from)?;
    let body = answer.json();
    let message = body.get("message").and_then(serde_json::Value::as_str);
    let (StatusCode::OK, Some(message)) = (answer.status, message) else {
        return Err(answer.refusal(agent));
    };
    out.line(message);
    let problems: Vec<&str> = body
        .get("problems")
        .and_then(serde_json::Value::as_array)
        .map(|problems| problems.iter().filter_map(serde_json::Value::as_str).collect())
        .unwrap_or_default();
    for problem in &problems {
        out.line(&format!("PROBLEM: {problem}"));
    }
    out.json(&answer.body);
    Ok(code(problems.is_empty()))
}

async fn try_cancel(options: &CancelOptions) -> Result<ExitCode, Trouble> {
    let job = JobName::parse(&options.kind, &options.id)?;
    let agent = Agent::of(&options.agent, &variable)?;
    let out = Out::new(options.look.json);
    let path = format!("{}/cancel", job.path());
    let answer = agent.call(Method::POST, &path, None).await.map_err(Trouble::from)?;
    if answer.status == StatusCode::NOT_FOUND {
        return Err(watch::unknown(&job));
    }
    let (StatusCode::ACCEPTED, Some(polled)) = (answer.status, Polled::of(answer.body.clone())) else {
        let over = |polled: &Polled| format!("the job has ended already: {}", story::outcome(polled));
        return Err(answer.conflict(over).unwrap_or_else(|| answer.refusal(&agent)));
    };
    if polled.snapshot.is_finished() {
        // It waited, and locked nothing; or it had ended, and owed its unlock until now.
        let is_locked = story::may_be_locked(&polled);
        out.line(&if is_locked {
            format!("{job}: its unlock is tried no more; the service may be locked")
        } else {
            format!("{job} is cancelled")
        });
        out.json(&polled.text);
        return Ok(code(!is_locked));
    }
    out.line(&format!("{job} is being ended; cleanup and unlock run"));
    if options.no_wait {
        out.json(&polled.text);
        return Ok(ExitCode::SUCCESS);
    }
    let mut interruption = Interruption::expected()?;
    let patience = options.look.patience;
    wait(&agent, &job, &out, patience, story::was_cancelled, &mut interruption).await
}

/// Waits for the end of the job, or for a signal, which the job does not mind.
async fn wait(
    agent: &Agent,
    job: &JobName,
    out: &Out,
    patience: Duration,
    is_good: fn(&Polled) -> bool,
    interruption: &mut Interruption,
) -> Result<ExitCode, Trouble> {
    let end = watch::to_the_end(agent, job, out, patience);
    let polled = interruption.or(end, || goes_on(job, agent)).await;
    let polled = polled.inspect_err(|_| out.clear())?;
    story::show(job, &polled, out);
    Ok(code(is_good(&polled)))
}

fn goes_on(job: &JobName, agent: &Agent) -> String {
    format!("{job} goes on\n{}", agent.look_again(job))
}

fn code(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
