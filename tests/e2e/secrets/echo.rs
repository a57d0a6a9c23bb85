//! A store that repeats what it was told, and more than it could know.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Refuses, in the XML of S3.
    Xml(u16),
    /// Refuses, in the JSON of Keystone.
    Json(u16),
    /// Refuses, in plain text.
    Text(u16),
    /// Agrees to everything, with a body that makes no sense.
    Senseless,
    /// Answers in no HTTP.
    Garbage,
    /// Ends the connection in the middle of its answer.
    Cut,
}

impl Manner {
    pub(super) const ALL: [Self; 11] = [
        Self::Xml(400),
        Self::Xml(403),
        Self::Xml(301),
        Self::Xml(500),
        Self::Json(401),
        Self::Json(403),
        Self::Text(403),
        Self::Text(404),
        Self::Senseless,
        Self::Garbage,
        Self::Cut,
    ];
}

/// Starts it. It ends with the process.
pub(super) fn start(manner: Manner, secrets: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let secrets = secrets.clone();
            // A client that goes away is its own affair.
            thread::spawn(move || drop(serve(stream, manner, &secrets)));
        }
    });
    address
}

fn serve(mut stream: TcpStream, manner: Manner, secrets: &[String]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut count = 0;
    while let Some(request) = read_request(&mut stream)? {
        count += 1;
        stream.write_all(&answer(manner, count, &request, secrets))?;
        if matches!(manner, Manner::Garbage | Manner::Cut) {
            break;
        }
    }
    Ok(())
}

/// The next request, head and body.
fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        // A greeting of TLS, after which nothing comes without an answer.
        if bytes.starts_with(&[0x16]) {
            return Ok(Some(String::new()));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok(Some(text));
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn answer(manner: Manner, count: usize, request: &str, secrets: &[String]) -> Vec<u8> {
    let secret = &secrets[count % secrets.len()];
    let all = secrets.join(" ");
    // The usual place where a message is cut is in the middle of a secret.
    let filler = "x".repeat(200 - secret.len() / 2 - count % 5);
    let said = format!("{filler}{secret} {all} {request}");
    let header = secret.replace(['\r', '\n'], "");
    let with = |status: u16, body: String| {
        format!(
            "HTTP/1.1 {status} {header}\r\nContent-Length: {}\r\nx-amz-bucket-region: {header}\r\n\
             x-ms-error-code: {header}\r\nLocation: http://127.0.0.1:9/{header}\r\nETag: \"{header}\"\r\n\
             Last-Modified: {header}\r\nX-Storage-Url: {header}\r\nX-Auth-Token: {header}\r\n\
             X-Subject-Token: {header}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    match manner {
        Manner::Xml(status) => with(
            status,
            format!(
                "<Error><Code>{}</Code><Message>{}</Message><Region>{header}</Region></Error>",
                escape(secret),
                escape(&said)
            ),
        ),
        Manner::Json(status) => with(
            status,
            serde_json::json!({"error": {"title": secret, "message": said}}).to_string(),
        ),
        Manner::Text(status) => with(status, said.replace(['<', '{'], " ")),
        Manner::Senseless => with(
            200,
            serde_json::json!({"token": {"catalog": [{"type": format!("{filler}{secret}"), "endpoints": []},
                {"type": "object-store", "endpoints": [{"interface": "public", "url": said}]}]}})
            .to_string(),
        ),
        Manner::Garbage => format!("{said}\r\n\r\n").into_bytes(),
        Manner::Cut => format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{said}").into_bytes(),
    }
}
