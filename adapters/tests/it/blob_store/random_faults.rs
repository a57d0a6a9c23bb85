//! Transfers through a proxy that fails three requests of ten.
//!
//! `OSB_TEST_ROUNDS` sets the number of rounds; the seed is printed, and `OSB_TEST_SEED` repeats it. A
//! round that fails tells its own seed, which repeats it as the first. Each round begins with a kind of
//! harm of its own, so that none is left to chance.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::blob_store::{ObjectBlobStore, PART_BYTES, TransferSettings};
use bytes::Bytes;
use domain::{
    artifact::Expected,
    ports::{BlobStore, BlobStoreError, Halt, Moved, Tally},
    request::Store,
};
use tokio::task::JoinSet;

use super::{BUCKET, Desk, assert_same, bucket_at, journal::Journal, key, local, noise, sha256, until};
use crate::{
    chaos::{ChaosProxy, Harm, KINDS, Random},
    s3_server::S3Server,
};

const PERCENT: usize = 30;
/// Rounds wait more than they work.
const ROUNDS_AT_A_TIME: usize = 4;
/// With so many, each kind of harm is done.
const MANY_ROUNDS: usize = 50;

/// What came of some transfers.
#[derive(Debug, Default)]
struct Account {
    requests: usize,
    harm: BTreeMap<Harm, usize>,
    uploaded: usize,
    not_uploaded: usize,
    /// Those whose object is there, though the store did not let them know.
    uncertain: usize,
    downloaded: usize,
    not_downloaded: usize,
}

