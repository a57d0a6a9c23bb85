//! Stores whose certificates come from a CA of their own.

use std::{fs, net::SocketAddr, sync::Arc};

use adapters::blob_store::{CaCertificates, ObjectBlobStore, TransferSettings};
use domain::{ports::BlobStoreError, request::Store};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{
    BUCKET, Desk, bucket_at, download,
    scene::{IMPATIENT, PATIENT},
    upload,
};
use crate::s3_server::S3Server;

/// TLS before a server that has none.
struct TlsServer {
    address: SocketAddr,
    ca_pem: String,
    task: AbortHandle,
}

impl TlsServer {
    async fn start(server: SocketAddr) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let mut inside = acceptor.accept(stream).await?;
                    let mut outside = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut inside, &mut outside).await
                });
            }
        });
        Self {
            address,
            ca_pem,
            task: task.abort_handle(),
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_of_the_operator_is_trusted_and_no_other() {
    let server = S3Server::start().await;
    server.create_bucket(BUCKET);
    let tls = TlsServer::start(server.address()).await;
    let other = TlsServer::start(server.address()).await;
    let store = Store::S3(bucket_at(format!("https://{}", tls.address)));
    let desk = Desk::new();
    let trusting = |pem: &str| {
        let path = desk.file("ca.pem", pem.as_bytes());
        ObjectBlobStore::new(TransferSettings {
            retry_timeout: PATIENT,
            ca_certificates: CaCertificates::read(&path).unwrap(),
            ..TransferSettings::default()
        })
    };

    // The second of two is looked at too.
    let blobs = trusting(&format!("{}\n{}", other.ca_pem, tls.ca_pem));
    assert_eq!(upload(&blobs, &store, "a", b"artifact").await, Ok(8));
    assert_eq!(download(&blobs, &store, "a").await.unwrap(), b"artifact");
    assert_eq!(fs::read(server.object(BUCKET, "a")).unwrap(), b"artifact");

    let of_system = TransferSettings {
        retry_timeout: IMPATIENT,
        ..TransferSettings::default()
    };
    for blobs in [trusting(&other.ca_pem), ObjectBlobStore::new(of_system)] {
        let error = upload(&blobs, &store, "b", b"x").await.unwrap_err();
        let text = error.to_string();
        // A machine without any CA of its own cannot even make the client.
        assert!(
            matches!(error, BlobStoreError::Unavailable(_) | BlobStoreError::Other(_)),
            "{error:?}"
        );
        assert!(text.contains("s3_ca_certificate"), "{text}");
    }
    assert!(!server.object(BUCKET, "b").exists());
}
