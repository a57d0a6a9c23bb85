//! Keystone, version 3: a password for a token and a catalogue of services.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{request::SwiftStore, secret::Secret};
use hyper::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use object_store::client::HttpClient;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{MAX_ANSWER_BYTES, address::Account, ask::Ask, error::SwiftFault, login::Grant};
use crate::blob_store::{connector::read_at_most, fault::Fault, redaction::Redaction};

/// A user of a project, and the Keystone that knows them.
#[derive(Debug)]
pub(super) struct Keystone {
    /// Ends in `/auth/tokens`.
    url: Url,
    domain: String,
    project: String,
    user: String,
    password: Secret,
    redaction: Redaction,
    region: Option<String>,
}

/// More than a login has, so that its buffer need not grow and leave a copy behind.
const LOGIN_BYTES: usize = 8 * 1024;

#[derive(Serialize)]
struct Login<'a> {
    auth: Auth<'a>,
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: Identity<'a>,
    scope: Scope<'a>,
}

#[derive(Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    password: Password<'a>,
}

#[derive(Serialize)]
struct Password<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    domain: Named<'a>,
    password: &'a str,
}

#[derive(Serialize, Clone, Copy)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Scope<'a> {
    project: Project<'a>,
}

#[derive(Serialize)]
struct Project<'a> {
    name: &'a str,
    domain: Named<'a>,
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    issued_at: Option<String>,
    expires_at: Option<String>,
    #[serde(default)]
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    interface: String,
    region: Option<String>,
    region_id: Option<String>,
    #[serde(default)]
    url: String,
}

