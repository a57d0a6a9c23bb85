//! The files that variables name, read once the variables themselves are in order.

use std::sync::Arc;

use adapters::{blob_store::CaCertificates, http::Tls};
use domain::secret::Secret;

use super::{Config, ConfigFaults};

/// What the files held at start.
#[derive(Debug)]
pub(crate) struct Files {
    /// Whom connections to stores trust, beside the system's.
    pub(crate) trust: CaCertificates,
    /// What the agent's own TLS is made with, if it is to serve it.
    pub(crate) tls: Option<Arc<Tls>>,
    /// The password of the API, from wherever it comes.
    pub(crate) password: Secret,
}

impl Config {
    /// Reads all files that serving needs.
    ///
    /// # Errors
    ///
    /// All that is wrong with any of them.
    pub(crate) fn read_files(&self) -> Result<Files, ConfigFaults> {
        let tls = self.tls.clone().map(Tls::read).transpose();
        match (self.password.read(), tls, self.ca_certificates()) {
            (Ok(password), Ok(tls), Ok(trust)) => Ok(Files {
                trust,
                tls: tls.map(Arc::new),
                password,
            }),
            (password, tls, trust) => {
                let mut faults: Vec<String> = password.err().into_iter().collect();
                faults.extend(tls.err().into_iter().flatten());
                faults.extend(trust.err().into_iter().flat_map(|ConfigFaults(faults)| faults));
                Err(ConfigFaults(faults))
            }
        }
    }
}
