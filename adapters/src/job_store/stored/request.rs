//! Requests as they are written: with their secrets into the seal, without them in the open.

use domain::{
    artifact::Expected,
    job::JobId,
    plan::Transfer,
    request::{Destination, DestinationEcho, FileStore, JobRequest, Parameter, Service, Store, SwiftStore, Work},
    secret::Secret,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::{
    clouds::{StoredAzure, StoredGcs},
    event::StoredPath,
    s3::StoredS3,
};

/// [`JobRequest`]
#[derive(Debug, Serialize, Deserialize)]
pub(in super::super) struct StoredRequest {
    id: String,
    work: StoredWork,
    store: StoredStore,
    echo: StoredEcho,
    transfer: StoredTransfer,
    service: StoredService,
    compression: bool,
    encryption_key: Hidden,
    parameters: Vec<(String, Hidden)>,
    warnings: Vec<String>,
}

/// A secret on its way into the seal or out of it; it is empty in what is not encrypted. Wiped as
/// [`Secret`] is.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Hidden(String);

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl From<&Secret> for Hidden {
    fn from(secret: &Secret) -> Self {
        Self(secret.expose().to_owned())
    }
}

impl From<Hidden> for Secret {
    fn from(mut hidden: Hidden) -> Self {
        Self::new(std::mem::take(&mut hidden.0))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWork {
    Backup,
    Restore {
        filename: String,
        #[serde(default)]
        size_bytes: Option<u64>,
        #[serde(default)]
        sha256: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredTransfer {
    ByAgent,
    ByScripts,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredService {
    host: String,
    user: String,
    password: Hidden,
    database: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredStore {
    S3(StoredS3),
    Swift {
        auth_url: String,
        domain: String,
        container_name: String,
        project_name: String,
        #[serde(default)]
        region: Option<String>,
        username: String,
        password: Hidden,
    },
    File {
        path: StoredPath,
    },
    Gcs(StoredGcs),
    Azure(StoredAzure),
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEcho {
    kind: String,
    skip_ssl: bool,
    region: String,
    endpoint: String,
    bucket: String,
    auth_url: String,
    domain: String,
    container_name: String,
    project_name: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    container: String,
    path: String,
    filename_prefix: String,
}

impl From<&JobRequest> for StoredRequest {
    fn from(request: &JobRequest) -> Self {
        let JobRequest {
            id,
            work,
            destination: Destination { store, echo },
            transfer,
            service:
                Service {
                    host,
                    user,
                    password,
                    database,
                },
            compression,
            encryption_key,
            parameters,
            warnings,
        } = request;
        let parameter = |Parameter { name, value }: &Parameter| (name.clone(), value.into());
        Self {
            id: id.to_string(),
            work: match work {
                Work::Backup => StoredWork::Backup,
                Work::Restore { filename, expected } => StoredWork::Restore {
                    filename: filename.clone(),
                    size_bytes: expected.size_bytes,
                    sha256: expected.sha256.map(|sha256| sha256.to_string()),
                },
            },
            store: store.into(),
            echo: echo.into(),
            transfer: match transfer {
                Transfer::ByAgent => StoredTransfer::ByAgent,
                Transfer::ByScripts => StoredTransfer::ByScripts,
            },
            service: StoredService {
                host: host.clone(),
                user: user.clone(),
                password: password.into(),
                database: database.clone(),
            },
            compression: *compression,
            encryption_key: encryption_key.into(),
            parameters: parameters.iter().map(parameter).collect(),
            warnings: warnings.clone(),
        }
    }
}

impl TryFrom<StoredRequest> for JobRequest {
    type Error = String;

    fn try_from(request: StoredRequest) -> Result<Self, String> {
        let id = &request.id;
        let parameter = |(name, value): (String, Hidden)| Parameter {
            name,
            value: value.into(),
        };
        Ok(Self {
            id: JobId::parse(id).map_err(|error| format!("the id {id:?} {error}"))?,
            work: match request.work {
                StoredWork::Backup => Work::Backup,
                StoredWork::Restore {
                    filename,
                    size_bytes,
                    sha256,
                } => Work::Restore {
                    filename,
                    expected: Expected {
                        size_bytes,
                        sha256: sha256.and_then(|text| text.parse().ok()),
                    },
                },
            },
            destination: Destination {
                store: request.store.into(),
                echo: request.echo.into(),
            },
            transfer: match request.transfer {
                StoredTransfer::ByAgent => Transfer::ByAgent,
                StoredTransfer::ByScripts => Transfer::ByScripts,
            },
            service: Service {
                host: request.service.host,
                user: request.service.user,
                password: request.service.password.into(),
                database: request.service.database,
            },
            compression: request.compression,
            encryption_key: request.encryption_key.into(),
            parameters: request.parameters.into_iter().map(parameter).collect(),
            warnings: request.warnings,
        })
    }
}

impl From<&Store> for StoredStore {
    fn from(store: &Store) -> Self {
        match store {
            Store::S3(s3) => Self::S3(s3.into()),
            Store::Swift(SwiftStore {
                auth_url,
                domain,
                container_name,
                project_name,
                region,
                username,
                password,
            }) => Self::Swift {
                region: region.clone(),
                auth_url: auth_url.clone(),
                domain: domain.clone(),
                container_name: container_name.clone(),
                project_name: project_name.clone(),
                username: username.clone(),
                password: password.into(),
            },
            Store::File(FileStore { path }) => Self::File {
                path: path.as_path().into(),
            },
            Store::Gcs(gcs) => Self::Gcs(gcs.into()),
            Store::Azure(azure) => Self::Azure(azure.into()),
        }
    }
}

impl From<StoredStore> for Store {
    fn from(store: StoredStore) -> Self {
        match store {
            StoredStore::S3(s3) => Self::S3(s3.into()),
            StoredStore::Swift {
                auth_url,
                domain,
                container_name,
                project_name,
                region,
                username,
                password,
            } => Self::Swift(SwiftStore {
                region,
                auth_url,
                domain,
                container_name,
                project_name,
                username,
                password: password.into(),
            }),
            StoredStore::File { path } => Self::File(FileStore { path: path.into() }),
            StoredStore::Gcs(gcs) => Self::Gcs(gcs.into()),
            StoredStore::Azure(azure) => Self::Azure(azure.into()),
        }
    }
}

/// The two hold the same, field by field.
macro_rules! copy_echo {
    ($from:expr, $to:ident) => {{
        let echo = $from;
        $to {
            kind: echo.kind.clone(),
            skip_ssl: echo.skip_ssl,
            region: echo.region.clone(),
            endpoint: echo.endpoint.clone(),
            bucket: echo.bucket.clone(),
            auth_url: echo.auth_url.clone(),
            domain: echo.domain.clone(),
            container_name: echo.container_name.clone(),
            project_name: echo.project_name.clone(),
            account: echo.account.clone(),
            container: echo.container.clone(),
            path: echo.path.clone(),
            filename_prefix: echo.filename_prefix.clone(),
        }
    }};
}

impl From<&DestinationEcho> for StoredEcho {
    fn from(echo: &DestinationEcho) -> Self {
        copy_echo!(echo, StoredEcho)
    }
}

impl From<StoredEcho> for DestinationEcho {
    fn from(echo: StoredEcho) -> Self {
        copy_echo!(echo, DestinationEcho)
    }
}
