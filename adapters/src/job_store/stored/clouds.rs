//! Stores of Google and Azure as they are written.

use domain::request::{AzureCredential, AzureStore, GcsStore, ServiceAccount};
use serde::{Deserialize, Serialize};

use super::request::Hidden;

/// [`GcsStore`]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredGcs {
    endpoint: Option<String>,
    bucket: String,
    client_email: String,
    private_key_id: String,
    private_key: Hidden,
    key_file: Hidden,
    prefix: String,
}

/// [`AzureStore`]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredAzure {
    endpoint: Option<String>,
    account: String,
    container: String,
    credential: StoredCredential,
    prefix: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredCredential {
    AccountKey(Hidden),
    SasToken(Hidden),
}

impl From<&GcsStore> for StoredGcs {
    fn from(gcs: &GcsStore) -> Self {
        let GcsStore {
            endpoint,
            bucket,
            service_account:
                ServiceAccount {
                    client_email,
                    private_key_id,
                    private_key,
                    key_file,
                },
            prefix,
        } = gcs;
        Self {
            endpoint: endpoint.clone(),
            bucket: bucket.clone(),
            client_email: client_email.clone(),
            private_key_id: private_key_id.clone(),
            private_key: private_key.into(),
            key_file: key_file.into(),
            prefix: prefix.clone(),
        }
    }
}

impl From<StoredGcs> for GcsStore {
    fn from(gcs: StoredGcs) -> Self {
        Self {
            endpoint: gcs.endpoint,
            bucket: gcs.bucket,
            service_account: ServiceAccount {
                client_email: gcs.client_email,
                private_key_id: gcs.private_key_id,
                private_key: gcs.private_key.into(),
                key_file: gcs.key_file.into(),
            },
            prefix: gcs.prefix,
        }
    }
}

impl From<&AzureStore> for StoredAzure {
    fn from(azure: &AzureStore) -> Self {
        let AzureStore {
            endpoint,
            account,
            container,
            credential,
            prefix,
        } = azure;
        Self {
            endpoint: endpoint.clone(),
            account: account.clone(),
            container: container.clone(),
            credential: match credential {
                AzureCredential::AccountKey(key) => StoredCredential::AccountKey(key.into()),
                AzureCredential::SasToken(token) => StoredCredential::SasToken(token.into()),
            },
            prefix: prefix.clone(),
        }
    }
}

impl From<StoredAzure> for AzureStore {
    fn from(azure: StoredAzure) -> Self {
        Self {
            endpoint: azure.endpoint,
            account: azure.account,
            container: azure.container,
            credential: match azure.credential {
                StoredCredential::AccountKey(key) => AzureCredential::AccountKey(key.into()),
                StoredCredential::SasToken(token) => AzureCredential::SasToken(token.into()),
            },
            prefix: azure.prefix,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        plan::{JobKind, Transfer},
        request::{JobRequest, Store},
        secret::Secret,
        testing::request,
    };

    use super::*;
    use crate::job_store::stored::StoredRequest;

    fn stores() -> Vec<Store> {
        let azure = |credential| {
            Store::Azure(AzureStore {
                endpoint: None,
                account: "a".to_owned(),
                container: "c".to_owned(),
                credential,
                prefix: "p/".to_owned(),
            })
        };
        vec![
            Store::Gcs(GcsStore {
                endpoint: Some("https://gcs.example.org".to_owned()),
                bucket: "b".to_owned(),
                service_account: ServiceAccount {
                    client_email: "a@b".to_owned(),
                    private_key_id: "1".to_owned(),
                    private_key: Secret::new("hidden key"),
                    key_file: Secret::new("hidden file"),
                },
                prefix: "p/".to_owned(),
            }),
            azure(AzureCredential::AccountKey(Secret::new("hidden key"))),
            azure(AzureCredential::SasToken(Secret::new("hidden token"))),
        ]
    }

    #[test]
    fn what_was_written_is_read_again() {
        for store in stores() {
            let mut sent = request(JobKind::Backup, "j", Transfer::ByAgent);
            sent.destination.store = store;
            sent.destination.echo.account = "a".to_owned();
            sent.destination.echo.container = "c".to_owned();
            let stored = StoredRequest::from(&sent);
            assert!(!format!("{stored:?}").contains("hidden"), "{stored:?}");
            let text = serde_json::to_string(&stored).unwrap();
            let read: StoredRequest = serde_json::from_str(&text).unwrap();
            assert_eq!(JobRequest::try_from(read), Ok(sent.clone()));

            let open = serde_json::to_string(&StoredRequest::from(&sent.without_secrets())).unwrap();
            assert!(!open.contains("hidden"), "{open}");
        }
    }

    #[test]
    fn records_from_before_there_was_azure_can_be_read() {
        let sent = request(JobKind::Backup, "j", Transfer::ByAgent);
        let mut stored = serde_json::to_value(StoredRequest::from(&sent)).unwrap();
        for member in ["account", "container"] {
            assert!(stored["echo"].as_object_mut().unwrap().remove(member).is_some());
        }
        let read: StoredRequest = serde_json::from_value(stored).unwrap();
        assert_eq!(JobRequest::try_from(read), Ok(sent));
    }
}
