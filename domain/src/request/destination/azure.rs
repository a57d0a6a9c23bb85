//! Containers of Azure Blob Storage.

use crate::secret::Secret;

/// A container of Azure Blob Storage, and what lets one use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureStore {
    /// The blob service's URL; none means that of the account at Azure's public cloud.
    pub endpoint: Option<String>,
    /// The storage account.
    pub account: String,
    /// The container's name.
    pub container: String,
    /// What lets one use it.
    pub credential: AzureCredential,
    /// Stands before the file name in the blob's name.
    pub prefix: String,
}

/// What lets one use a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureCredential {
    /// One of the account's two keys, in base64.
    AccountKey(Secret),
    /// A shared access signature: a URL's query, without the question mark.
    SasToken(Secret),
}

impl AzureCredential {
    /// Of a token also its signature, as it is and as it stands in URLs: the rest is no secret, and a
    /// program that prints it may put the members in another order.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::AccountKey(key) => vec![key.clone()],
            Self::SasToken(token) => {
                let signature = token.expose().split('&').find_map(|pair| pair.strip_prefix("sig="));
                let signature = signature.unwrap_or_default();
                vec![token.clone(), Secret::new(signature), Secret::new(unescaped(signature))]
            }
        }
    }
}

/// Base64 has no more characters than these that a URL escapes.
fn unescaped(base64: &str) -> String {
    [
        ("%2B", "+"),
        ("%2b", "+"),
        ("%2F", "/"),
        ("%2f", "/"),
        ("%3D", "="),
        ("%3d", "="),
    ]
    .into_iter()
    .fold(base64.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}