impl Account {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        for (harm, times) in other.harm {
            *self.harm.entry(harm).or_default() += times;
        }
        self.uploaded += other.uploaded;
        self.not_uploaded += other.not_uploaded;
        self.uncertain += other.uncertain;
        self.downloaded += other.downloaded;
        self.not_downloaded += other.not_downloaded;
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn default_rounds() -> u64 {
    match std::env::var("OSB_TEST_BREADTH").as_deref() {
        Ok("wide") => MANY_ROUNDS as u64,
        Ok("narrow") | Err(_) => 4,
        Ok(other) => panic!("OSB_TEST_BREADTH is narrow or wide, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_faults_neither_change_a_byte_nor_leave_one_behind() {
    let rounds = number("OSB_TEST_ROUNDS").unwrap_or_else(default_rounds);
    let seed = number("OSB_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 2_654_435_761 + 1);
    println!("OSB_TEST_SEED={seed}");
    let start = Instant::now();
    let bytes = Bytes::from(noise(5 * usize::try_from(PART_BYTES).unwrap()));
    let (mut running, mut account) = (JoinSet::new(), Account::default());
    for round in 0..rounds {
        while running.len() >= ROUNDS_AT_A_TIME {
            account.add(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(Round::run(seed.wrapping_add(round), bytes.clone()));
    }
    while let Some(ended) = running.join_next().await {
        account.add(ended.unwrap());
    }
    println!("{rounds} rounds in {:.0?}: {account:?}", start.elapsed());
    // A slow machine has less patience.
    assert!(account.uploaded * 5 > account.not_uploaded, "{account:?}");
    assert!(account.downloaded * 5 > account.not_downloaded, "{account:?}");
    if rounds >= MANY_ROUNDS as u64 {
        assert_eq!(account.harm.len(), KINDS, "{account:?}");
        assert!(account.not_uploaded > 0, "{account:?}");
    }
}

/// One upload.
struct Attempt {
    name: &'static str,
    bytes: Bytes,
    journal: Arc<Journal>,
    result: Result<Moved, BlobStoreError>,
}

struct Round {
    /// Tells which one it is.
    what: String,
    random: Random,
    bytes: Bytes,
    server: Arc<S3Server>,
    proxy: ChaosProxy,
    blobs: Arc<ObjectBlobStore>,
    account: Account,
}

impl Round {
    async fn run(seed: u64, bytes: Bytes) -> Account {
        let mut random = Random::of(seed);
        let server = Arc::new(S3Server::start().await);
        server.create_bucket(BUCKET);
        let proxy = ChaosProxy::start(Arc::clone(&server), seed, PERCENT, Harm::of_round(seed)).await;
        let blobs = ObjectBlobStore::new(TransferSettings {
            // Most bear all faults, and some give up.
            retry_timeout: Duration::from_millis(random.one_of(&[15_000, 15_000, 250])),
            memory_bytes: random.one_of(&[1, 2, 3]) * PART_BYTES,
            ..TransferSettings::default()
        });
        let round = Self {
            what: format!("the round of OSB_TEST_SEED={seed}"),
            random,
            bytes,
            server,
            proxy,
            blobs: Arc::new(blobs.with_answer_timeout(Duration::from_millis(400))),
            account: Account::default(),
        };
        round.go().await
    }

    async fn go(mut self) -> Account {
        // Its rightful owner has a copy.
        let taken = self.artifact(&[9, PART_BYTES]);
        fs::write(self.object("taken"), &taken).unwrap();

        let mut wanted = Vec::new();
        let part = PART_BYTES;
        for name in ["one", "two"] {
            wanted.push((
                name,
                self.artifact(&[0, 1, part - 1, part, part + 1, 3 * part + 12_345]),
            ));
        }
        // One is in parts in every round.
        wanted.push(("three", self.artifact(&[part + 1, 3 * part + 12_345])));
        // Two of one length and not of one content.
        let rival = self.artifact(&[1_000, part + 1]);
        let mut other = rival.to_vec();
        other[rival.len() / 2] ^= 1;
        wanted.extend([("rivals", rival), ("rivals", Bytes::from(other))]);
        wanted.push(("taken", self.artifact(&[9, part + 1])));

        let mut uploads = JoinSet::new();
        for (name, bytes) in wanted {
            uploads.spawn(upload(self.store(), Arc::clone(&self.blobs), name, bytes));
        }
        let attempts = uploads.join_all().await;
        until("the server to be idle", || self.proxy.is_idle()).await;

        self.check_objects(&attempts, &taken);
        self.download_what_was_uploaded(&attempts).await;
        self.check_nothing_else_stays(&attempts).await;
        (self.account.requests, self.account.harm) = self.proxy.account();
        self.account
    }

    fn artifact(&mut self, lengths: &[u64]) -> Bytes {
        let length = usize::try_from(self.random.one_of(lengths)).unwrap();
        let start = self.random.below(self.bytes.len() - length);
        self.bytes.slice(start..start + length)
    }

    fn store(&self) -> Store {
        let mut bucket = bucket_at(self.proxy.endpoint());
        bucket.region = Some("us-east-1".to_owned());
        Store::S3(bucket)
    }

    fn object(&self, name: &str) -> PathBuf {
        self.server.object(BUCKET, name)
    }

    /// Against the server's disk.
    fn check_objects(&mut self, attempts: &[Attempt], taken: &[u8]) {
        let stored = |name: &str| fs::read(self.server.object(BUCKET, name)).ok();
        assert_same(&stored("taken").unwrap(), taken, &self.what);
        for attempt in attempts {
            let what = format!("{}, {}: {:?}", self.what, attempt.name, attempt.result);
            let object = stored(attempt.name);
            match &attempt.result {
                Ok(moved) => {
                    assert_eq!(moved.size_bytes, attempt.bytes.len() as u64, "{what}");
                    assert_eq!(moved.sha256, sha256(&attempt.bytes), "{what}");
                    assert_same(&object.expect(&what), &attempt.bytes, &what);
                    self.account.uploaded += 1;
                }
                Err(error) => {
                    let is_taken = matches!(error, BlobStoreError::AlreadyExists(_));
                    assert!(!is_taken || matches!(attempt.name, "rivals" | "taken"), "{what}");
                    self.account.not_uploaded += 1;
                    // Only one who heard nothing of the store may leave an object and not say so.
                    if object.is_some_and(|object| object == attempt.bytes) {
                        assert!(matches!(error, BlobStoreError::Unavailable(_)), "{what}");
                        self.account.uncertain += 1;
                    }
                }
            }
        }
        for name in self.object_names() {
            let object = stored(&name).unwrap();
            let is_known = |attempt: &Attempt| attempt.name == name && attempt.bytes == object;
            assert!(
                name == "taken" || attempts.iter().any(is_known),
                "{}: {name} is nobody's, or half",
                self.what
            );
        }
    }

    fn object_names(&self) -> Vec<String> {
        let names = fs::read_dir(self.object("")).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    async fn download_what_was_uploaded(&mut self, attempts: &[Attempt]) {
        let mut downloads = JoinSet::new();
        for attempt in attempts {
            if let Ok(moved) = &attempt.result {
                let knows = self.random.below(2) == 0;
                let expected = Expected {
                    size_bytes: Some(moved.size_bytes).filter(|_| knows),
                    sha256: Some(moved.sha256).filter(|_| knows),
                };
                let (store, blobs) = (self.store(), Arc::clone(&self.blobs));
                let (name, bytes, what) = (attempt.name, attempt.bytes.clone(), self.what.clone());
                downloads.spawn(async move {
                    let (desk, halt) = (Desk::new(), Halt::default());
                    let target = desk.file("target", b"");
                    let result = blobs
                        .download(&store, &key(name), &local(&target), expected, &halt, &Tally::default())
                        .await;
                    if let Ok(moved) = &result {
                        assert_eq!(moved.sha256, sha256(&bytes), "{what}, download of {name}");
                        assert_same(&fs::read(&target).unwrap(), &bytes, &what);
                    }
                    result.is_ok()
                });
            }
        }
        for is_done in downloads.join_all().await {
            self.account.downloaded += usize::from(is_done);
            self.account.not_downloaded += usize::from(!is_done);
        }
    }

    /// As the agent does when it starts again, with what it wrote down.
    async fn check_nothing_else_stays(&self, attempts: &[Attempt]) {
        until("the server to be idle", || self.proxy.is_idle()).await;
        self.proxy.calm_down();
        for attempt in attempts {
            let known = attempt.journal.names();
            let discarded = self
                .blobs
                .discard_upload(&self.store(), &key(attempt.name), &known)
                .await;
            assert_eq!(discarded, Ok(()), "{}, {}", self.what, attempt.name);
        }
        assert_eq!(self.server.leftovers(), [""; 0], "{}", self.what);
    }
}

async fn upload(store: Store, blobs: Arc<ObjectBlobStore>, name: &'static str, bytes: Bytes) -> Attempt {
    let (desk, journal, halt) = (Desk::new(), Journal::new(), Halt::default());
    let source = desk.file("source", &bytes);
    let length = bytes.len() as u64;
    let result = blobs
        .upload(&store, &key(name), &local(&source), length, journal.clone(), &halt)
        .await;
    Attempt {
        name,
        bytes,
        journal,
        result,
    }
}
