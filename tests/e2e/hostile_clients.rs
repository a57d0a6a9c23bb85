//! Clients that mean harm, or are broken: many, slow, wrong, or with giant bodies.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::harness::{Agent, Authority, Connection, Kind, PASSWORD, Pair, Place, USER, backup, basic, file_store};

/// What is promised to a normal request, whatever others do.
const PROMISE: Duration = Duration::from_secs(1);
const CROWD: usize = 1000;
/// What giant bodies may cost.
const FLAT_KIB: u64 = 16 * 1024;

/// A normal request is answered in the promised time, several times.
#[track_caller]
fn assert_answers(agent: &Agent, while_what: &str) {
    for _ in 0..5 {
        let start = Instant::now();
        assert_eq!(agent.get("/status").status, 200, "{while_what}");
        let took = start.elapsed();
        assert!(took < PROMISE, "{took:?} {while_what}");
    }
}

/// As many connections, each of which has sent this. Old ones may be closed meanwhile.
///
/// They come so quickly that the first have not been given up for their silence when the last is there.
#[track_caller]
fn crowd(agent: &Agent, begun: &[u8]) -> Vec<TcpStream> {
    let start = Instant::now();
    let connect = |_| {
        let mut stream = TcpStream::connect(agent.address()).expect("the agent accepts connections");
        let _ = stream.write_all(begun);
        stream
    };
    let crowd = (0..CROWD).map(connect).collect();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    crowd
}

#[test]
fn a_thousand_half_open_connections_keep_nobody_out() {
    raise_file_limit();
    for begun in ["", "G", "GET /status HTTP/1.1\r\nHost: x\r\n"] {
        let agent = Agent::start(|_| {});
        let crowd = crowd(&agent, begun.as_bytes());
        assert_answers(&agent, &format!("while {CROWD} clients have sent {begun:?}"));
        drop(crowd);
        assert_answers(&agent, "when they have gone");
    }
}

#[test]
fn a_thousand_clients_that_send_a_byte_a_second_keep_nobody_out() {
    raise_file_limit();
    let agent = Agent::start(|_| {});
    let address = agent.address();
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let mut crowd = crowd(&agent, b"GET /");
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                for stream in &mut crowd {
                    // Whoever has been closed comes again.
                    if stream.write_all(b"x").is_err() {
                        *stream = TcpStream::connect(address).expect("the agent accepts connections");
                    }
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        let start = Instant::now();
        let mut answers = 0;
        while start.elapsed() < Duration::from_secs(4) {
            let asked = Instant::now();
            let status = agent.get("/status").status;
            let took = asked.elapsed();
            if status != 200 || took >= PROMISE {
                is_over.store(true, Ordering::Relaxed);
                panic!("answer {answers} was {status}, after {took:?}");
            }
            answers += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(answers > 10, "{answers}");
    });
}

#[test]
fn a_thousand_handshakes_that_nobody_goes_on_with_keep_nobody_out() {
    raise_file_limit();
    let authority = Authority::new();
    let place = Place::new();
    authority.pair().write(&place);
    let [certificate, key] = Pair::paths(&place);
    let agent = Agent::start_in(place, |env| {
        env.set("tls_certificate", certificate).set("tls_private_key", key);
    });
    for begun in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let crowd = crowd(&agent, begun);
        for _ in 0..5 {
            let start = Instant::now();
            let status = authority.client().status(agent.address(), &agent.authorization());
            assert_eq!(status.ok(), Some(200), "{begun:?}");
            assert!(start.elapsed() < PROMISE, "{:?} while {begun:?}", start.elapsed());
        }
        drop(crowd);
    }
}

#[test]
fn a_client_that_is_known_keeps_its_connection_in_the_crowd() {
    raise_file_limit();
    let agent = Agent::start(|_| {});
    let mut known = Connection::open(agent.address());
    let request = format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", agent.authorization());
    known.send(request.as_bytes());
    assert_eq!(known.receive(false).status, 200);
    let _crowd = crowd(&agent, b"GET /");
    known.send(request.as_bytes());
    assert_eq!(known.receive(false).status, 200, "on the same connection");
}

#[test]
fn max_connections_bounds_what_the_agent_holds() {
    let agent = Agent::start(|env| {
        env.set("max_connections", "20");
    });
    let sockets = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", agent.id())).expect("the agent runs");
        let is_socket = |target: &std::path::PathBuf| target.to_string_lossy().starts_with("socket:");
        open.flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(is_socket)
            .count()
    };
    let before = sockets();
    let _crowd: Vec<Connection> = (0..200).map(|_| Connection::open(agent.address())).collect();
    assert_answers(&agent, "while 200 clients wait at 20 places");
    assert!(sockets() <= before + 21, "{} before, {} now", before, sockets());
}

