//! A server that answers like an agent of another version: with bodies of the test's own.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::Value;

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

/// Takes one request, and has nothing to say of what comes of it.
#[derive(Debug)]
pub(super) struct Taciturn {
    address: SocketAddr,
    request: Arc<Mutex<Option<Value>>>,
}

impl Taciturn {
    /// Answers the request with that and hangs up, or lets it wait for ever.
    pub(super) fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let request = Arc::new(Mutex::new(None));
        let taken = Arc::clone(&request);
        thread::spawn(move || {
            let Ok((mut connection, _)) = listener.accept() else {
                return;
            };
            let body = body(&mut connection);
            *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            match answer {
                // A client that has gone needs no answer.
                Some(answer) => {
                    let _ = connection.write_all(answer.as_bytes());
                }
                None => loop {
                    thread::park();
                },
            }
        });
        Self { address, request }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The id that was asked for; none until the request is there.
    pub(super) fn id(&self) -> Option<String> {
        let request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        request.as_ref()?["id"].as_str().map(str::to_owned)
    }
}

/// The JSON of a request, all of which is read.
fn body(connection: &mut TcpStream) -> Value {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = connection.read(&mut chunk) {
        text.push_str(&String::from_utf8_lossy(&chunk[..length]));
        let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
        if let Some(Ok(body)) = body {
            return body;
        }
    }
    Value::Null
}
