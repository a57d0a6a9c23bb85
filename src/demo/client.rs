//! The demo's side of the HTTP API, and the same calls as `curl` commands.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use super::{
    agent::Credentials,
    failure::{Failure, while_doing},
    job::{JobType, Snapshot},
};

/// The agent answers from memory, whatever its scripts do.
const CALL_TIME_LIMIT: Duration = Duration::from_secs(10);

/// Calls one agent.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    base: String,
    credentials: &'a Credentials,
}

impl<'a> Client<'a> {
    /// A client for the agent that listens there.
    pub(super) fn new(address: SocketAddr, credentials: &'a Credentials) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            // Calls stay on this machine: a proxy from the environment would not find it, ...
            .no_proxy()
            // ... and there is no TLS, so a machine without CA certificates must not fail here.
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(CALL_TIME_LIMIT)
            .build()
            .map_err(while_doing("make an HTTP client"))?;
        Ok(Self {
            http,
            base: format!("http://{address}"),
            credentials,
        })
    }

    /// Where the agent listens.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Starts a job; the answer is the path to poll.
    pub(super) async fn start(&self, job_type: &JobType, body: &Value) -> Result<String, Failure> {
        let method = Method::from_bytes(job_type.method.as_bytes()).map_err(while_doing("name an HTTP method"))?;
        let answer = self.call(method, job_type.path, body.to_string()).await?;
        match (answer.status, answer.location) {
            (StatusCode::CREATED, Some(location)) => Ok(location),
            (status, _) => Err(Failure::with_details(
                format_args!(
                    "{} {} was answered with {status}, not with 201 and a Location",
                    job_type.method, job_type.path
                ),
                vec![answer.body],
            )),
        }
    }

    /// The job as of now.
    pub(super) async fn poll(&self, location: &str) -> Result<Snapshot, Failure> {
        let answer = self.call(Method::GET, location, String::new()).await?;
        let body = serde_json::from_str(&answer.body).unwrap_or_default();
        match (answer.status, Snapshot::parse(body)) {
            (StatusCode::OK, Some(snapshot)) => Ok(snapshot),
            (status, _) => Err(Failure::with_details(
                format_args!("GET {location} was answered with {status}, not with 200 and the state of a job"),
                vec![answer.body],
            )),
        }
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<Answer, Failure> {
        let Credentials { username, password } = self.credentials;
        let call = format!("{method} {path}");
        let unanswered = |error: reqwest::Error| {
            let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
            let reason = cause.map_or_else(|| error.to_string(), ToString::to_string);
            Failure::broken(format_args!("{call} got no answer: {reason}"))
        };
        let request = self.http.request(method, format!("{}{path}", self.base));
        let response = request
            .basic_auth(username, Some(password))
            .body(body)
            .send()
            .await
            .map_err(&unanswered)?;
        let status = response.status();
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.text().await.map_err(&unanswered)?;
        Ok(Answer { status, location, body })
    }
}

/// Characters of an object that may share a line.
const SHORT: usize = 80;

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: String,
}

/// The command that starts such a job from a shell. A string that begins with `$` is the name of a variable, for the
/// shell to fill in.
pub(super) fn curl_start(base: &str, job_type: &JobType, body: &Value) -> String {
    // With -d curl takes POST of itself.
    let method = if job_type.method == "POST" {
        String::new()
    } else {
        format!("-X {} ", job_type.method)
    };
    let (path, body) = (job_type.path, shell_text(body, 0));
    format!("curl -u \"$client_username:$client_password\" {method}{base}{path} -d '{body}'")
}

/// The command that asks for a job's state.
pub(super) fn curl_poll(base: &str, location: &str) -> String {
    format!("curl -u \"$client_username:$client_password\" {base}{location}")
}

/// JSON for the inside of single quotes: an object with a member on a line each, unless it is a short one further in.
fn shell_text(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(members) => {
            let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
            let members = members
                .iter()
                .map(|(name, value)| format!("{}: {}", Value::from(name.as_str()), shell_text(value, depth + 1)));
            let members: Vec<String> = members.collect();
            let on_one_line = members.join(", ");
            if depth > 0 && on_one_line.len() <= SHORT {
                format!("{{{on_one_line}}}")
            } else {
                format!("{{\n{inner}{}\n{outer}}}", members.join(&format!(",\n{inner}")))
            }
        }
        Value::String(text) if text.starts_with('$') => format!("\"'\"{text}\"'\""),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            value.to_string().replace('\'', r"'\''")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo::job::{BACKUP, RESTORE};

    #[test]
    fn the_printed_command_is_what_a_shell_takes() {
        let body = json!({
            "backup": { "database": "demo", "host": "localhost" },
            "destination": {
                "authKey": "$AWS_ACCESS_KEY_ID",
                "filenamePrefix": "one/directory/and/another/",
                "path": "/tmp/it's",
            },
        });
        assert_eq!(
            curl_start("http://127.0.0.1:1", &BACKUP, &body),
            r#"curl -u "$client_username:$client_password" http://127.0.0.1:1/backup -d '{
  "backup": {"database": "demo", "host": "localhost"},
  "destination": {
    "authKey": "'"$AWS_ACCESS_KEY_ID"'",
    "filenamePrefix": "one/directory/and/another/",
    "path": "/tmp/it'\''s"
  }
}'"#
        );
        assert!(curl_start("http://a", &RESTORE, &body).contains(" -X PUT http://a/restore -d"));
    }
}
