//! A server that answers like an agent of another version: with bodies of the test's own.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Listens until the test's process ends.
#[derive(Debug)]
pub(super) struct Fake {
    address: SocketAddr,
}

impl Fake {
    /// Answers each path with its bodies in turn, the last of them for ever, and everything else with 404.
    pub(super) fn start(answers: Vec<(&'static str, Vec<String>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut answers: BTreeMap<&str, VecDeque<String>> = answers
            .into_iter()
            .map(|(path, bodies)| (path, VecDeque::from(bodies)))
            .collect();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                answer(connection, &mut answers);
            }
        });
        Self { address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request for each connection.
fn answer(mut connection: TcpStream, answers: &mut BTreeMap<&str, VecDeque<String>>) {
    let lines = BufReader::new(&connection).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let body = answers.get_mut(path).and_then(|bodies| {
        if bodies.len() > 1 {
            bodies.pop_front()
        } else {
            bodies.front().cloned()
        }
    });
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    // A client that has gone needs no answer.
    let _ = write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}
