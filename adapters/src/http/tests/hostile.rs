//! Clients that hold on to what they get.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    server::{PATIENCE, Running, head, read_to_end},
    *,
};

const CLOSE: &str = "Connection: close\r\n";

fn places(connections: usize) -> HttpLimits {
    HttpLimits {
        connections,
        ..HttpLimits::default()
    }
}

/// Reads an answer's first bytes, of the `status` that is expected.
async fn expect(stream: &mut TcpStream, status: u16) {
    let expected = format!("HTTP/1.1 {status} ");
    let mut first = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut first))
        .await
        .expect("the server must answer")
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&first), expected);
}

#[tokio::test]
async fn a_new_connection_takes_the_place_of_the_one_that_has_waited_longest() {
    let server = Running::new(willing(), places(2)).await;
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    for _ in 0..3 {
        let answer = server.exchange(&head("GET", "/status", CLOSE)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    // Only the first had to go: its place has been enough for one after the other.
    assert_eq!(read_to_end(&mut silent).await, "");
    let rest = format!("Authorization: {}\r\n{CLOSE}\r\n", authorization());
    slow.write_all(rest.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_connection_that_is_being_answered_keeps_its_place() {
    let server = Running::new(willing(), places(1)).await;
    let body = good_body(JobKind::Backup).to_string();
    let mut first = server.connect().await;
    let length = format!("Content-Length: {}\r\nExpect: 100-continue\r\n{CLOSE}", body.len());
    first.write_all(&head("POST", "/backup", &length)).await.unwrap();
    // The server says so when it begins to read the body.
    expect(&mut first, 100).await;
    let mut second = server.connect().await;
    second.write_all(&head("GET", "/status", CLOSE)).await.unwrap();
    let mut byte = [0];
    let early = timeout(Duration::from_millis(200), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second connection must wait");
    first.write_all(body.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut first).await;
    assert!(answer.contains("HTTP/1.1 201 "), "{answer}");
    expect(&mut second, 200).await;
}

#[tokio::test]
async fn an_idle_connection_yields_and_is_not_missed_before_that() {
    let server = Running::new(willing(), places(1)).await;
    let mut idle = server.connect().await;
    for _ in 0..2 {
        idle.write_all(&head("HEAD", "/status", "")).await.unwrap();
        expect(&mut idle, 200).await;
        let mut header = Vec::new();
        while !header.ends_with(b"\r\n\r\n") {
            header.push(idle.read_u8().await.unwrap());
        }
    }
    let answer = server.exchange(&head("GET", "/status", CLOSE)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(read_to_end(&mut idle).await, "");
}

#[tokio::test]
async fn refused_logins_wait_the_longer_the_more_there_are_and_right_ones_never() {
    let server = Running::new(willing(), HttpLimits::default()).await;
    let wrong = "GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46d3Jvbmc=\r\n\r\n";
    // They wait at the same time, each on a connection of its own.
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..60 {
        let mut stream = server.connect().await;
        stream.write_all(wrong.as_bytes()).await.unwrap();
        waiting.spawn(async move {
            expect(&mut stream, 401).await;
            start.elapsed()
        });
    }
    let quickest = waiting.join_next().await.unwrap().unwrap();
    // One without any credentials is no login.
    let strange = server
        .exchange(b"GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let right = server.exchange(&head("GET", "/status", CLOSE)).await;
    let right_after = start.elapsed();
    assert!(strange.starts_with("HTTP/1.1 401 "), "{strange}");
    assert!(right.starts_with("HTTP/1.1 200 OK"), "{right}");
    let slowest = waiting.join_all().await.into_iter().max().unwrap();
    assert!(slowest > Duration::from_secs(1), "{slowest:?}");
    assert!(quickest < slowest / 2, "{quickest:?} of {slowest:?}");
    assert!(right_after < slowest, "{right_after:?} of {slowest:?}");
}

#[tokio::test]
async fn refused_logins_that_wait_yield_their_places() {
    let server = Running::new(willing(), places(20)).await;
    let wrong = "GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46d3Jvbmc=\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut stream = server.connect().await;
        stream.write_all(wrong.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    let start = Instant::now();
    let answer = server.exchange(&head("GET", "/status", CLOSE)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
