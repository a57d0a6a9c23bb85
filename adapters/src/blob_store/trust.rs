//! Whom TLS connections trust.

use std::{fmt, fs, path::Path, sync::Arc};

use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// CA certificates that are trusted in addition to the system's.
#[derive(Clone, Default)]
pub struct CaCertificates(Arc<[Certificate]>);

impl CaCertificates {
    /// Reads a file of certificates in PEM.
    ///
    /// # Errors
    ///
    /// With a fragment that says what is wrong with the file, if it cannot be read, holds none, or
    /// holds one that nobody could be checked against.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let mut certificates = Vec::new();
        for (index, certificate) in CertificateDer::pem_slice_iter(&bytes).enumerate() {
            let number = index + 1;
            let bad =
                |why: &dyn fmt::Display| format!("has a certificate, number {number}, that cannot be used: {why}");
            let certificate = certificate.map_err(|error| bad(&error))?;
            let mut store = RootCertStore::empty();
            store.add(certificate.clone()).map_err(|error| bad(&error))?;
            certificates.push(Certificate::from_der(&certificate).map_err(|error| bad(&error))?);
        }
        if certificates.is_empty() {
            return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
        }
        Ok(Self(certificates.into()))
    }

    /// For the HTTP client.
    pub(super) fn all(&self) -> impl Iterator<Item = Certificate> + '_ {
        self.0.iter().cloned()
    }
}

impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CA certificates", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_good_is_refused_with_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let begin = "-----BEGIN CERTIFICATE-----";
        let end = "-----END CERTIFICATE-----";
        for (text, problem) in [
            (String::new(), "holds no certificate"),
            ("nonsense".to_owned(), "holds no certificate"),
            (format!("{begin}\nAAAA\n{end}\n"), "number 1, that cannot be used"),
            (format!("{begin}\n!!\n{end}\n"), "number 1, that cannot be used"),
            (format!("{begin}\nAAAA\n"), "cannot be used"),
        ] {
            fs::write(&path, &text).unwrap();
            let refusal = CaCertificates::read(&path).unwrap_err();
            assert!(refusal.contains(problem), "{text:?}: {refusal}");
        }
        for (path, problem) in [
            (directory.path(), "cannot be read"),
            (&path.join("none"), "cannot be read"),
        ] {
            assert!(CaCertificates::read(path).unwrap_err().contains(problem));
        }
    }
}
