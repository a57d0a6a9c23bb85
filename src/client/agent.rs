//! The agent at the other end of HTTP.

use std::{error::Error, fmt, fs, net::IpAddr, path::Path, time::Duration};

use reqwest::{Certificate, Identity, Method, StatusCode, Url, header};
use serde_json::Value;

use super::{
    credentials::Credentials,
    options::AgentOptions,
    trouble::Trouble,
    watch::{JobName, Polled},
};
use crate::{out, secrets::Look};

/// A connection is there at once, or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The agent answers from memory, but holds up refused logins, and writes what it accepts.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// More than any polling body has, with the output of all scripts.
const LARGEST_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Of an answer that is not the agent's.
const SHOWN_CHARACTERS: usize = 300;

const URL_VARIABLE: &str = "OSB_BACKUP_AGENT_URL";

/// One agent, and the right to call it.
#[derive(Debug)]
pub(super) struct Agent {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
    /// The options that lead to it, for a person to type again.
    options: String,
}

/// There was no answer. The text is a whole message.
#[derive(Debug)]
pub(super) struct Silence {
    text: String,
    /// Whether the agent may have got the call all the same.
    pub(super) may_have_arrived: bool,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    call: String,
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

impl Agent {
    /// The agent that the options name, or the environment.
    ///
    /// # Errors
    ///
    /// If address, certificates or credentials cannot be used.
    pub(super) fn of(options: &AgentOptions, variable: Look<'_>) -> Result<Self, Trouble> {
        let text = options.url.clone().or_else(|| variable(URL_VARIABLE)).ok_or_else(|| {
            Trouble::Usage(format!(
                "which agent is not said: name it with --url, as https://db.example.org:8000, or set {URL_VARIABLE}"
            ))
        })?;
        let url = address(&text)?;
        let credentials = Credentials::find(options.credentials.as_deref(), variable)?;
        let is_here = is_this_machine(&url);
        if url.scheme() == "http" && !is_here {
            out::complain(&format!(
                "warning: {text} is no https: the password and the keys of stores cross the network in clear"
            ));
        }
        let mut named = format!("--url {text}");
        for (option, file) in [
            ("credentials", &options.credentials),
            ("ca", &options.ca),
            ("client-certificate", &options.client_certificate),
            ("client-key", &options.client_key),
        ] {
            if let Some(file) = file {
                named.push_str(&format!(" --{option} {}", file.display()));
            }
        }
        Ok(Self {
            http: client(options, &url, is_here)?,
            base: url.as_str().trim_end_matches('/').to_owned(),
            credentials,
            options: named,
        })
    }

