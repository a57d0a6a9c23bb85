//! How we become known to an account, in either of two ways.

use std::time::Duration;

use domain::request::SwiftStore;
use hyper::header::HeaderValue;
use object_store::client::HttpClient;
use reqwest::Url;

use super::{address::Account, error::SwiftFault, keystone::Keystone, v1::V1};
use crate::blob_store::redaction::Redaction;

/// What a login gives.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// Marked as a secret, so that nobody prints it.
    pub(super) token: HeaderValue,
    pub(super) account: Account,
    /// How long the token is valid from now on, if that is told.
    pub(super) lifetime: Option<Duration>,
}

impl Grant {
    pub(super) fn new(token: &HeaderValue, account: Account, lifetime: Option<Duration>) -> Self {
        let mut token = token.clone();
        token.set_sensitive(true);
        Self {
            token,
            account,
            lifetime,
        }
    }
}

/// Who we are, and to whom.
#[derive(Debug)]
pub(super) enum Login {
    Keystone(Keystone),
    V1(V1),
}

impl Login {
    /// The way is chosen by the URL: one that ends in `/auth/v1.0` is no Keystone.
    pub(super) fn new(store: &SwiftStore) -> Result<Self, SwiftFault> {
        let strange = |why: &dyn std::fmt::Display| SwiftFault::Strange(format!("authUrl is no address: {why}"));
        let mut url = Url::parse(store.auth_url.trim()).map_err(|error| strange(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(strange(&"it begins with neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(strange(&"it holds a user or password"));
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        if path.ends_with("/auth/v1.0") {
            Ok(Self::V1(V1::new(url, store)))
        } else {
            Ok(Self::Keystone(Keystone::new(url, store)?))
        }
    }

    pub(super) fn url(&self) -> &Url {
        match self {
            Self::Keystone(keystone) => keystone.url(),
            Self::V1(v1) => v1.url(),
        }
    }

    /// Takes the password and the tokens that it was given for out of texts.
    pub(super) fn redaction(&self) -> &Redaction {
        match self {
            Self::Keystone(keystone) => keystone.redaction(),
            Self::V1(v1) => v1.redaction(),
        }
    }

    /// What no text may hold.
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::Keystone(keystone) => keystone.password(),
            Self::V1(v1) => v1.password(),
        }
    }

    /// Logs in, with one request.
    pub(super) async fn authenticate(
        &self,
        client: &HttpClient,
        answer_timeout: Duration,
    ) -> Result<Grant, SwiftFault> {
        let grant = match self {
            Self::Keystone(keystone) => keystone.authenticate(client, answer_timeout).await,
            Self::V1(v1) => v1.authenticate(client).await,
        };
        grant.map_err(|fault| fault.without([self.secret()]))
    }
}
