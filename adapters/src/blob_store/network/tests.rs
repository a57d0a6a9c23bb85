//! Where the way to a store may lead, with names that a resolver of the tests' own looks up.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use domain::{
    artifact::{Expected, ObjectKey},
    ports::{BlobStore, BlobStoreError, Halt, LocalFile, Tally},
    request::{
        AzureCredential, AzureStore, GcsStore, S3Addressing, S3Credentials, S3Store, ServiceAccount, Store, SwiftStore,
    },
    secret::Secret,
};

use super::*;
use crate::blob_store::{ObjectBlobStore, TransferSettings, s3::S3Connections};

/// So long that a test in which it passes is seen to be slow.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const GCS_KEY: &str = include_str!("../../../tests/it/gcs_shim/key.pem");

/// Answers as an attacker's name server would.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>);

impl Names {
    fn of(name: &str, addresses: &[&str]) -> Self {
        let names = Self::default();
        names.set(name, addresses);
        names
    }

    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address"));
        self.0.lock().unwrap().insert(name.to_owned(), addresses.collect());
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.lock().unwrap().get(name.as_str()).cloned();
        Box::pin(async move {
            let found = found.ok_or("no such name")?;
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// A server on loopback that gives one answer to all, and counts who comes. It ends with the process.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 64 * 1024];
                    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                        if stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn blobs(allowed: &str, names: Names) -> ObjectBlobStore {
    let allowed = AllowedEndpoints::parse(allowed).expect(allowed);
    let network = Network::new(CaCertificates::default(), allowed).with_names(names);
    let mut blobs = ObjectBlobStore::new(TransferSettings {
        retry_timeout: RETRY_TIMEOUT,
        ..TransferSettings::default()
    });
    blobs.s3 = S3Connections::new(network.clone(), None);
    blobs.network = network;
    blobs
}

fn s3(endpoint: &str) -> Store {
    Store::S3(S3Store {
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        bucket: "bucket".to_owned(),
        addressing: S3Addressing::Path,
        credentials: S3Credentials::keys("the-access-key", "the-secret-key"),
        encryption: None,
        storage_class: None,
        checksum: None,
        prefix: String::new(),
        skip_ssl: true,
    })
}

fn azure(endpoint: &str) -> Store {
    Store::Azure(AzureStore {
        endpoint: Some(endpoint.to_owned()),
        account: "account1".to_owned(),
        container: "container".to_owned(),
        credential: AzureCredential::AccountKey(Secret::new("c2VjcmV0c2VjcmV0")),
        prefix: String::new(),
    })
}

fn gcs(endpoint: &str) -> Store {
    Store::Gcs(GcsStore {
        endpoint: Some(endpoint.to_owned()),
        bucket: "bucket".to_owned(),
        service_account: ServiceAccount {
            client_email: "a@b".to_owned(),
            private_key_id: "1".to_owned(),
            private_key: Secret::new(GCS_KEY),
            key_file: Secret::new(r#"{"token_uri": "http://169.254.169.254/token"}"#),
        },
        prefix: String::new(),
    })
}

fn swift(auth_url: &str) -> Store {
    Store::Swift(SwiftStore {
        auth_url: auth_url.to_owned(),
        domain: "Default".to_owned(),
        container_name: "c".to_owned(),
        project_name: "project".to_owned(),
        region: None,
        username: "user".to_owned(),
        password: Secret::new("the-password"),
    })
}

fn key() -> ObjectKey {
    ObjectKey::new("", "key")
}

/// Asks for an object, which must be refused without another try; with what is said.
async fn refusal(blobs: &ObjectBlobStore, store: &Store) -> String {
    let start = Instant::now();
    let found = blobs.find(store, &key()).await;
    assert!(start.elapsed() < RETRY_TIMEOUT / 4, "{store}: it is not tried again");
    match found {
        Err(BlobStoreError::Denied(text)) => text,
        other => panic!("{store}: {other:?}"),
    }
}

#[tokio::test]
async fn an_innocent_name_that_leads_to_a_metadata_service_is_refused_for_good() {
    for address in [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ] {
        for allowed in ["", "store.example.org"] {
            let blobs = blobs(allowed, Names::of("store.example.org", &[address]));
            let at = "http://store.example.org";
            let (v3, v1) = (format!("{at}/v3"), format!("{at}/auth/v1.0"));
            for store in [s3(at), azure(at), gcs(at), swift(&v3), swift(&v1)] {
                let text = refusal(&blobs, &store).await;
                let told = "no connection was tried: the way leads to store.example.org:80 at ";
                assert!(text.contains(told) && text.contains("metadata service"), "{text}");
                assert!(text.contains("allowed_endpoints"), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_is_judged_by_its_address_each_time_it_is_looked_up() {
    let server = Server::answering(NOT_FOUND);
    let names = Names::default();
    let store = s3(&format!("http://store.example.org:{}", server.address.port()));
    let with_port = format!("127.0.0.1:{}", server.address.port());
    for allowed in ["", "store.example.org", "127.0.0.0/8", &with_port] {
        let blobs = blobs(allowed, names.clone());
        names.set("store.example.org", &["127.0.0.1"]);
        let before = server.connections();
        let found = blobs.find(&store, &key()).await;
        assert!(matches!(found, Ok(None)), "{allowed:?}: {found:?}");
        assert!(server.connections() > before, "{allowed:?}: the store was asked");
        names.set("store.example.org", &["169.254.169.254"]);
        refusal(&blobs, &store).await;
    }
    names.set("store.example.org", &["127.0.0.1"]);
    let before = server.connections();
    for allowed in ["10.0.0.0/8", "127.0.0.0/8:1", "other.example.org"] {
        let text = refusal(&blobs(allowed, names.clone()), &store).await;
        assert!(text.contains("not among the agent's allowed_endpoints"), "{text}");
    }
    assert_eq!(server.connections(), before, "nobody was asked");
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_connected_to() {
    let server = Server::answering(NOT_FOUND);
    let names = Names::of("store.example.org", &["169.254.169.254", "127.0.0.1", "fe80::1"]);
    let guard = Network::default()
        .with_names(names.clone())
        .guard(&Url::parse("http://x").unwrap());
    let found = guard.resolve("store.example.org".parse().expect("a name")).await;
    let found: Vec<SocketAddr> = found.expect("one is left").collect();
    assert_eq!(found, ["127.0.0.1:0".parse().expect("an address")]);
    let store = s3(&format!("http://store.example.org:{}", server.address.port()));
    let found = blobs("", names).find(&store, &key()).await;
    assert!(matches!(found, Ok(None)), "{found:?}");
}

#[tokio::test]
async fn an_address_in_a_url_is_refused_however_it_is_written() {
    let blobs = blobs("", Names::default());
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "%31%36%39.254.169.254",
        "１６９.254.169.254",
        "169。254。169。254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
    ] {
        let at = format!("http://{host}/base");
        for store in [s3(&at), azure(&at), gcs(&at), swift(&at)] {
            let text = refusal(&blobs, &store).await;
            assert!(text.contains("no connection was tried"), "{host}: {text}");
        }
    }
}

#[tokio::test]
async fn nobody_follows_a_redirect() {
    let inside = Server::answering(NOT_FOUND);
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering(format!(
            "HTTP/1.1 {status} Elsewhere\r\nLocation: http://{}/inside\r\nContent-Length: 0\r\n\r\n",
            inside.address
        ));
        let at = format!("http://{}", server.address);
        let v1 = format!("{at}/auth/v1.0");
        for store in [s3(&at), azure(&at), gcs(&at), swift(&at), swift(&v1)] {
            let found = blobs("", Names::default()).find(&store, &key()).await;
            assert!(found.is_err(), "{status} {store}: {found:?}");
        }
        assert!(server.connections() >= 5, "{status}: the stores were asked");
    }
    assert_eq!(inside.connections(), 0);
}

/// Logs anybody in by either protocol, and says that the object store is there.
fn authority(store: &str) -> Server {
    let body = format!(
        r#"{{"token":{{"catalog":[{{"type":"object-store","endpoints":[{{"interface":"public","url":"{store}"}}]}}]}}}}"#
    );
    Server::answering(format!(
        "HTTP/1.1 201 Created\r\nX-Subject-Token: token-of-the-test\r\nX-Auth-Token: token-of-the-test\r\n\
         X-Storage-Url: {store}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[tokio::test]
async fn the_object_store_that_a_login_tells_of_must_be_allowed_too() {
    let inside = Server::answering(NOT_FOUND);
    let names = Names::of("swift.example.org", &["169.254.169.254"]);
    let internal = format!("http://{}/v1/AUTH_a", inside.address);
    for (allowed, store, told) in [
        ("", "http://169.254.169.254/v1/AUTH_a", "metadata service"),
        ("", "http://0xa9fea9fe/v1/AUTH_a", "metadata service"),
        ("", "http://swift.example.org/v1/AUTH_a", "metadata service"),
        ("its own", &internal, "not among"),
        ("its own", "http://swift.example.org/v1/AUTH_a", "not among"),
    ] {
        let authority = authority(store);
        let own = format!("127.0.0.1:{}", authority.address.port());
        for path in ["/v3", "/auth/v1.0"] {
            let blobs = blobs(&allowed.replace("its own", &own), names.clone());
            let text = refusal(&blobs, &swift(&format!("http://{}{path}", authority.address))).await;
            assert!(
                text.contains(told) && text.contains("allowed_endpoints"),
                "{store}: {text}"
            );
        }
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_download_is_refused_as_a_look_up_is() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let blobs = blobs("", Names::of("store.example.org", &["169.254.169.254"]));
    let store = s3("http://store.example.org");
    // It is refused before a file is looked at.
    let target = LocalFile {
        directory: directory.path().to_owned(),
        names: vec!["target".to_owned()],
        identity: (0, 0),
    };
    let fetched = blobs
        .download(
            &store,
            &key(),
            &target,
            Expected::default(),
            &Halt::default(),
            &Tally::default(),
        )
        .await;
    assert!(matches!(fetched, Err(BlobStoreError::Denied(_))), "{fetched:?}");
}

#[test]
fn the_sources_of_own_credentials_are_no_destinations() {
    let network = Network::default();
    let url = Url::parse("http://169.254.169.254/latest").expect("an address");
    assert!(network.guard(&url).judge(&url, Resolution::Own).is_err());
    assert!(
        network
            .without_limits()
            .guard(&url)
            .judge(&url, Resolution::Own)
            .is_ok()
    );
}

#[test]
fn a_request_goes_to_no_other_port_than_its_endpoint_s() {
    let allowed = AllowedEndpoints::parse("10.0.0.0/8").expect("a network");
    let network = Network::new(CaCertificates::default(), allowed);
    let endpoint = Url::parse("https://10.0.0.1:9000").expect("an address");
    let guard = network.guard(&endpoint);
    assert!(guard.judge(&endpoint, Resolution::Own).is_ok());
    let other = Url::parse("https://10.0.0.1/").expect("an address");
    assert!(guard.judge(&other, Resolution::Own).is_err());
}
