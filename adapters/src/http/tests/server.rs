//! Real sockets against the accept loop.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::*;

/// Longer than anything here takes; it only keeps a broken test from hanging.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Running {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) async fn new(api: MockJobApi, limits: HttpLimits) -> Self {
        let server = HttpServer::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = server.address();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.serve(context_with(api, limits), stop.clone()));
        Self { address, stop, task }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes the connection.
    pub(super) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_to_end(&mut stream).await
    }
}

pub(super) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends an answer as well as a close.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server must close");
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn head(method: &str, path: &str, more: &str) -> Vec<u8> {
    let authorization = authorization();
    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{more}\r\n").into_bytes()
}

fn short() -> HttpLimits {
    HttpLimits {
        header_time: Duration::from_millis(200),
        body_time: Duration::from_millis(200),
        ..HttpLimits::default()
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_like_any_other() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let body = good_body(JobKind::Backup).to_string();
    let mut request = head("POST", "/backup", "Transfer-Encoding: chunked\r\nConnection: close\r\n");
    for chunk in body.as_bytes().chunks(7) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = server.exchange(&request).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("content-length: 0\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_silent_connection_and_a_half_sent_header_are_closed() {
    let server = Running::new(willing(), short()).await;
    for sent in ["", "GET /status HTT", "GET /status HTTP/1.1\r\nHost: x\r\n"] {
        let answer = server.exchange(sent.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{sent:?}: {answer}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let server = Running::new(willing(), short()).await;
    let answer = server.exchange(&head("GET", "/status", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let server = Running::new(willing(), short()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(&head("POST", "/backup", "Content-Length: 100\r\n"))
        .await
        .unwrap();
    stream.write_all(b"{").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_json_500_and_the_server_goes_on() {
    let mut api = MockJobApi::new();
    api.expect_find().returning(|_| panic!("a defect"));
    api.expect_problems().returning(Vec::new);
    let server = Running::new(api, HttpLimits::default()).await;
    let answer = server
        .exchange(&head("GET", "/backup/j", "Connection: close\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(
        answer.contains("application/json") && answer.contains("\"error_message\""),
        "{answer}"
    );
    let answer = server.exchange(&head("GET", "/status", "Connection: close\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_stop_ends_open_connections_and_refuses_new_ones() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let mut idle = server.connect().await;
    idle.write_all(&head("GET", "/status", "")).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.stop.cancel();
    read_to_end(&mut idle).await;
    timeout(PATIENCE, server.task)
        .await
        .expect("the server must end")
        .unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let answer = server.exchange(&head("HEAD", "/status", "Connection: close\r\n")).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn of_several_authorization_lines_the_first_counts() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let right = format!("Authorization: {}\r\n", authorization());
    let wrong = "Authorization: Basic YWRtaW46d3Jvbmc=\r\n";
    for (lines, status) in [(format!("{right}{wrong}"), 200), (format!("{wrong}{right}"), 401)] {
        let request = format!("GET /status HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n");
        let answer = server.exchange(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_is_answered_all_the_same() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let body = good_body(JobKind::Backup).to_string();
    let mut stream = server.connect().await;
    let length = format!("Content-Length: {}\r\n", body.len());
    stream.write_all(&head("POST", "/backup", &length)).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}