#[test]
fn wrong_logins_are_answered_ever_more_slowly_and_right_ones_at_once() {
    let agent = Agent::start(|_| {});
    let wrong = |password: String| {
        let line = format!("Authorization: {}", basic(USER, &password));
        let start = Instant::now();
        assert_eq!(agent.call_as_stranger("GET", "/status", &[&line], b"").status, 401);
        start.elapsed()
    };
    let early = wrong("guess".to_owned());
    assert!(early < PROMISE, "{early:?}");
    thread::scope(|scope| {
        let guesses: Vec<_> = (0..100)
            .map(|number| scope.spawn(move || wrong(format!("guess {number}"))))
            .collect();
        assert_answers(&agent, "while others guess");
        let slowest = guesses
            .into_iter()
            .map(|guess| guess.join().expect("it is answered"))
            .max();
        assert!(slowest > Some(PROMISE), "{slowest:?}");
    });
    let late = wrong("guess".to_owned());
    assert!(late > PROMISE && late < Duration::from_secs(10), "{late:?}");
    assert_answers(&agent, "after all these guesses");
}

#[test]
fn a_wrong_user_and_a_wrong_password_get_the_same_answer() {
    let agent = Agent::start(|_| {});
    let answers: Vec<String> = [
        basic("nobody", PASSWORD),
        basic(USER, "wrong"),
        basic("nobody", "wrong"),
        basic(USER, &PASSWORD[1..]),
    ]
    .iter()
    .map(|value| {
        let request = format!(
            "GET /status HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\nAuthorization: {value}\r\nConnection: close\r\n\r\n"
        );
        let mut connection = Connection::open(agent.address());
        connection.send(request.as_bytes());
        let answer = String::from_utf8_lossy(&connection.rest()).into_owned();
        let lines = answer
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines.collect::<Vec<_>>().join("\n")
    })
    .collect();
    assert!(answers[0].starts_with("HTTP/1.1 401 "), "{}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}

#[test]
fn giant_bodies_are_refused_and_leave_the_memory_flat() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    // What serving takes at all, before anything giant.
    agent.succeed(Kind::Backup, &backup("normal", &store));
    for id in 0..20 {
        assert_eq!(
            agent.request_text(Kind::Backup, &format!("{{\"id\":{id}}}")).status,
            400
        );
    }
    let (held, peak) = (agent.memory_kib(), agent.peak_memory_kib());
    let good = backup("job", &store).to_string();
    let with = |member: &str| format!("{},{member}}}", &good[..good.len() - 1]);
    let in_service = |parameters: &str| {
        let parameters = format!(r#""backup":{{"parameters":{parameters},"#);
        good.replacen(r#""backup":{"#, &parameters, 1)
    };
    let (depth, digits) = (100_000, 1_000_000);
    let name = "n".repeat(1_000_000);
    let rows = [
        (
            "lists in lists",
            with(&format!(r#""x":{}{}"#, "[".repeat(depth), "]".repeat(depth))),
        ),
        (
            "objects in objects",
            with(&format!(r#""x":{}1{}"#, "{\"a\":".repeat(depth), "}".repeat(depth))),
        ),
        ("a long number", with(&format!(r#""x":{}"#, "7".repeat(digits)))),
        ("a long id", format!(r#"{{"id":{}}}"#, "7".repeat(digits))),
        ("a long fraction", with(&format!(r#""x":0.{}e-5"#, "7".repeat(digits)))),
        (
            "a long number for scripts",
            in_service(&format!(r#"{{"A":{}}}"#, "7".repeat(digits))),
        ),
        ("a long name", with(&format!(r#""{name}":1"#))),
        ("a long name for scripts", in_service(&format!(r#"{{"{name}":1}}"#))),
        (
            "a name of escapes",
            with(&format!(r#""{}":1"#, "\\u0041".repeat(150_000))),
        ),
        ("many members", with(&vec![r#""":0"#; 200_000].join(","))),
        (
            "many parameters",
            in_service(&format!("[{}]", vec![r#"{"":[]}"#; 100_000].join(","))),
        ),
        (
            "a body of ten MiB",
            with(&format!(r#""x":"{}""#, "x".repeat(10 * 1024 * 1024))),
        ),
    ];
    for round in 0..5 {
        for (row, body) in &rows {
            for kind in Kind::ALL {
                let status = agent.request_text(kind, body).status;
                assert!((400..500).contains(&status), "{row}: {status}");
            }
        }
        let (held_now, peak_now) = (agent.memory_kib(), agent.peak_memory_kib());
        assert!(
            held_now < held + FLAT_KIB,
            "round {round}: {held} KiB before, {held_now} now"
        );
        assert!(
            peak_now < peak + FLAT_KIB,
            "round {round}: {peak} KiB before, {peak_now} now"
        );
    }
    assert_eq!(agent.get("/backup/job").status, 404);
}

#[test]
fn giant_headers_are_refused_and_leave_the_memory_flat() {
    let agent = Agent::start(|_| {});
    assert_answers(&agent, "before");
    let peak = agent.peak_memory_kib();
    for (head, statuses) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000)), [414, 431]),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1_000_000)),
            [431, 431],
        ),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)), [431, 431]),
    ] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(agent.address()).expect("the agent accepts connections");
            // The agent may answer and close before all of it is sent.
            let _ = stream.write_all(head.as_bytes());
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let is_expected = |status: &u16| answer.starts_with(&format!("HTTP/1.1 {status} "));
            // A reset may overtake the answer.
            assert!(answer.is_empty() || statuses.iter().any(is_expected), "{answer}");
        }
    }
    assert!(agent.peak_memory_kib() < peak + FLAT_KIB);
    assert_answers(&agent, "after");
}

/// For a crowd's sockets on this side.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    let wanted = 4 * CROWD as u64;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).expect("the limit can be raised");
    }
}
