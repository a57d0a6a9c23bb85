use std::{net::SocketAddr, time::Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, pki_types::ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A CA, and the files of a server that it knows.
struct Pki {
    directory: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pki = Self {
            directory: tempfile::tempdir().unwrap(),
            ca: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        };
        pki.renew();
        pki
    }

    /// A certificate for loopback, and its key.
    fn pair(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &*self.ca).unwrap().pem(), key.serialize_pem())
    }

    fn renew(&self) {
        let (certificate, key) = self.pair();
        self.write("certificate", &certificate);
        self.write("key", &key);
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("certificate"),
            private_key: self.path("key"),
            client_ca: None,
        }
    }

    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn faults(files: &TlsFiles) -> Vec<String> {
    Tls::read(files.clone()).map(drop).expect_err("faults")
}

#[test]
fn what_is_wrong_with_the_files_is_told_at_once_and_by_name() {
    let pki = Pki::new();
    let good = pki.files();
    assert!(Tls::read(good.clone()).is_ok());
    let (certificate, key) = pki.pair();
    let section = |name: &str, text: &str| format!("-----BEGIN {name}-----\n{text}\n-----END {name}-----\n");
    for (file, text, problem) in [
        ("certificate", String::new(), "tls_certificate"),
        ("certificate", key.clone(), "holds no certificate"),
        (
            "certificate",
            section("CERTIFICATE", "!!"),
            "number 1, that cannot be used",
        ),
        ("certificate", section("CERTIFICATE", "AAAA"), "tls_certificate"),
        (
            "certificate",
            certificate.clone(),
            "is not for the key of tls_private_key",
        ),
        ("key", String::new(), "holds no private key"),
        ("key", certificate.clone(), "holds no private key"),
        ("key", section("ENCRYPTED PRIVATE KEY", "AAAA"), "encrypted"),
        ("key", section("PRIVATE KEY", "c2VjcmV0"), "tls_private_key"),
        (
            "key",
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n".to_owned(),
            "no good PEM",
        ),
        ("key", key, "is not for the key of tls_private_key"),
    ] {
        pki.renew();
        pki.write(file, &text);
        let found = faults(&good);
        assert_eq!(found.len(), 1, "{problem}: {found:?}");
        assert!(found[0].contains(problem), "{problem}: {found:?}");
        assert!(!found[0].contains("c2VjcmV0"), "{found:?}");
    }
    let none = TlsFiles {
        certificate: pki.path("none"),
        private_key: pki.path("no-key"),
        client_ca: Some(pki.path("no-ca")),
    };
    let found = faults(&none);
    for (fault, start) in found
        .iter()
        .zip(["tls_certificate /", "tls_private_key /", "tls_client_ca /"])
    {
        assert!(
            fault.starts_with(start) && fault.contains("cannot be read: No such file"),
            "{found:?}"
        );
    }
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn files_that_change_are_used_once_they_are_settled_and_bad_ones_are_told_once() {
    let pki = Pki::new();
    let tls = Tls::read(pki.files()).unwrap();
    assert!(tls.renew_if_changed().is_none());
    // Half of a renewal is seen, and never tried.
    let (certificate, key) = pki.pair();
    pki.write("certificate", &certificate);
    assert!(tls.renew_if_changed().is_none());
    pki.write("key", &key);
    assert!(tls.renew_if_changed().is_none());
    assert_eq!(tls.renew_if_changed(), Some(Ok(())));
    assert!(tls.renew_if_changed().is_none());

    fs::remove_file(pki.path("key")).unwrap();
    let before = Arc::clone(&tls.in_force.read().unwrap());
    assert!(tls.renew_if_changed().is_none());
    assert!(tls.renew_if_changed().unwrap().unwrap_err()[0].contains("cannot be read"));
    assert!(tls.renew_if_changed().is_none());
    // Somebody who asks is told again.
    assert!(tls.renew().is_err());
    assert!(
        Arc::ptr_eq(&before, &tls.in_force.read().unwrap()),
        "what was in force stays"
    );
    // The good pair that is back is in force, without a word more than that.
    pki.write("key", &key);
    assert!(tls.renew_if_changed().is_none());
    assert_eq!(tls.renew_if_changed(), Some(Ok(())));
}

/// Accepts one connection.
async fn accept_one(tls: Tls, limit: Duration) -> (SocketAddr, JoinHandle<io::Result<TlsStream<TcpStream>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tls.accept(stream, limit).await
    });
    (address, task)
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up() {
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET /status HTTP/1.1\r\n\r\n"] {
        let tls = Tls::read(Pki::new().files()).unwrap();
        let start = Instant::now();
        let (address, accepting) = accept_one(tls, Duration::from_millis(200)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let accepted = tokio::time::timeout(PATIENCE, accepting)
            .await
            .expect("it must be given up");
        assert!(accepted.unwrap().is_err(), "after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn http_1_1_is_agreed_on_and_the_newest_tls() {
    let pki = Pki::new();
    let (address, accepting) = accept_one(Tls::read(pki.files()).unwrap(), PATIENCE).await;
    let mut config = ClientConfig::clone(&pki.client());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut client = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let mut server = accepting.await.unwrap().unwrap();
    let agreed: &ClientConnection = client.get_ref().1;
    assert_eq!(agreed.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    client.write_all(b"x").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}
