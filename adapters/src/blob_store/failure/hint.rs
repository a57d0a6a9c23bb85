//! What people may check when a request to a store failed.

use domain::request::{AzureCredential, S3Credentials, S3Store, Store};

use super::Action;
use crate::blob_store::fault::{Answer, ConnectionFault, Fault};

const OWN_CREDENTIALS: &str = "check the agent's own credentials: the AWS_* variables of its environment, or its role";

/// What people call things in a request for this store.
struct Words {
    /// What lets one in.
    credentials: &'static str,
    they: &'static str,
    /// What holds the objects.
    place: &'static str,
    /// What says where that is.
    address: &'static str,
}

impl Words {
    fn of(store: &Store) -> Self {
        let (credentials, they, place, address) = match store {
            Store::S3(_) => ("authKey and authSecret", "they", "bucket", "endpoint and bucket"),
            Store::Swift(_) => (
                "username, password and project_name",
                "they",
                "container",
                "authUrl, region and container_name",
            ),
            Store::Gcs(_) => ("serviceAccountKey", "its account", "bucket", "endpoint and bucket"),
            Store::Azure(azure) => {
                let credential = match azure.credential {
                    AzureCredential::AccountKey(_) => "accountKey",
                    AzureCredential::SasToken(_) => "sasToken",
                };
                (credential, "it", "container", "endpoint and container")
            }
            Store::File(_) => ("the agent's user", "it", "directory", "path"),
        };
        Self {
            credentials,
            they,
            place,
            address,
        }
    }
}

/// What to check.
pub(super) fn hint(fault: &Fault, action: Action, store: &Store) -> Option<String> {
    let is_ambient = matches!(
        store,
        Store::S3(S3Store {
            credentials: S3Credentials::Ambient,
            ..
        })
    );
    let hint = hint_for_fault(fault, action, &Words::of(store))?;
    // The request has no keys that could be checked.
    let is_about_keys = ["authKey", "authSecret", "sessionToken"]
        .iter()
        .any(|key| hint.contains(key));
    if is_ambient && is_about_keys {
        Some(format!("{OWN_CREDENTIALS}, and what they may do with this bucket"))
    } else {
        Some(hint)
    }
}

fn hint_for_fault(fault: &Fault, action: Action, words: &Words) -> Option<String> {
    let hint = match fault {
        Fault::Answer(answer) => return hint_for_answer(answer, action, words),
        Fault::Credentials { .. } => OWN_CREDENTIALS,
        Fault::Connection { kind, text } => match kind {
            ConnectionFault::Forbidden => return Some(format!("check {}", words.address)),
            ConnectionFault::Name => "check the endpoint's host name and this machine's name servers",
            ConnectionFault::Refused | ConnectionFault::Connect => "check the endpoint's host and port, and firewalls",
            ConnectionFault::Certificate => {
                "check that the endpoint's host name is the certificate's, and that this machine trusts its CA, or else \
                 s3_ca_certificate names it"
            }
            ConnectionFault::Tls => "check that the endpoint speaks https; if it is plain http, say so with http://",
            ConnectionFault::Silence | ConnectionFault::Broken => "check the network and the store's health",
            ConnectionFault::Request if text.contains("CA cert") => {
                "install the CA certificates of this machine's system, or name a file of them in s3_ca_certificate"
            }
            ConnectionFault::Request => "check the endpoint",
        },
    };
    Some(hint.to_owned())
}

fn hint_for_answer(answer: &Answer, action: Action, words: &Words) -> Option<String> {
    let Words {
        credentials,
        they,
        place,
        address,
    } = words;
    let hint = match (answer.code.as_deref().unwrap_or_default(), answer.status) {
        ("SignatureDoesNotMatch", _) => "check authSecret: it does not belong to authKey",
        ("InvalidAccessKeyId", _) => "check authKey: the store does not know it",
        ("RequestTimeTooSkewed", _) => "check this machine's clock: it and the store's differ",
        ("ExpiredToken" | "TokenRefreshRequired", _) => {
            "check sessionToken: it has expired, send a fresh one with its keys"
        }
        ("InvalidToken", _) => "check sessionToken: it does not belong to authKey, or the store knows no sessions",
        ("InvalidStorageClass", _) => "check storageClass: the store does not know it",
        (code, _) if code.starts_with("KMS.") => "check sseKmsKeyId, and that the keys of the request may use it",
        ("NotImplemented", _) if action == Action::Upload => {
            "the store does not know such a request; leave checksum, sse and storageClass out if they are there"
        }
        ("AuthenticationFailed" | "InvalidAuthenticationInfo", _) | ("AuthenticationRequired", 401) => {
            return Some(format!(
                "check {credentials}: the store does not take it, it has expired, or this machine's clock is wrong"
            ));
        }
        ("NoSuchBucket" | "InvalidBucketName", _) => "check bucket and endpoint",
        ("ContainerNotFound" | "InvalidResourceName", _) => "check account, container and endpoint",
        ("ContainerBeingDeleted" | "ContainerDisabled" | "AccountIsDisabled", _) => {
            "check account and container: nothing can be kept there now"
        }
        ("NoSuchKey" | "BlobNotFound", _) => "check filename and filenamePrefix",
        ("InvalidBlobOrBlock" | "InvalidBlockList", _) => {
            "another program uploads, or has begun to upload, a blob of this name; try again"
        }
        ("BlobArchived" | "BlobBeingRehydrated", _) => "the blob is in the archive tier; rehydrate it first",
        (
            "AuthorizationPermissionMismatch" | "AuthorizationResourceTypeMismatch" | "AuthorizationServiceMismatch",
            _,
        ) => "check the token's permissions: rw for a backup, r for a restore, on the container's blobs",
        ("AuthorizationFailure", _) => {
            return Some(format!(
                "check {credentials}, and from which networks the account may be used"
            ));
        }
        ("AuthorizationSourceIPMismatch" | "AuthorizationProtocolMismatch", _) => {
            "check from where, and by which protocol, the token may be used"
        }
        ("KeyBasedAuthenticationNotPermitted", _) => "the account takes no accountKey; use a sasToken by delegation",
        ("AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect", _) | (_, 300..=399) => {
            let place = answer
                .region
                .as_ref()
                .map(|region| format!(": the bucket is in {region:?}"));
            return Some(format!("check region and endpoint{}", place.unwrap_or_default()));
        }
        ("EntityTooLarge" | "RequestBodyTooLarge", _) => "the store takes no object of this size",
        (_, 401 | 403) => {
            let may = match action {
                Action::Upload => format!("write to this {place}"),
                Action::Discard => format!("list and abort unfinished uploads of this {place}"),
                Action::LookUp => format!("list this {place} and read from it"),
                Action::Download => format!("read from this {place}"),
            };
            return Some(format!("check {credentials} and that {they} may {may}"));
        }
        (_, 404) => return Some(format!("check {address}")),
        (_, 408 | 429 | 500..=599) => "check the store's health and load",
        _ => return None,
    };
    Some(hint.to_owned())
}
