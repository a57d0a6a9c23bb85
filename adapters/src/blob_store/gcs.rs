//! Buckets of Google Cloud Storage, by its XML interface.
//!
//! The service account's key signs a token for each hour, which is sent with every request; nobody
//! is asked for it. So of the key file only the key and the names of account and key are used: not its
//! addresses, to which a request could otherwise send the agent.

mod open_uploads;

use std::{fmt, sync::Arc};

use domain::request::{GcsStore, ServiceAccount};
use object_store::gcp::GoogleCloudStorageBuilder;
use reqwest::Url;

use self::open_uploads::GcsOpenUploads;
use super::{
    Limits,
    bucket::{Bucket, no_retries},
    condition::Condition,
    connector::Connector,
    failure::Failure,
    local::blocking,
    movement::Stall,
    network::Network,
    parts::PartRules,
    redaction::Redaction,
};

/// Where Google is.
pub(super) const DEFAULT: &str = "https://storage.googleapis.com";

/// Makes a client for the bucket.
pub(super) async fn connect(store: &GcsStore, limits: Limits, network: &Network) -> Result<Bucket, Failure> {
    let bad = |why: &dyn fmt::Display| Failure::strange(format!("the endpoint is no address: {why}"));
    let base = store.endpoint.as_deref().unwrap_or(DEFAULT);
    let mut url = Url::parse(base).map_err(|error| bad(&error))?;
    let base = url.as_str().trim_end_matches('/').to_owned();
    let endpoint = url.clone();
    let network = network.clone();
    let redaction = Redaction::of(store.service_account.secrets());
    let connector = blocking(move || Connector::new(&endpoint, limits.answer, &network, redaction)).await?;
    let connector = connector.on(Condition::Gcs);
    let objects = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&store.bucket)
        .with_base_url(&base)
        .with_service_account_key(key(&store.service_account))
        .with_retry(no_retries())
        .with_http_connector(connector.clone())
        .build()
        // What is wrong is told with parts of the key.
        .map_err(|_| Failure::denied("serviceAccountKey: its private_key is not an RSA key in PEM"))?;
    let objects = Arc::new(objects);
    url.path_segments_mut()
        .map_err(|()| bad(&"it has no host"))?
        .pop_if_empty()
        .push(&store.bucket);
    Ok(Bucket {
        stall: Arc::new(Stall::new(limits.stall, connector.transfer())),
        open_uploads: Arc::new(GcsOpenUploads {
            credentials: Arc::clone(objects.credentials()),
            connector,
            url,
            silence: limits.answer,
        }),
        creating: Arc::clone(&objects) as _,
        objects,
        parts: PartRules::GCS,
        takes_marks: true,
        limits,
    })
}

/// A key file that holds no more than is needed.
fn key(account: &ServiceAccount) -> String {
    serde_json::json!({
        "private_key": account.private_key.expose(),
        "private_key_id": account.private_key_id,
        "client_email": account.client_email,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::secret::Secret;

    use super::*;

    #[tokio::test]
    async fn a_key_that_is_none_is_refused_without_repeating_it() {
        let limits = Limits {
            retry: Duration::ZERO,
            answer: Duration::from_secs(1),
            stall: Duration::from_secs(1),
        };
        for key in [
            "hidden",
            "-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\naGlkZGVu\n-----END PRIVATE KEY-----\n",
        ] {
            let store = GcsStore {
                endpoint: Some("http://127.0.0.1:1".to_owned()),
                bucket: "b".to_owned(),
                service_account: ServiceAccount {
                    client_email: "a@b".to_owned(),
                    private_key_id: "1".to_owned(),
                    private_key: Secret::new(key),
                    key_file: Secret::new("hidden"),
                },
                prefix: String::new(),
            };
            let text = connect(&store, limits, &Network::default())
                .await
                .unwrap_err()
                .to_string();
            assert!(text.contains("private_key"), "{text}");
            assert!(!text.contains("hidden") && !text.contains("aGlkZGVu"), "{text}");
        }
    }
}