impl Keystone {
    /// The URL may end in `/v3` or before it, and is without a slash at its end.
    pub(super) fn new(mut url: Url, store: &SwiftStore) -> Result<Self, SwiftFault> {
        let path = url.path().trim_end_matches('/');
        if path.ends_with("/v2.0") {
            return Err(SwiftFault::Strange(
                "authUrl is of Keystone's version 2.0; only version 3 is spoken here, whose URL ends in /v3".to_owned(),
            ));
        }
        let version = if path.ends_with("/v3") { "" } else { "/v3" };
        url.set_path(&format!("{path}{version}/auth/tokens"));
        Ok(Self {
            url,
            domain: store.domain.clone(),
            project: store.project_name.clone(),
            user: store.username.clone(),
            password: store.password.clone(),
            redaction: Redaction::of([store.password.clone()]),
            region: store.region.clone(),
        })
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

    pub(super) async fn authenticate(
        &self,
        client: &HttpClient,
        answer_timeout: Duration,
    ) -> Result<Grant, SwiftFault> {
        let body = self.login()?;
        let ask = Ask::new(Method::POST, self.url.to_string())
            .for_json()
            .with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with_body(body);
        let answer = ask.send(client, None).await.map_err(|fault| self.explained(fault))?;
        let token = answer.headers().get("x-subject-token").cloned();
        let (body, whole) = read_at_most(MAX_ANSWER_BYTES, answer.into_body(), answer_timeout).await;
        whole.map_err(|error| SwiftFault::of(&error))?;
        let token = token.ok_or_else(|| self.strange("gave no X-Subject-Token; check that authUrl is Keystone's"))?;
        self.grant(&token, &body)
    }

    /// What an answer's body adds to the token in its header.
    pub(super) fn grant(&self, token: &HeaderValue, body: &[u8]) -> Result<Grant, SwiftFault> {
        self.redaction.add(&Secret::new(token.to_str().unwrap_or_default()));
        // What a parser says could repeat a piece of the answer, so only the place is told.
        let answer: Answer = serde_json::from_slice(body).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            self.strange(&format!("gave an answer that makes no sense at {place}; check authUrl"))
        })?;
        let account = self.account(&answer.token.catalog)?;
        Ok(Grant::new(token, account, answer.token.lifetime()))
    }

    /// The body of a login, which is wiped when the last request that holds it goes.
    fn login(&self) -> Result<Bytes, SwiftFault> {
        let domain = Named { name: &self.domain };
        let login = Login {
            auth: Auth {
                identity: Identity {
                    methods: ["password"],
                    password: Password {
                        user: User {
                            name: &self.user,
                            domain,
                            password: self.password.expose(),
                        },
                    },
                },
                scope: Scope {
                    project: Project {
                        name: &self.project,
                        domain,
                    },
                },
            },
        };
        let mut body = Zeroizing::new(Vec::with_capacity(LOGIN_BYTES));
        serde_json::to_writer(&mut *body, &login)
            .map_err(|error| SwiftFault::Strange(format!("the login could not be put into JSON: {error}")))?;
        Ok(Bytes::from_owner(body))
    }

    /// Finds the object store in the catalogue.
    fn account(&self, catalog: &[Service]) -> Result<Account, SwiftFault> {
        let stores = catalog.iter().filter(|service| service.kind == "object-store");
        let public: Vec<&Endpoint> = stores
            .flat_map(|service| &service.endpoints)
            .filter(|endpoint| endpoint.interface == "public")
            .collect();
        let Some(first) = public.first() else {
            let kinds = self.listed(catalog.iter().map(|service| service.kind.as_str()));
            return Err(self.strange(&format!(
                "has no public endpoint of type object-store in its catalogue, which has {kinds}; check that \
                 project {:?} may use Swift",
                self.project
            )));
        };
        let endpoint = match &self.region {
            None => first,
            Some(region) => public.iter().find(|endpoint| endpoint.is_in(region)).ok_or_else(|| {
                let regions = self.listed(public.iter().filter_map(|endpoint| endpoint.region()));
                self.strange(&format!(
                    "has no object-store in region {region:?}, but in {regions}; check region"
                ))
            })?,
        };
        Account::parse(&endpoint.url).map_err(|why| {
            self.strange(&format!(
                "has an object-store in its catalogue whose address {:?} is none: {why}; its operator must mend that",
                self.redaction.shown(&endpoint.url)
            ))
        })
    }

    /// A refusal, with what to check.
    fn explained(&self, fault: SwiftFault) -> SwiftFault {
        let SwiftFault::Request(Fault::Answer(answer)) = &fault else {
            return fault;
        };
        match answer.status {
            401 => SwiftFault::Denied(format!(
                "Keystone at {} refused the login with {answer}; check username, password, project_name and domain, \
                 and that the user has a role in the project",
                self.url
            )),
            403 => SwiftFault::Denied(format!(
                "Keystone at {} refused the login with {answer}; check that the user is not locked or expired",
                self.url
            )),
            408 | 429 | 500 | 502..=504 => fault,
            _ => self.strange(&format!(
                "refused the login with {answer}; check that authUrl is Keystone's version 3"
            )),
        }
    }

    /// Names for people, fit to be shown.
    fn listed<'a>(&self, names: impl Iterator<Item = &'a str>) -> String {
        let names: Vec<String> = names.map(|name| format!("{:?}", self.redaction.shown(name))).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            self.redaction.shown(&names.join(", "))
        }
    }

    fn strange(&self, what: &str) -> SwiftFault {
        SwiftFault::Strange(format!("Keystone at {} {what}", self.url))
    }
}

impl Endpoint {
    fn region(&self) -> Option<&str> {
        self.region_id.as_deref().or(self.region.as_deref())
    }

    fn is_in(&self, region: &str) -> bool {
        [&self.region_id, &self.region]
            .into_iter()
            .any(|own| own.as_deref() == Some(region))
    }
}

impl Token {
    /// Told by Keystone's clock alone where that can be, as ours may be another.
    fn lifetime(&self) -> Option<Duration> {
        let moment = |text: &Option<String>| DateTime::parse_from_rfc3339(text.as_deref()?).ok();
        let expires = moment(&self.expires_at)?.to_utc();
        let issued = moment(&self.issued_at).map_or_else(Utc::now, |issued| issued.to_utc());
        (expires - issued).to_std().ok()
    }
}