    /// Calls, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&str>) -> Result<Answer, Silence> {
        let call = format!("{method} {path}");
        let silence = |may_have_arrived: bool, why: String| Silence {
            text: format!("{call} at {}: no answer: {why}", self.base),
            may_have_arrived,
        };
        let (user, password) = (self.credentials.user.expose(), self.credentials.password.expose());
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .basic_auth(user, Some(password));
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_owned());
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| silence(!error.is_connect(), reason(&error)))?;
        let status = response.status();
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER_BYTES => bytes.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(silence(true, "it is longer than any of an agent's".to_owned())),
                Err(error) => return Err(silence(true, reason(&error))),
            }
        }
        Ok(Answer {
            call,
            status,
            location,
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// How to look at the job later.
    pub(super) fn look_again(&self, job: &JobName) -> String {
        format!(
            "look again: osb-backup-agent status {} {} --wait {}",
            job.kind(),
            job.id,
            self.options
        )
    }
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Why the agent did not do what it was asked for.
    pub(super) fn refusal(&self, agent: &Agent) -> Trouble {
        let text = match self.reason() {
            reason if reason.is_empty() => self.line(),
            reason => format!("{}: {reason}", self.line()),
        };
        match self.status.as_u16() {
            401 => Trouble::Usage(format!("{text} (user and password came from {})", agent.credentials)),
            400 | 413 => Trouble::Usage(text),
            300..=399 => Trouble::Usage(format!(
                "{text}; no redirects are followed: name the agent itself with --url"
            )),
            // Of a proxy that did not get through to it.
            502 | 504 => Trouble::Unreachable(text),
            _ => Trouble::Refused(text),
        }
    }

    /// Which job stands in the way, where the answer is that job's body: of itself it says how that one is doing, which
    /// is no reason.
    pub(super) fn conflict(&self, reason: impl FnOnce(&Polled) -> String) -> Option<Trouble> {
        let polled = (self.status == StatusCode::CONFLICT).then(|| Polled::of(self.body.clone()));
        let reason = reason(&polled.flatten()?);
        Some(Trouble::Refused(format!("{}: {reason}", self.line())))
    }

    fn line(&self) -> String {
        format!("{}: the answer was {}", self.call, self.status)
    }

    /// What the body says, or as much of it as a person may want to see.
    fn reason(&self) -> String {
        let body = self.json();
        let member = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let told = member("error_message").or_else(|| member("message"));
        told.map_or_else(
            || self.body.trim().chars().take(SHOWN_CHARACTERS).collect(),
            str::to_owned,
        )
    }
}

/// The innermost cause; what is around it only says that a request went wrong.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn address(text: &str) -> Result<Url, Trouble> {
    let fault = |problem: &str| Trouble::Usage(format!("--url, or {URL_VARIABLE}: {problem}"));
    // What is shown below, and later, must hold no password. Where the scheme is forgotten, or there twice, a URL has
    // other parts than its author thinks, but the @ is in it all the same.
    if text.contains('@') {
        return Err(fault(
            "must hold no user and password, so no @: others can read arguments; see --credentials",
        ));
    }
    let url = Url::parse(text).map_err(|error| fault(&format!("must be like https://db.example.org:8000: {error}")))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.has_host();
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return Err(fault(&format!(
            "must be like https://db.example.org:8000, and not {text}"
        )));
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn client(options: &AgentOptions, url: &Url, is_here: bool) -> Result<reqwest::Client, Trouble> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .timeout(CALL_LIMIT)
        // Credentials go where they were sent, and nowhere else.
        .redirect(reqwest::redirect::Policy::none());
    if is_here {
        // A proxy of the environment would look for the agent on its own machine.
        builder = builder.no_proxy();
    }
    if let Some(file) = &options.ca {
        let fault = |problem: &dyn fmt::Display| Trouble::Usage(format!("--ca: {}: {problem}", file.display()));
        let pem = fs::read(file).map_err(|error| fault(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| fault(&reason(&error)))?;
        if certificates.is_empty() {
            return Err(fault(
                &"there is no certificate in it (PEM: -----BEGIN CERTIFICATE-----)",
            ));
        }
        builder = builder.tls_certs_only(certificates);
    } else if url.scheme() == "http" {
        // Nobody is to be trusted, so a machine without CA certificates must not fail here.
        builder = builder.tls_certs_only([]);
    }
    if let (Some(certificate), Some(key)) = (&options.client_certificate, &options.client_key) {
        builder = builder.identity(identity(certificate, key)?);
    }
    builder.build().map_err(|error| {
        Trouble::Usage(format!(
            "HTTP cannot be set up with these certificates: {}",
            reason(&error)
        ))
    })
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, Trouble> {
    let read = |option: &str, file: &Path| {
        fs::read(file).map_err(|error| Trouble::Usage(format!("{option}: {}: {error}", file.display())))
    };
    let mut pem = read("--client-key", key)?;
    pem.push(b'\n');
    pem.extend(read("--client-certificate", certificate)?);
    Identity::from_pem(&pem).map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        Trouble::Usage(format!(
            "{certificate} and {key} are not a certificate and its key in PEM: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain_and_holds_no_password() {
        for (text, is_here) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost:8000/", true),
            ("https://[::1]:8000", true),
            ("https://db.example.org", false),
            ("https://gateway.example.org/agents/db1", false),
        ] {
            let url = address(text).expect(text);
            assert_eq!(is_this_machine(&url), is_here, "{text}");
        }
        for text in [
            "",
            "db.example.org:8000",
            "127.0.0.1:8000",
            "ftp://db.example.org",
            "https://admin:sesame@db.example.org",
            "https://admin@db.example.org",
            // Without a scheme the user takes its place, ...
            "admin:sesame@127.0.0.1:8000",
            "admin:sesame@db.example.org",
            // ... and with two of them the password is a part of the path.
            "https://https://admin:sesame@db.example.org",
            "https://db.example.org/?a=b",
            "https://db.example.org/#a",
            "unix:/run/agent",
        ] {
            let fault = address(text).expect_err(text);
            assert_eq!(fault.code(), 2, "{text}");
            assert!(!fault.to_string().contains("sesame"), "{fault}");
        }
    }
}
