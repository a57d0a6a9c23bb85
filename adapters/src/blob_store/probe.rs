//! Whether a store can be used: the way to it step by step, and then a small object, which is gone
//! afterwards.

use std::{fmt, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    artifact::ObjectKey,
    ports::{Finding, Verdict},
    request::{Resolution, Store},
};
use futures_util::{StreamExt, stream};
use object_store::{Attributes, GetOptions, GetRange, PutOptions, PutPayload, path::Path};
use reqwest::{
    Url,
    dns::{Name, Resolve},
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{
    Limits, ObjectBlobStore, Place, azure,
    bucket::{Bucket, object_path},
    connector::Connector,
    failure::{Action, Failure},
    fault::Fault,
    gcs,
    local::blocking,
    network::has_proxies,
    redaction::Redaction,
    s3,
    unfinished::Unfinished,
};

/// Somebody waits for the answer, so nothing is tried for long.
const LIMITS: Limits = Limits {
    retry: Duration::from_secs(2),
    answer: Duration::from_secs(5),
    stall: Duration::from_secs(10),
};
/// The longest that one step may take.
const STEP: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Stores refuse requests that seem to be older, or younger, than a quarter of an hour.
const MOST_SKEW_SECONDS: i64 = 5 * 60;
/// What the object holds.
const CONTENT: &[u8] = b"osb-backup-agent has looked whether it can use this place; remove this object\n";

/// What was found so far.
struct Probe<'a> {
    store: &'a Store,
    key: ObjectKey,
    own: &'a Redaction,
    findings: Vec<Finding>,
}

impl Probe<'_> {
    /// Takes a step, and notes what came of it. None if it failed.
    async fn step<T>(
        &mut self,
        subject: &str,
        action: Action,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Option<T> {
        let begun = Instant::now();
        let late = || Failure::strange(format!("nothing came of it within {} s", STEP.as_secs()));
        let done = timeout(STEP, work).await.unwrap_or_else(|_| Err(late()));
        let (output, verdict) = match done {
            Ok((output, detail)) => (Some(output), Verdict::Good(detail)),
            Err(failure) => {
                let told = failure.told_of(action, self.store, &self.key, self.own);
                (None, Verdict::Bad(told.to_string()))
            }
        };
        self.findings.push(Finding {
            subject: format!("destination: {subject}"),
            verdict,
            took: begun.elapsed(),
        });
        output
    }
}

impl ObjectBlobStore {
    /// Looks at a store: reads `object` if there is one, and otherwise makes one and removes it.
    pub(super) async fn probe(&self, store: &Store, object: Option<ObjectKey>) -> Vec<Finding> {
        let name = format!("osb-backup-agent-check-{}", Uuid::new_v4());
        let is_reading = object.is_some();
        let key = object.unwrap_or_else(|| ObjectKey::new(store.prefix(), &name));
        let mut probe = Probe {
            store,
            key,
            own: self.s3.own_secrets(),
            findings: Vec::new(),
        };
        if self.find_the_way(&mut probe).await.is_none() {
            return probe.findings;
        }
        let opened = async { Ok((self.open_within(store, LIMITS).await?, String::new())) };
        match probe.step("credentials", Action::LookUp, opened).await {
            Some(Place::Bucket(bucket)) if is_reading => read(&mut probe, &bucket).await,
            Some(Place::Bucket(bucket)) => write(&mut probe, &bucket).await,
            Some(Place::Directory(directory)) => {
                let key = probe.key.clone();
                let work = async {
                    if is_reading {
                        let length = directory.open_to_read(&key).await?;
                        return Ok(((), format!("{length} bytes")));
                    }
                    directory.try_out(&key, CONTENT).await?;
                    Ok(((), "a file was made, read and removed".to_owned()))
                };
                probe.step("files", Action::Upload, work).await;
            }
            None => {}
        }
        probe.findings
    }

