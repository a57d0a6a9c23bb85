//! The agent's own credentials: keys of its environment, or those of a role, which expire and are
//! fetched again under way.
//!
//! They are looked for where the tools of AWS look: keys, then a web identity's token, then the
//! credentials service of a container, then that of the machine.

use std::sync::Arc;

use async_trait::async_trait;
use domain::secret::Secret;
use object_store::{
    CredentialProvider, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider},
};
use reqwest::Url;
use tokio::sync::OnceCell;

use crate::blob_store::{
    ANSWER_PATIENCE, connector::Connector, failure::Failure, fault::Fault, local::blocking, network::Network,
    redaction::Redaction,
};

/// The variables by which they are found.
pub const AMBIENT_VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_METADATA_ENDPOINT",
];

/// What the operator allows to be done in the agent's own name.
#[derive(Debug, Clone, Default)]
pub struct AmbientCredentials {
    /// Those of [`AMBIENT_VARIABLES`] that are set.
    pub variables: Vec<(&'static str, Secret)>,
    /// The buckets that they may be used for.
    pub buckets: Vec<String>,
}

/// The one source of the agent's own credentials, which all transfers share.
#[derive(Debug)]
pub(in crate::blob_store) struct Ambient {
    allowed: Option<AmbientCredentials>,
    secrets: Redaction,
    provider: OnceCell<AwsCredentialProvider>,
}

impl Ambient {
    pub(in crate::blob_store) fn new(allowed: Option<AmbientCredentials>) -> Self {
        Self {
            secrets: Redaction::of(allowed.iter().flat_map(AmbientCredentials::secrets)),
            allowed,
            provider: OnceCell::new(),
        }
    }

    /// The keys of the environment. Those of a role are not here: its secret key is never sent, and what
    /// is sent of it every connection hides by itself.
    pub(super) fn secrets(&self) -> &Redaction {
        &self.secrets
    }

    /// The credentials for a bucket. A request that was accepted may be older than what the operator
    /// allows now, so that is looked at again.
    pub(super) async fn provider(&self, bucket: &str, network: &Network) -> Result<AwsCredentialProvider, Failure> {
        let refused = |why: &str| Failure::denied(format!("the agent's own credentials are not used here: {why}"));
        let allowed = self
            .allowed
            .as_ref()
            .ok_or_else(|| refused("its operator does not set allow_ambient_credentials any more"))?;
        if !allowed.buckets.iter().any(|listed| listed == bucket) {
            return Err(refused(
                "its operator does not list the bucket in ambient_buckets any more",
            ));
        }
        let made = self
            .provider
            .get_or_try_init(|| allowed.make(network.without_limits(), self.secrets.clone()))
            .await?;
        Ok(Arc::clone(made))
    }
}

impl AmbientCredentials {
    fn of(&self, name: &str) -> Option<&str> {
        let variable = self.variables.iter().find(|(known, _)| *known == name);
        variable
            .map(|(_, value)| value.expose())
            .filter(|value| !value.is_empty())
    }

    fn secrets(&self) -> Vec<Secret> {
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        names.iter().filter_map(|name| self.of(name)).map(Secret::new).collect()
    }

    async fn make(&self, network: Network, secrets: Redaction) -> Result<AwsCredentialProvider, Failure> {
        let source = self.source();
        let source = Url::parse(&source)
            .map_err(|error| Failure::denied(format!("no address for the agent's own credentials: {error}")))?;
        // For all that come after, so with the time that transfers have, whoever asks first.
        let connector = {
            let secrets = secrets.clone();
            blocking(move || Connector::new(&source, ANSWER_PATIENCE, &network, secrets)).await?
        };
        let mut builder = AmazonS3Builder::new()
            // No request goes there: only the credentials are wanted of it.
            .with_bucket_name("none")
            .with_http_connector(connector)
            .with_retry(RetryConfig {
                // Whoever needs them tries again.
                max_retries: 0,
                ..RetryConfig::default()
            });
        for name in AMBIENT_VARIABLES {
            let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
            if let (Some(value), Ok(key)) = (self.of(name), key) {
                builder = builder.with_config(key, value);
            }
        }
        // It says which of the two keys is missing.
        let made = builder.build().map_err(|error| {
            let text = secrets.shown(&error.to_string());
            Failure::denied(format!("the agent's own credentials: {text}"))
        })?;
        Ok(Arc::new(OwnCredentials(Arc::clone(made.credentials()), secrets)))
    }

