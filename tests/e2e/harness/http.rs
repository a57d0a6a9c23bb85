//! A small HTTP/1.1 client that sends exactly the bytes it is told to.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::PATIENCE;

/// The value of an `Authorization` header with these credentials.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// An answer, as it came over the wire (without the chunks).
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of this name, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON and be called so.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let content_type = self.header("Content-Type").unwrap_or_default();
        assert!(
            content_type.starts_with("application/json"),
            "Content-Type is {content_type:?} in {self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection, on which any number of requests may be sent.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the agent accepts connections")
    }

    /// None if nobody accepts it.
    pub(crate) fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // Small writes can leave at once.
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends bytes. A server that has answered already may have closed its side: that is no fault of
    /// the request, the answer tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
            Err(error) => panic!("sending a request: {error}"),
        }
    }

    /// The next answer on this connection; `to_head` says that it answers a HEAD and has no body.
    #[track_caller]
    pub(crate) fn receive(&mut self, to_head: bool) -> Response {
        self.try_receive(to_head).expect("an answer arrives in full")
    }

    /// The next answer, if one arrives in full before the other side closes.
    pub(crate) fn try_receive(&mut self, to_head: bool) -> io::Result<Response> {
        loop {
            let head_end = self.read_past(b"\r\n\r\n")?;
            let head: Vec<u8> = self.received.drain(..head_end).collect();
            let (status, headers) = parse_head(&head)?;
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
            };
            if (100..200).contains(&status) {
                continue;
            }
            if !to_head && status != 204 && status != 304 {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// What the other side sends until it closes.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        while self.fill().is_ok_and(|read| read > 0) {}
        self.received
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response
            .header("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks();
        }
        match response.header("Content-Length") {
            Some(length) => {
                let length = length.parse().map_err(io::Error::other)?;
                self.read_exactly(length)
            }
            None => {
                while self.fill()? > 0 {}
                Ok(std::mem::take(&mut self.received))
            }
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = self.read_past(b"\r\n")?;
            let line: Vec<u8> = self.received.drain(..line_end).collect();
            let digits = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(digits.trim(), 16).map_err(io::Error::other)?;
            let chunk = self.read_exactly(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }

    fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.received.drain(..length).collect())
    }

    /// Reads until `mark` has come; where it ends.
    fn read_past(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            let found = self.received.windows(mark.len()).position(|window| window == mark);
            if let Some(start) = found {
                return Ok(start + mark.len());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Vec<(String, String)>)> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no status line: {head:?}")))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Ok((status, headers))
}