    /// Name, connection, TLS and clock; none if there is no way.
    async fn find_the_way(&self, probe: &mut Probe<'_>) -> Option<()> {
        let address = match address(probe.store) {
            Ok(Some(url)) => url,
            Ok(None) => return Some(()),
            Err(failure) => {
                let failed = async { Err::<((), String), _>(failure) };
                return probe.step("address", Action::LookUp, failed).await;
            }
        };
        if !has_proxies() {
            let found = probe.step("name", Action::LookUp, self.look_up_name(&address)).await?;
            probe.step("connection", Action::LookUp, connect(found)).await?;
        }
        let redaction = Redaction::of(probe.store.secrets());
        let greeting = async {
            let (network, endpoint) = (self.network.clone(), address.clone());
            let connector = blocking(move || Connector::new(&endpoint, LIMITS.answer, &network, redaction)).await?;
            let date = connector.greet(address.clone()).await;
            let date = date.map_err(|error| match Fault::in_chain(&error) {
                Some(fault) => Failure::from(fault.clone()),
                None => Failure::strange("the store could not be asked"),
            })?;
            let detail = match address.scheme() {
                "https" => "the certificate is good",
                _ => "in clear, without TLS",
            };
            Ok((date, detail.to_owned()))
        };
        let date = probe.step("TLS and HTTP", Action::LookUp, greeting).await?;
        if let Some(date) = date {
            probe
                .step("clock", Action::LookUp, async { compare(&date, Utc::now()) })
                .await?;
        }
        Some(())
    }

    async fn look_up_name(&self, url: &Url) -> Result<(Vec<SocketAddr>, String), Failure> {
        let guard = self.network.guard(url);
        let forbidden = |error: super::network::Forbidden| Failure::from(Fault::forbidden(&error));
        guard.judge(url, Resolution::Own).map_err(forbidden)?;
        let port = url.port_or_known_default().unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok((vec![SocketAddr::new(address, port)], "an address, no name".to_owned()));
        }
        let bad = |why: &dyn fmt::Display| {
            Failure::strange(format!(
                "the name {host} was not found ({why}); check its spelling, and the name servers of this machine"
            ))
        };
        let name = host.parse::<Name>().map_err(|_| bad(&"it is no name"))?;
        let found = guard.resolve(name).await.map_err(|error| bad(&error))?;
        let found: Vec<SocketAddr> = found.map(|address| SocketAddr::new(address.ip(), port)).collect();
        let told: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
        Ok((found, told.join(", ")))
    }
}

async fn connect(addresses: Vec<SocketAddr>) -> Result<((), String), Failure> {
    let mut problem = "there is no address".to_owned();
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(((), address.to_string())),
            Ok(Err(error)) => problem = format!("{address}: {error}"),
            Err(_) => problem = format!("{address}: no answer within {} s", CONNECT.as_secs()),
        }
    }
    Err(Failure::strange(format!(
        "no connection ({problem}); check the endpoint, whether the store runs, and firewalls in between"
    )))
}

/// How far the store's clock is from ours.
fn compare(date: &str, now: DateTime<Utc>) -> Result<((), String), Failure> {
    let Ok(date) = DateTime::parse_from_rfc2822(date) else {
        return Ok(((), "the store does not tell its time".to_owned()));
    };
    let apart = (now - date.to_utc()).num_seconds();
    if apart.abs() > MOST_SKEW_SECONDS {
        return Err(Failure::strange(format!(
            "this machine's clock and the store's are {} s apart, and stores refuse what is signed at another time; set \
             the clock, by NTP say",
            apart.abs()
        )));
    }
    Ok(((), format!("{} s apart", apart.abs())))
}

async fn read(probe: &mut Probe<'_>, bucket: &Bucket) {
    let key = probe.key.clone();
    let head = async {
        let path = object_path(&key)?;
        let object = bucket.head(&path).await?.ok_or_else(Failure::no_object)?;
        Ok(((path, object.size), format!("{} bytes", object.size)))
    };
    let Some((path, size)) = probe.step("head", Action::LookUp, head).await else {
        return;
    };
    if size > 0 {
        let get = async { get(bucket, &path, 0..1).await.map(|_| ((), String::new())) };
        probe.step("ranged get", Action::Download, get).await;
    }
}

