//! S3 destinations as they are written. Members with a default came later than the first records.

use domain::{
    request::{S3Addressing, S3Checksum, S3Credentials, S3Encryption, S3Store},
    secret::Secret,
};
use serde::{Deserialize, Serialize};

use super::request::Hidden;

/// [`S3Store`]
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredS3 {
    endpoint: Option<String>,
    region: Option<String>,
    bucket: String,
    addressing: StoredAddressing,
    #[serde(default)]
    credentials: StoredCredentials,
    auth_key: Hidden,
    auth_secret: Hidden,
    #[serde(default)]
    session_token: Option<Hidden>,
    #[serde(default)]
    encryption: Option<StoredEncryption>,
    #[serde(default)]
    storage_class: Option<String>,
    #[serde(default)]
    checksum: Option<StoredChecksum>,
    prefix: String,
    skip_ssl: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAddressing {
    Path,
    VirtualHosted,
}

/// Whose they are. The keys stand beside it, where they always have.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredCredentials {
    #[default]
    Keys,
    Ambient,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredEncryption {
    Aes256,
    Kms { key_id: Option<String> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredChecksum {
    Crc64nvme,
    Sha256,
}

impl From<&S3Store> for StoredS3 {
    fn from(s3: &S3Store) -> Self {
        let S3Store {
            endpoint,
            region,
            bucket,
            addressing,
            credentials,
            encryption,
            storage_class,
            checksum,
            prefix,
            skip_ssl,
        } = s3;
        let (credentials, auth_key, auth_secret, session_token) = match credentials {
            S3Credentials::Keys { key, secret, token } => (
                StoredCredentials::Keys,
                key.into(),
                secret.into(),
                token.as_ref().map(Hidden::from),
            ),
            S3Credentials::Ambient => (StoredCredentials::Ambient, Hidden::default(), Hidden::default(), None),
        };
        Self {
            endpoint: endpoint.clone(),
            region: region.clone(),
            bucket: bucket.clone(),
            addressing: match addressing {
                S3Addressing::Path => StoredAddressing::Path,
                S3Addressing::VirtualHosted => StoredAddressing::VirtualHosted,
            },
            credentials,
            auth_key,
            auth_secret,
            session_token,
            encryption: encryption.as_ref().map(|encryption| match encryption {
                S3Encryption::Aes256 => StoredEncryption::Aes256,
                S3Encryption::Kms { key_id } => StoredEncryption::Kms { key_id: key_id.clone() },
            }),
            storage_class: storage_class.clone(),
            checksum: checksum.map(|checksum| match checksum {
                S3Checksum::Crc64Nvme => StoredChecksum::Crc64nvme,
                S3Checksum::Sha256 => StoredChecksum::Sha256,
            }),
            prefix: prefix.clone(),
            skip_ssl: *skip_ssl,
        }
    }
}

impl From<StoredS3> for S3Store {
    fn from(s3: StoredS3) -> Self {
        Self {
            endpoint: s3.endpoint,
            region: s3.region,
            bucket: s3.bucket,
            addressing: match s3.addressing {
                StoredAddressing::Path => S3Addressing::Path,
                StoredAddressing::VirtualHosted => S3Addressing::VirtualHosted,
            },
            credentials: match s3.credentials {
                StoredCredentials::Keys => S3Credentials::Keys {
                    key: s3.auth_key.into(),
                    secret: s3.auth_secret.into(),
                    token: s3.session_token.map(Secret::from),
                },
                StoredCredentials::Ambient => S3Credentials::Ambient,
            },
            encryption: s3.encryption.map(|encryption| match encryption {
                StoredEncryption::Aes256 => S3Encryption::Aes256,
                StoredEncryption::Kms { key_id } => S3Encryption::Kms { key_id },
            }),
            storage_class: s3.storage_class,
            checksum: s3.checksum.map(|checksum| match checksum {
                StoredChecksum::Crc64nvme => S3Checksum::Crc64Nvme,
                StoredChecksum::Sha256 => S3Checksum::Sha256,
            }),
            prefix: s3.prefix,
            skip_ssl: s3.skip_ssl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As agents wrote it that knew no other members.
    const OLD: &str = r#"{"endpoint":null,"region":"eu-west-1","bucket":"b","addressing":"path","auth_key":"k",
        "auth_secret":"s","prefix":"p/","skip_ssl":false}"#;

    fn old() -> S3Store {
        serde_json::from_str::<StoredS3>(OLD).unwrap().into()
    }

    #[test]
    fn what_older_agents_wrote_is_read() {
        let s3 = old();
        assert_eq!(s3.credentials, S3Credentials::keys("k", "s"));
        assert_eq!((s3.encryption, s3.storage_class, s3.checksum), (None, None, None));
    }

    #[test]
    fn what_is_written_comes_back() {
        let token = Some(Secret::new("t"));
        let keys = S3Credentials::Keys {
            key: Secret::new("k"),
            secret: Secret::new("s"),
            token,
        };
        for credentials in [keys, S3Credentials::keys("k", "s"), S3Credentials::Ambient] {
            for encryption in [
                None,
                Some(S3Encryption::Aes256),
                Some(S3Encryption::Kms { key_id: None }),
                Some(S3Encryption::Kms {
                    key_id: Some("id".to_owned()),
                }),
            ] {
                for checksum in [None, Some(S3Checksum::Crc64Nvme), Some(S3Checksum::Sha256)] {
                    let s3 = S3Store {
                        credentials: credentials.clone(),
                        encryption: encryption.clone(),
                        checksum,
                        storage_class: checksum.map(|_| "GLACIER_IR".to_owned()),
                        ..old()
                    };
                    let text = serde_json::to_string(&StoredS3::from(&s3)).unwrap();
                    let back: StoredS3 = serde_json::from_str(&text).unwrap();
                    assert_eq!(S3Store::from(back), s3, "{text}");
                }
            }
        }
    }
}
