//! Swift's own authentication, version 1: name and key for a token.

use std::time::Duration;

use domain::{request::SwiftStore, secret::Secret};
use hyper::{
    Method,
    header::{HeaderName, HeaderValue},
};
use object_store::client::HttpClient;
use reqwest::Url;

use super::{address::Account, ask::Ask, error::SwiftFault, login::Grant};
use crate::blob_store::{fault::Fault, redaction::Redaction};

const USER: HeaderName = HeaderName::from_static("x-auth-user");
const KEY: HeaderName = HeaderName::from_static("x-auth-key");
/// Some give the same token again, with what is left of its time, unless they are told to make a new one.
const NEW_TOKEN: HeaderName = HeaderName::from_static("x-auth-new-token");

/// A user of an account.
#[derive(Debug)]
pub(super) struct V1 {
    url: Url,
    user: String,
    password: Secret,
    redaction: Redaction,
}

impl V1 {
    /// A user is named `account:user`: a name that holds no colon gets the project before it.
    pub(super) fn new(url: Url, store: &SwiftStore) -> Self {
        let user = if store.username.contains(':') || store.project_name.is_empty() {
            store.username.clone()
        } else {
            format!("{}:{}", store.project_name, store.username)
        };
        Self {
            url,
            user,
            password: store.password.clone(),
            redaction: Redaction::of([store.password.clone()]),
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn password(&self) -> &str {
        self.password.expose()
    }

    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    pub(super) async fn authenticate(&self, client: &HttpClient) -> Result<Grant, SwiftFault> {
        let ask = Ask::new(Method::GET, self.url.to_string())
            .with(USER, credential("username", &self.user)?)
            .with(KEY, credential("password", self.password.expose())?)
            .with(NEW_TOKEN, HeaderValue::from_static("true"));
        let answer = ask.send(client, None).await.map_err(|fault| self.explained(fault))?;
        let header = |name| answer.headers().get(name);
        let token = header("x-auth-token").or_else(|| header("x-storage-token"));
        let token = token.ok_or_else(|| self.strange("gave no X-Auth-Token"))?;
        self.redaction.add(&Secret::new(token.to_str().unwrap_or_default()));
        let url = header("x-storage-url").ok_or_else(|| self.strange("gave no X-Storage-Url"))?;
        let url = String::from_utf8_lossy(url.as_bytes());
        let account = Account::parse(&url).map_err(|why| {
            self.strange(&format!(
                "gave an X-Storage-Url {:?} that is no address: {why}",
                self.redaction.shown(&url)
            ))
        })?;
        let seconds = header("x-auth-token-expires").and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        Ok(Grant::new(token, account, seconds.map(Duration::from_secs)))
    }

    /// A refusal, with what to check.
    fn explained(&self, fault: SwiftFault) -> SwiftFault {
        let SwiftFault::Request(Fault::Answer(answer)) = &fault else {
            return fault;
        };
        match answer.status {
            401 | 403 => SwiftFault::Denied(format!(
                "the server at {} refused the login as {:?} with {answer}; check username, password and project_name",
                self.url, self.user
            )),
            408 | 429 | 500 | 502..=504 => fault,
            _ => self.strange(&format!("refused the login with {answer}; check authUrl")),
        }
    }

    fn strange(&self, what: &str) -> SwiftFault {
        SwiftFault::Strange(format!("the server at {} {what}", self.url))
    }
}

/// What is sent in a header, and not printed.
fn credential(name: &str, text: &str) -> Result<HeaderValue, SwiftFault> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        SwiftFault::Denied(format!(
            "{name} holds a character that cannot be sent; check for line ends"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}
