//! Buckets of Google Cloud Storage.

use crate::secret::Secret;

/// A bucket of Google Cloud Storage, and the service account that may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsStore {
    /// A URL with its scheme; none means Google's own.
    pub endpoint: Option<String>,
    /// The bucket's name.
    pub bucket: String,
    /// Who uses it.
    pub service_account: ServiceAccount,
    /// Stands before the file name in the object's name.
    pub prefix: String,
}

/// A service account, as its key file tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The account's address.
    pub client_email: String,
    /// Which of the account's keys this is.
    pub private_key_id: String,
    /// The key, as PEM.
    pub private_key: Secret,
    /// The whole key file, for scripts.
    pub key_file: Secret,
}

impl ServiceAccount {
    /// The file, the key, and the key's lines: a program that prints the file may format it anew.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let lines = self.private_key.expose().lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with("-----")).map(Secret::new);
        let whole = [&self.key_file, &self.private_key].map(Clone::clone);
        whole.into_iter().chain(lines).collect()
    }
}
