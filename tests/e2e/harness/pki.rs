//! Certificates as an operator makes them, and a client that shows what the agent serves.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{PATIENCE, Place};

/// A CA of a test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA can be made"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for loopback, good for servers and clients.
    pub(crate) fn pair(&self) -> Pair {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
        let certificate = params.signed_by(&key, &*self.0).expect("it can be signed");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that trusts this CA.
    pub(crate) fn client(&self) -> TlsClient {
        TlsClient {
            ca: self.pem(),
            pair: None,
            versions: vec![&TLS13, &TLS12],
        }
    }
}

impl Pair {
    /// Where a test's agent finds its certificate and key.
    pub(crate) fn paths(place: &Place) -> [PathBuf; 2] {
        ["tls.crt", "tls.key"].map(|name| place.path(name))
    }

    pub(crate) fn write(&self, place: &Place) {
        place.write("tls.crt", &self.certificate);
        place.write("tls.key", &self.key);
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("we made it")
    }
}

/// How a client makes connections.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    ca: String,
    pair: Option<Pair>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl TlsClient {
    /// Shows a certificate of its own.
    pub(crate) fn with(mut self, pair: Pair) -> Self {
        self.pair = Some(pair);
        self
    }

    pub(crate) fn with_versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// A connection whose handshake is over, as far as the client can tell.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<TlsConnection> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca.as_bytes()).expect("we made it");
        roots.add(ca).expect("we made it");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&self.versions)
            .expect("the provider knows them")
            .with_root_certificates(roots);
        let config = match &self.pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("we made it");
                builder
                    .with_client_auth_cert(vec![pair.der()], key)
                    .expect("they go together")
            }
        };
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("the configuration is good");
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut connection = TlsConnection(StreamOwned::new(session, socket));
        while connection.0.conn.is_handshaking() {
            let TlsConnection(StreamOwned { conn, sock }) = &mut connection;
            conn.complete_io(sock)?;
        }
        Ok(connection)
    }

    /// The status of one call on a connection of its own.
    pub(crate) fn status(&self, address: SocketAddr, authorization: &str) -> io::Result<u16> {
        self.connect(address)?.status(authorization)
    }
}

/// One TLS connection, on which any number of requests may be sent.
#[derive(Debug)]
pub(crate) struct TlsConnection(StreamOwned<ClientConnection, TcpStream>);

impl TlsConnection {
    /// Calls `HEAD /status` with this `Authorization` line.
    pub(crate) fn status(&mut self, authorization: &str) -> io::Result<u16> {
        let request = format!("HEAD /status HTTP/1.1\r\nHost: x\r\n{authorization}\r\n\r\n");
        self.0.write_all(request.as_bytes())?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head);
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.ok_or_else(|| io::Error::other(format!("no status line: {head:?}")))
    }

    /// The certificate that the agent has shown.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.0.conn.peer_certificates().expect("the handshake is over");
        chain[0].clone().into_owned()
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.0.conn.protocol_version().expect("the handshake is over")
    }
}
