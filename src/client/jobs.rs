//! `jobs --url`: all jobs of an agent, newest first.

use std::process::ExitCode;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    agent::Agent,
    options::{JobsOptions, WantedJobs},
    told,
    trouble::Trouble,
};
use crate::{out::Out, secrets::variable};

/// Shows what the agent tells of its jobs.
pub(crate) async fn jobs(options: &JobsOptions) -> ExitCode {
    told(try_jobs(options).await)
}

async fn try_jobs(options: &JobsOptions) -> Result<ExitCode, Trouble> {
    let agent = Agent::of(&options.agent, &variable)?;
    let out = Out::new(options.json);
    let path = path(&options.wanted);
    let answer = agent.call(Method::GET, &path, None).await.map_err(Trouble::from)?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            return Err(Trouble::Refused(
                "this agent tells of no list of jobs: it is older than this command. On its machine, osb-backup-agent \
                 jobs without --url shows those at work"
                    .to_owned(),
            ));
        }
        _ => return Err(answer.refusal(&agent)),
    }
    let body = answer.json();
    let list = body.get("jobs").and_then(Value::as_array).ok_or_else(|| {
        Trouble::Refused(format!(
            "GET {path}: the answer is no list of jobs: something stands between"
        ))
    })?;
    for job in list {
        out.line(&line(job));
    }
    match body.get("next").and_then(Value::as_str) {
        // A page may be empty and not be the last.
        Some(next) => out.line(&format!("There may be more, older ones: add --cursor {next}")),
        None if list.is_empty() => out.line("There are no such jobs."),
        None => {}
    }
    out.json(&answer.body);
    Ok(ExitCode::SUCCESS)
}

/// Where the jobs that are wanted are asked for.
fn path(wanted: &WantedJobs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("kind", &wanted.kind),
        ("status", &wanted.status),
        ("outcome", &wanted.outcome),
        ("database", &wanted.database),
        ("since", &wanted.since),
        ("until", &wanted.until),
        ("limit", &wanted.limit),
        ("cursor", &wanted.cursor),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => "/jobs".to_owned(),
        query => format!("/jobs?{query}"),
    }
}

/// What is there of it, in the order of `jobs` without `--url`.
fn line(job: &Value) -> String {
    let text = |name: &str| job.get(name)?.as_str().filter(|text| !text.is_empty());
    let mut parts = vec![format!("{} {}", text("kind").unwrap_or("?"), text("id").unwrap_or("?"))];
    // While it runs the phase says more, afterwards how it ended.
    let state = match (text("outcome"), text("state"), text("status")) {
        (Some(outcome), _, _) => Some(outcome),
        (None, Some("finished") | None, status) => status,
        (None, state, _) => state,
    };
    parts.extend(state.map(str::to_owned));
    if job.get("lock_released").and_then(Value::as_bool) == Some(false) {
        parts.push("LOCKED".to_owned());
    }
    for name in ["host", "database", "filename"] {
        parts.extend(text(name).map(|value| format!("{name} {value}")));
    }
    parts.extend(text("start_time").map(|time| format!("accepted {time}")));
    parts.extend(text("end_time").map(|time| format!("ended {time}")));
    let line = parts.join("  ");
    match text("error_message") {
        Some(message) => format!("{line}\n    {message}"),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_what_there_is_and_more_members_do_no_harm() {
        let job = json!({"kind": "backup", "id": "b1", "status": "FAILED", "state": "finished", "outcome": "cancelled",
            "lock_released": false, "database": "d", "error_message": "why", "more": {"a": 1}});
        assert_eq!(line(&job), "backup b1  cancelled  LOCKED  database d\n    why");
        let running = json!({"kind": "restore", "id": "r", "state": "restore", "status": "RUNNING"});
        assert_eq!(line(&running), "restore r  restore");
        assert_eq!(line(&json!({})), "? ?");
    }
}