    /// Where they come from, in the order in which `object_store` looks.
    fn source(&self) -> String {
        if self.of("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && self.of("AWS_ROLE_ARN").is_some() {
            let region = self
                .of("AWS_DEFAULT_REGION")
                .or(self.of("AWS_REGION"))
                .unwrap_or("us-east-1");
            let endpoint = self.of("AWS_ENDPOINT_URL_STS").map(str::to_owned);
            return endpoint.unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com"));
        }
        if let Some(path) = self.of("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            return format!("http://169.254.170.2{path}");
        }
        let has_token = self.of("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").is_some();
        if let Some(url) = self.of("AWS_CONTAINER_CREDENTIALS_FULL_URI").filter(|_| has_token) {
            return url.to_owned();
        }
        let endpoint = self.of("AWS_METADATA_ENDPOINT").unwrap_or("http://169.254.169.254");
        endpoint.to_owned()
    }
}

/// Tells faults of the credentials' source from those of the store: its 404 does not mean that an
/// object is absent.
#[derive(Debug)]
struct OwnCredentials(AwsCredentialProvider, Redaction);

#[async_trait]
impl CredentialProvider for OwnCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let fault = match self.0.get_credential().await {
            Ok(credential) if can_be_sent(&credential) => return Ok(credential),
            Ok(_) => Fault::Credentials {
                may_pass: false,
                text: "they hold a character that cannot be sent".to_owned(),
            },
            Err(error) => match Fault::in_chain(&error) {
                Some(fault) => Fault::Credentials {
                    may_pass: Failure::from(fault.clone()).is_transient(),
                    text: Failure::from(fault.clone()).to_string(),
                },
                None => Fault::Credentials {
                    may_pass: false,
                    text: self.1.shown(&error.to_string()),
                },
            },
        };
        Err(object_store::Error::Generic {
            store: "S3",
            source: Box::new(fault),
        })
    }
}

/// Keys and token become headers, of which `object_store` takes for granted that they can.
pub(super) fn can_be_sent(credential: &AwsCredential) -> bool {
    let parts = [Some(&credential.key_id), credential.token.as_ref()];
    let is_plain = |text: &String| text.bytes().all(|byte| byte.is_ascii_graphic());
    parts.into_iter().flatten().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&'static str, &str)]) -> AmbientCredentials {
        AmbientCredentials {
            variables: variables
                .iter()
                .map(|(name, value)| (*name, Secret::new(*value)))
                .collect(),
            buckets: vec!["b".to_owned()],
        }
    }

    #[test]
    fn their_source_is_that_which_object_store_asks() {
        for (variables, source) in [
            (&[][..], "http://169.254.169.254"),
            (&[("AWS_METADATA_ENDPOINT", "http://h")], "http://h"),
            (
                &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")],
                "http://169.254.170.2/x",
            ),
            (
                &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://h/x")],
                "http://169.254.169.254",
            ),
            (
                &[
                    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://h/x"),
                    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t"),
                ],
                "http://h/x",
            ),
            (
                &[
                    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
                    ("AWS_ROLE_ARN", "r"),
                    ("AWS_REGION", "eu-west-1"),
                ],
                "https://sts.eu-west-1.amazonaws.com",
            ),
        ] {
            assert_eq!(with(variables).source(), source, "{variables:?}");
        }
    }

    #[test]
    fn object_store_knows_every_variable() {
        for name in AMBIENT_VARIABLES {
            assert!(name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn they_are_for_listed_buckets_alone_and_only_while_that_is_allowed() {
        let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        for (allowed, bucket, refusal) in [
            (None, "b", "allow_ambient_credentials"),
            (Some(with(&keys)), "other", "ambient_buckets"),
            (Some(with(&keys[..1])), "b", "secret"),
            (Some(with(&keys)), "b", ""),
        ] {
            let network = Network::default();
            let ambient = Ambient::new(allowed);
            let provider = ambient.provider(bucket, &network).await;
            match provider {
                Ok(_) => assert_eq!(refusal, "", "{bucket}"),
                Err(failure) => assert!(
                    !refusal.is_empty() && failure.to_string().to_lowercase().contains(refusal),
                    "{failure}"
                ),
            }
        }
    }

    #[test]
    fn they_do_not_print_themselves() {
        let text = format!("{:?}", with(&[("AWS_SECRET_ACCESS_KEY", "hunter2")]));
        assert!(!text.contains("hunter2"), "{text}");
    }
}
