//! The client: raw TCP in one thread, so that it takes as little as can be of the cores that it
//! shares with the agent.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::{
    agent::{PASSWORD, USER},
    finished,
};

const CONNECTIONS: usize = 16;
/// How often it is asked whether the last jobs have ended.
const POLL: Duration = Duration::from_millis(2);

/// What one load has measured.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Asks for random ones of `count` jobs for so long; every answer must have this status.
pub(crate) fn get(address: SocketAddr, count: usize, status: &'static str, time: Duration) -> Load {
    let requests: Arc<Vec<Vec<u8>>> = Arc::new(
        (0..count)
            .map(|number| get_of("backup", &finished::id(number)))
            .collect(),
    );
    let (begin, mut latencies) = runtime().block_on(async {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(address).await);
        }
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for (index, connection) in connections.into_iter().enumerate() {
            let requests = Arc::clone(&requests);
            tasks.spawn(get_one_after_another(connection, requests, status, begin + time, index));
        }
        (begin, tasks.join_all().await.concat())
    });
    let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies
            .get(index)
            .map_or(f64::NAN, |nanoseconds| f64::from(*nanoseconds) / 1e6)
    };
    Load {
        rate,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    }
}

/// The latencies, in nanoseconds.
async fn get_one_after_another(
    mut connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    status: &str,
    end: Instant,
    index: usize,
) -> Vec<u32> {
    let mut latencies = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 1);
    let mut before = Instant::now();
    while before < end {
        // Marsaglia's xorshift: good enough to choose ids, and as quick as can be.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let request = &requests[(random % requests.len() as u64) as usize];
        connection.send(request).await;
        connection.receive(status).await;
        let after = Instant::now();
        latencies.push(u32::try_from((after - before).as_nanos()).unwrap_or(u32::MAX));
        before = after;
    }
    latencies
}

/// Has so many jobs run from their requests to their ends, and returns how many ended per second.
pub(crate) fn run_jobs(address: SocketAddr, kind: &str, round: usize, count: usize) -> f64 {
    let ids: Vec<String> = (0..count).map(|number| format!("r{round}-{number}")).collect();
    let requests: Vec<Vec<u8>> = ids.iter().map(|id| job_request(kind, id)).collect();
    runtime().block_on(async {
        let mut connection = Connection::open(address).await;
        let begin = Instant::now();
        for request in &requests {
            connection.send(request).await;
            connection.receive("201").await;
        }
        // In their order: whoever has ended need not be asked for again.
        for id in &ids {
            let request = get_of(kind, id);
            loop {
                connection.send(&request).await;
                let body = connection.receive("200").await;
                if contains(body, b"\"status\":\"SUCCEEDED\"") {
                    break;
                }
                let text = String::from_utf8_lossy(body);
                assert!(!text.contains("\"status\":\"FAILED\""), "a job failed: {text}");
                tokio::time::sleep(POLL).await;
            }
        }
        count as f64 / begin.elapsed().as_secs_f64()
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be started")
}

fn head() -> String {
    let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    format!("Host: localhost\r\nAuthorization: Basic {credentials}\r\n")
}

fn get_of(kind: &str, id: &str) -> Vec<u8> {
    format!("GET /{kind}/{id} HTTP/1.1\r\n{}\r\n", head()).into_bytes()
}

fn job_request(kind: &str, id: &str) -> Vec<u8> {
    let method = if kind == "backup" { "POST" } else { "PUT" };
    let body = serde_json::json!({
        "id": id,
        "skipStorage": true,
        "destination": {
            "type": "S3", "bucket": "backups", "authKey": "the-key-of-the-store",
            "authSecret": "the-secret-of-the-store", "filename": "a.tar.gz",
        },
        kind: {"host": "localhost", "database": id},
    })
    .to_string();
    format!(
        "{method} /{kind} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}",
        head(),
        body.len()
    )
    .into_bytes()
}

/// A connection that is kept.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the agent listens");
        stream.set_nodelay(true).expect("it is a TCP stream");
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
        }
    }

    async fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the agent reads");
    }

    /// The body of an answer, which must have this status.
    async fn receive(&mut self, status: &str) -> &[u8] {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await;
            let read = read.expect("the agent answers");
            assert!(read > 0, "the agent closed the connection");
            filled += read;
            if let Some((head, length)) = head_and_length(&self.buffer[..filled])
                && filled >= head + length
            {
                let answer = &self.buffer[..head + length];
                let is_right = answer.get(9..12) == Some(status.as_bytes());
                assert!(is_right, "not {status}: {}", String::from_utf8_lossy(answer));
                return &answer[head..];
            }
        }
    }
}

/// The lengths of an answer's head and body, once the head is there.
fn head_and_length(answer: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let name = answer[..head].windows(NAME.len()).position(|bytes| bytes == NAME);
    let digits = &answer[name.expect("answers have a length") + NAME.len()..head];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    Some((
        head,
        digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0')),
    ))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|found| found == part)
}
