//! Containers of Azure Blob Storage.
//!
//! A blob in parts is made of blocks, which belong to nobody until a list of them is put: there is no
//! upload that could be found or aborted. Blocks that no list names vanish by themselves, a week after
//! the last of them came, or when another blob of that name is made. Whatever else would remove them
//! makes a blob of that name first, which others could see; so they are left.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    artifact::ObjectKey,
    request::{self, AzureStore},
};
use object_store::{
    StaticCredentialProvider,
    azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder, split_sas},
};
use reqwest::Url;

use super::{
    Limits,
    bucket::{Bucket, OpenUploads, no_retries},
    condition::{AzureSignature, Condition},
    connector::Connector,
    failure::Failure,
    local::blocking,
    movement::Stall,
    network::Network,
    parts::PartRules,
    redaction::Redaction,
};

/// Makes a client for the container.
pub(super) async fn connect(store: &AzureStore, limits: Limits, network: &Network) -> Result<Bucket, Failure> {
    let url = address(store);
    let bad = |why: &dyn std::fmt::Display| Failure::strange(format!("the endpoint is no address: {why}"));
    let url = Url::parse(&url).map_err(|error| bad(&error))?;
    let signature = AzureSignature {
        credential: Arc::new(credential(&store.credential)?),
        account: store.account.clone(),
    };
    let endpoint = url.clone();
    let network = network.clone();
    let redaction = Redaction::of(store.credential.secrets());
    let connector = blocking(move || Connector::new(&endpoint, limits.answer, &network, redaction)).await?;
    let connector = connector.on(Condition::Azure(signature));
    let objects = MicrosoftAzureBuilder::new()
        .with_account(&store.account)
        .with_container_name(&store.container)
        .with_endpoint(url.as_str().trim_end_matches('/').to_owned())
        .with_credentials(Arc::new(StaticCredentialProvider::new(credential(&store.credential)?)))
        .with_retry(no_retries())
        .with_http_connector(connector.clone())
        .build()
        .map_err(|_| Failure::strange("the container cannot be spoken to: check account, container and endpoint"))?;
    let objects = Arc::new(objects);
    Ok(Bucket {
        stall: Arc::new(Stall::new(limits.stall, connector.transfer())),
        open_uploads: Arc::new(Blocks),
        creating: Arc::clone(&objects) as _,
        objects,
        parts: PartRules::AZURE,
        takes_marks: false,
        limits,
    })
}

/// Where the account is.
pub(super) fn address(store: &AzureStore) -> String {
    match &store.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://{}.blob.core.windows.net", store.account),
    }
}

/// Errors of `object_store` say which character of a key is wrong; nobody needs to know.
pub(super) fn credential(credential: &request::AzureCredential) -> Result<AzureCredential, Failure> {
    match credential {
        request::AzureCredential::AccountKey(key) => {
            let key = AzureAccessKey::try_new(key.expose());
            let key = key.map_err(|_| Failure::denied("accountKey is not base64"))?;
            Ok(AzureCredential::AccessKey(key))
        }
        request::AzureCredential::SasToken(token) => {
            let pairs = split_sas(token.expose());
            let pairs = pairs.map_err(|_| Failure::denied("sasToken is not a SAS token"))?;
            Ok(AzureCredential::SASToken(pairs))
        }
    }
}

/// Blocks without a list, which cannot be listed as uploads.
#[derive(Debug)]
struct Blocks;

#[async_trait]
impl OpenUploads for Blocks {
    async fn of(&self, key: &ObjectKey) -> Result<Vec<String>, Failure> {
        tell_of_blocks(key);
        Ok(Vec::new())
    }
}

/// Tells the operator what an upload that came to nothing may have left.
pub(super) fn tell_of_blocks(key: &ObjectKey) {
    tracing::info!(
        key = key.as_str(),
        "blocks of an unfinished upload may be in the container; nobody sees them, and Azure removes them in a week"
    );
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;

    #[test]
    fn a_credential_that_is_none_is_refused_without_repeating_it() {
        use request::AzureCredential::{AccountKey, SasToken};
        for bad in [AccountKey(Secret::new("hidden!")), SasToken(Secret::new("hidden"))] {
            let text = credential(&bad).unwrap_err().to_string();
            assert!(!text.contains("hidden"), "{text}");
        }
        // Base64 has bits that must be zero at its end.
        assert!(credential(&AccountKey(Secret::new("QQ=="))).is_ok());
        assert!(credential(&AccountKey(Secret::new("QR=="))).is_err());
    }
}