async fn write(probe: &mut Probe<'_>, bucket: &Bucket) {
    let key = probe.key.clone();
    // As every upload does first; stores tell who may not list that this is forbidden.
    let free = async {
        match bucket.head(&object_path(&key)?).await? {
            None => Ok(((), String::new())),
            Some(_) => Err(Failure::strange("the store shows an object where there is none")),
        }
    };
    if probe.step("free name", Action::LookUp, free).await.is_none() {
        return;
    }
    let put = async {
        let path = object_path(&key)?;
        let payload = PutPayload::from_static(CONTENT);
        bucket.objects.put_opts(&path, payload, PutOptions::default()).await?;
        Ok((path, key.as_str().to_owned()))
    };
    let Some(path) = probe.step("put", Action::Upload, put).await else {
        // The store may have taken it all the same, and only its answer is late or lost.
        if let Ok(path) = object_path(&key) {
            let _ = timeout(STEP, delete(bucket, &path)).await;
        }
        return;
    };
    let head = async {
        let object = bucket.head(&path).await?;
        let object = object.ok_or_else(|| Failure::strange("the store took the object, but does not show it"))?;
        let length = CONTENT.len() as u64;
        if object.size != length {
            let text = format!("the object has {} bytes, but {length} were sent", object.size);
            return Err(Failure::strange(text));
        }
        Ok(((), String::new()))
    };
    probe.step("head", Action::LookUp, head).await;
    let ranged = async {
        let bytes = get(bucket, &path, 4..10).await?;
        if bytes != CONTENT[4..10] {
            return Err(Failure::strange("the store sent other bytes than were asked for"));
        }
        Ok(((), String::new()))
    };
    probe.step("ranged get", Action::Download, ranged).await;
    let parts = async {
        let other = object_path(&ObjectKey::new("", &format!("{path}-parts")))?;
        // Dropped when the step takes too long, it is aborted all the same.
        let upload = Unfinished::new(bucket, &other).create(Attributes::new()).await?;
        let payload = PutPayload::from_static(CONTENT);
        let sent = bucket.objects.put_part(&other, &upload.id, 0, payload).await;
        // Whatever became of the part: nothing is to stay.
        let aborted = bucket.objects.abort_multipart(&other, &upload.id).await;
        if aborted.is_ok() {
            upload.forget();
        }
        sent?;
        aborted?;
        Ok(((), String::new()))
    };
    probe.step("multipart and abort", Action::Upload, parts).await;
    let delete = async {
        match delete(bucket, &path).await {
            Ok(()) => Ok(((), String::new())),
            // The agent never removes an object, so these are good rights.
            Err(failure) if is_refusal(&failure) => {
                Ok(((), format!("not allowed, nor needed; remove {path} yourself")))
            }
            Err(failure) => Err(failure),
        }
    };
    probe.step("delete", Action::Discard, delete).await;
}

/// Whether the store does not let us; S3 says so of single objects in an answer that is fine.
fn is_refusal(failure: &Failure) -> bool {
    let answer = failure.answer();
    answer.is_some_and(|answer| matches!(answer.status, 401 | 403) || answer.code.as_deref() == Some("AccessDenied"))
}

async fn delete(bucket: &Bucket, path: &Path) -> Result<(), Failure> {
    let mut deleted = bucket.objects.delete_stream(stream::iter([Ok(path.clone())]).boxed());
    match deleted.next().await {
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => Ok(()),
    }
}

async fn get(bucket: &Bucket, path: &Path, range: std::ops::Range<u64>) -> Result<Vec<u8>, Failure> {
    let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
    let answer = bucket.objects.get_opts(path, options).await?;
    Ok(answer.bytes().await?.to_vec())
}

/// Where a store is; none for a directory.
fn address(store: &Store) -> Result<Option<Url>, Failure> {
    let text = match store {
        Store::S3(s3) => return s3::address(s3).map(Some),
        Store::Swift(swift) => swift.auth_url.clone(),
        Store::Gcs(gcs) => gcs.endpoint.clone().unwrap_or_else(|| gcs::DEFAULT.to_owned()),
        Store::Azure(azure) => azure::address(azure),
        Store::File(_) => return Ok(None),
    };
    let url = Url::parse(&text);
    url.map(Some)
        .map_err(|error| Failure::strange(format!("the endpoint is no address: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_too_far_apart_are_told_with_what_to_do() {
        let now = DateTime::from_timestamp(1_541_523_939, 0).expect("a time");
        for (date, is_good) in [
            ("Tue, 06 Nov 2018 17:05:39 GMT", true),
            ("Tue, 06 Nov 2018 17:10:38 GMT", true),
            ("Tue, 06 Nov 2018 17:00:40 GMT", true),
            ("Tue, 06 Nov 2018 17:11:00 GMT", false),
            ("Tue, 06 Nov 2018 16:05:39 GMT", false),
            ("nonsense", true),
        ] {
            let compared = compare(date, now);
            assert_eq!(compared.is_ok(), is_good, "{date}");
            if let Err(failure) = compared {
                assert!(failure.to_string().contains("set the clock"), "{failure}");
            }
        }
    }
}
