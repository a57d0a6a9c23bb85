//! TLS: the agent's certificate, whom it lets in, and files that are renewed while it serves.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use ring::digest::{Context, SHA256};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use zeroize::Zeroizing;

/// The files, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `tls_certificate`: the agent's certificate, then those between it and its CA.
    pub certificate: PathBuf,
    /// `tls_private_key`
    pub private_key: PathBuf,
    /// `tls_client_ca`: only clients with a certificate of one of these CAs are let in.
    pub client_ca: Option<PathBuf>,
}

/// What TLS connections are made with. New ones use what was read last, running ones keep theirs.
pub struct Tls {
    files: TlsFiles,
    in_force: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// What the files held, good or bad.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// When they were last put in force or refused.
    tried: Fingerprint,
    /// When they were last looked at.
    last: Fingerprint,
}

type Fingerprint = [u8; 32];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, each with the variable that names the file.
    pub fn read(files: TlsFiles) -> Result<Self, Vec<String>> {
        let contents = Contents::read(&files);
        let config = contents.config(&files)?;
        let fingerprint = contents.fingerprint();
        Ok(Self {
            files,
            in_force: RwLock::new(config),
            seen: Mutex::new(Seen {
                tried: fingerprint,
                last: fingerprint,
            }),
        })
    }

    /// Reads the files again, and uses them for new connections. Reads from the disk.
    ///
    /// # Errors
    ///
    /// All that is wrong with them. Then what was in force stays.
    pub fn renew(&self) -> Result<(), Vec<String>> {
        let contents = Contents::read(&self.files);
        let fingerprint = contents.fingerprint();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            tried: fingerprint,
            last: fingerprint,
        };
        self.put_in_force(&contents)
    }

    /// As [`Tls::renew`], if the files hold something else than before. They have to be the same in
    /// two calls one after the other: certificate and key are never replaced in one moment.
    ///
    /// # Errors
    ///
    /// As there, once for what the files hold.
    pub fn renew_if_changed(&self) -> Option<Result<(), Vec<String>>> {
        let contents = Contents::read(&self.files);
        let found = contents.fingerprint();
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let is_settled = std::mem::replace(&mut seen.last, found) == found;
            if !is_settled || seen.tried == found {
                return None;
            }
            seen.tried = found;
        }
        Some(self.put_in_force(&contents))
    }

    /// Makes a TLS connection of one that has just been accepted.
    pub(super) async fn accept<S>(&self, stream: S, limit: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner));
        let handshake = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(limit, handshake).await?
    }

    fn put_in_force(&self, contents: &Contents) -> Result<(), Vec<String>> {
        let config = contents.config(&self.files)?;
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// What the files hold, or why they could not be read.
struct Contents {
    certificate: Result<Vec<u8>, String>,
    private_key: Result<Zeroizing<Vec<u8>>, String>,
    client_ca: Option<Result<Vec<u8>, String>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Self {
        let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot be read: {error}"));
        Self {
            certificate: read(&files.certificate),
            private_key: read(&files.private_key).map(Zeroizing::new),
            client_ca: files.client_ca.as_deref().map(read),
        }
    }

    /// The same for the same contents, without holding a key.
    fn fingerprint(&self) -> Fingerprint {
        let mut hash = Context::new(&SHA256);
        let mut add = |contents: Result<&[u8], &String>| {
            let (kind, bytes) = match contents {
                Ok(bytes) => (0, bytes),
                Err(problem) => (1, problem.as_bytes()),
            };
            hash.update(&[kind]);
            hash.update(&bytes.len().to_be_bytes());
            hash.update(bytes);
        };
        add(self.certificate.as_deref());
        add(self.private_key.as_ref().map(|pem| pem.as_slice()));
        self.client_ca.iter().for_each(|pem| add(pem.as_deref()));
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(hash.finish().as_ref());
        fingerprint
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, Vec<String>> {
        let provider = Arc::new(default_provider());
        let mut faults = Vec::new();
        let chain = self.certificate.as_deref().map_err(Clone::clone).and_then(certificates);
        let chain = named(&mut faults, "tls_certificate", &files.certificate, chain);
        let key = self.private_key.as_ref().map_err(Clone::clone);
        let key = key.and_then(|pem| private_key(pem, &provider));
        let key = named(&mut faults, "tls_private_key", &files.private_key, key);
        let verifier = match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(contents)) => {
                let pem = contents.as_deref().map_err(Clone::clone);
                let verifier = pem.and_then(|pem| client_verifier(pem, &provider));
                named(&mut faults, "tls_client_ca", path, verifier)
            }
            (None, _) | (_, None) => Some(WebPkiClientVerifier::no_client_auth()),
        };
        let (Some(chain), Some(key), Some(verifier)) = (chain, key, verifier) else {
            return Err(faults);
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key));
        let mut config = config.map_err(|error| {
            let certificate = files.certificate.display();
            vec![match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "tls_certificate {certificate} is not for the key of tls_private_key {}; its first certificate \
                     must be the agent's own",
                    files.private_key.display()
                ),
                _ => format!("tls_certificate {certificate} cannot be used: {error}"),
            }]
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The good value, or a fault more.
fn named<T>(faults: &mut Vec<String>, variable: &str, path: &Path, read: Result<T, String>) -> Option<T> {
    read.map_err(|problem| faults.push(format!("{variable} {} {problem}", path.display())))
        .ok()
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut chain = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let number = index + 1;
        let certificate =
            certificate.map_err(|error| format!("has a certificate, number {number}, that cannot be used: {error}"))?;
        chain.push(certificate);
    }
    if chain.is_empty() {
        return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(chain)
}

/// Whatever is wrong with a key is told without any of it.
fn private_key(pem: &[u8], provider: &CryptoProvider) -> Result<PrivateKeyDer<'static>, String> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => "holds no private key in PEM (-----BEGIN PRIVATE KEY-----), or one that is \
             encrypted, which the agent cannot open"
            .to_owned(),
        _ => "has a private key that cannot be used: it is no good PEM".to_owned(),
    })?;
    match provider.key_provider.load_private_key(key.clone_key()) {
        Ok(_) => Ok(key),
        Err(_) => Err(
            "has a private key that cannot be used: it must be RSA of 2048 bits or more, ECDSA of P-256 or \
             P-384, or Ed25519"
                .to_owned(),
        ),
    }
}

fn client_verifier(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            let number = index + 1;
            format!("has a certificate, number {number}, that cannot be used: {error}")
        })?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map_err(|error| format!("cannot be used: {error}"))
}

#[cfg(test)]
mod tests;
