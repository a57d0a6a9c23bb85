//! A proxy that does to requests what networks and stores do to them.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, JoinSet},
};

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This answer comes; the server gets nothing.
    Answer(u16, &'static str),
    /// A document comes; the server gets nothing.
    Document(String),
    /// An error document with this code comes; the server gets nothing.
    Refuse(u16, &'static str),
    /// The client is sent elsewhere.
    Redirect(String),
    /// The connection is cut, and the server gets nothing.
    CutBefore,
    /// The server does as it was asked, but its answer is lost.
    LoseAnswer,
    /// The server's answer takes this long to arrive.
    Delay(Duration),
    /// Nothing happens any more.
    Stall,
    /// The answer is cut off after so many bytes of its body.
    CutBody(u64),
    /// The answer lacks this header.
    Conceal(&'static str),
    /// The answer has this length in its `Content-Length`, and the client cannot read on to its end.
    Length(&'static str),
    /// The answer has this header too.
    Add(&'static str, &'static str),
    /// The server does as it was asked, but this answer comes.
    AnswerAfter(u16, &'static str),
    /// 503 comes, with this in `Retry-After`; the server gets nothing.
    Busy(&'static str),
    /// The server is asked only when it is allowed.
    Await(Arc<Semaphore>),
    /// The connection is cut, and the server gets nothing, but only when it is allowed.
    AwaitCut(Arc<Semaphore>),
    /// This comes as the whole object, whatever range of it was asked for.
    Whole(Bytes),
    /// A bit of this byte of the answer's body is another.
    Flip(usize),
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    part_of_target: String,
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<String>>,
    heads: Mutex<Vec<(String, HeaderMap)>>,
    /// Of the requests that were answered here.
    bodies: Mutex<Vec<String>>,
}

/// A proxy before one server. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct FaultyProxy {
    address: SocketAddr,
    script: Arc<Script>,
    task: AbortHandle,
}

impl FaultyProxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script::default());
        let rules = Arc::clone(&script);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let rules = Arc::clone(&rules);
                let service = service_fn(move |request| pass(request, server, Arc::clone(&rules)));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        let task = task.abort_handle();
        Self { address, script, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next so many requests of that method, whose path and query contain that, meet that fault.
    pub(crate) fn plan(&self, times: usize, method: &'static str, part_of_target: &str, fault: Fault) {
        let part_of_target = part_of_target.to_owned();
        self.script.rules.lock().unwrap().push(Rule {
            method,
            part_of_target,
            times,
            fault,
        });
    }

    /// The values that a header had in the requests of that method, whose path and query contain that.
    pub(crate) fn headers(&self, method: &str, part_of_target: &str, header: &str) -> Vec<Option<String>> {
        let heads = self.script.heads.lock().unwrap();
        let matches = |(request, _): &&(String, HeaderMap)| {
            request.starts_with(&format!("{method} ")) && request.contains(part_of_target)
        };
        let value = |headers: &HeaderMap| Some(headers.get(header)?.to_str().unwrap().to_owned());
        heads
            .iter()
            .filter(matches)
            .map(|(_, headers)| value(headers))
            .collect()
    }

    /// `METHOD path?query` of all requests.
    pub(crate) fn all_requests(&self) -> Vec<String> {
        self.script.requests.lock().unwrap().clone()
    }

    /// The bodies of the requests that were answered here, and did not come to the server.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.script.bodies.lock().unwrap().clone()
    }

    /// How many requests of that method, whose path and query contain that, have come.
    pub(crate) fn requests(&self, method: &str, part_of_target: &str) -> usize {
        let requests = self.script.requests.lock().unwrap();
        let matches = |request: &&String| request.starts_with(method) && request.contains(part_of_target);
        requests.iter().filter(matches).count()
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    fn fault(&self, request: &Request<Incoming>) -> Option<Fault> {
        let target = request.uri().to_string();
        self.requests
            .lock()
            .unwrap()
            .push(format!("{} {target}", request.method()));
        let head = (format!("{} {target}", request.method()), request.headers().clone());
        self.heads.lock().unwrap().push(head);
        let mut rules = self.rules.lock().unwrap();
        let applies = |rule: &&mut Rule| {
            rule.times > 0 && request.method() == rule.method && target.contains(&rule.part_of_target)
        };
        let rule = rules.iter_mut().find(applies)?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

/// An error from here cuts the client's connection.
async fn pass(request: Request<Incoming>, server: SocketAddr, script: Arc<Script>) -> io::Result<Response<Answer>> {
    let fault = script.fault(&request);
    match fault {
        None => forward(request, server, u64::MAX).await,
        Some(Fault::Answer(status, body)) => answer(request, &script, status, body.to_owned()).await,
        Some(Fault::Document(text)) => answer(request, &script, 200, text).await,
        Some(Fault::Refuse(status, code)) => {
            let body = format!("<Error><Code>{code}</Code><Message>as planned</Message></Error>");
            answer(request, &script, status, body).await
        }
        Some(Fault::Redirect(location)) => {
            let mut answer = answer(request, &script, 307, String::new()).await?;
            answer.headers_mut().insert("location", location.parse().unwrap());
            Ok(answer)
        }
        Some(Fault::CutBefore) => Err(cut()),
        Some(Fault::LoseAnswer) => {
            let mut answer = forward(request, server, u64::MAX).await?;
            drain(answer.body_mut()).await;
            Err(cut())
        }
        Some(Fault::Delay(delay)) => {
            let answer = forward(request, server, u64::MAX).await;
            tokio::time::sleep(delay).await;
            answer
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::CutBody(bytes)) => forward(request, server, bytes).await,
        Some(Fault::Conceal(header)) => {
            let mut answer = forward(request, server, u64::MAX).await?;
            answer.headers_mut().remove(header);
            Ok(answer)
        }
        Some(Fault::Add(header, value)) => {
            let mut answer = forward(request, server, u64::MAX).await?;
            answer.headers_mut().insert(header, value.parse().unwrap());
            Ok(answer)
        }
        Some(Fault::Length(length)) => {
            let told = length.parse().unwrap();
            let mut answer = forward(request, server, told).await?;
            answer.headers_mut().insert("content-length", told.into());
            Ok(answer)
        }
        Some(Fault::AnswerAfter(status, body)) => {
            drain(forward(request, server, u64::MAX).await?.body_mut()).await;
            let mut answer = Response::new(Answer::Whole(Some(body.into())));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(answer)
        }
        Some(Fault::Busy(seconds)) => {
            let mut answer = answer(request, &script, 503, "<Error><Code>SlowDown</Code></Error>".to_owned()).await?;
            answer.headers_mut().insert("retry-after", seconds.parse().unwrap());
            Ok(answer)
        }
        Some(Fault::Await(allowed)) => {
            allowed.acquire().await.unwrap().forget();
            forward(request, server, u64::MAX).await
        }
        Some(Fault::AwaitCut(allowed)) => {
            allowed.acquire().await.unwrap().forget();
            Err(cut())
        }
        Some(Fault::Whole(object)) => {
            let (mut head, _) = forward(request, server, u64::MAX).await?.into_parts();
            head.status = StatusCode::OK;
            head.headers.remove("content-range");
            head.headers.insert("content-length", object.len().into());
            Ok(Response::from_parts(head, Answer::Whole(Some(object))))
        }
        Some(Fault::Flip(place)) => {
            let (head, mut body) = forward(request, server, u64::MAX).await?.into_parts();
            let mut bytes = drain(&mut body).await;
            bytes[place] ^= 1;
            Ok(Response::from_parts(head, Answer::Whole(Some(bytes.into()))))
        }
    }
}

fn cut() -> io::Error {
    io::Error::other("cut as planned")
}

async fn answer(
    mut request: Request<Incoming>,
    script: &Script,
    status: u16,
    body: String,
) -> io::Result<Response<Answer>> {
    // A client that is still sending would see a broken connection instead.
    let sent = drain(request.body_mut()).await;
    script
        .bodies
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&sent).into_owned());
    let mut answer = Response::new(Answer::Whole(Some(body.into())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(answer)
}

async fn forward(request: Request<Incoming>, server: SocketAddr, body_bytes: u64) -> io::Result<Response<Answer>> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(answer.map(|body| Answer::Passed(body, body_bytes)))
}

async fn drain(body: &mut (impl Body<Data = Bytes> + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut frames = futures_util::stream::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
    while let Some(Ok(frame)) = frames.next().await {
        all.extend(frame.into_data().unwrap_or_default());
    }
    all
}

enum Answer {
    Whole(Option<Bytes>),
    Passed(Incoming, u64),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Passed(_, 0) => Poll::Ready(Some(Err(cut()))),
            Self::Passed(body, left) => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                Poll::Ready(frame.map(|frame| match frame.map_err(io::Error::other)?.into_data() {
                    Ok(mut data) => {
                        data.truncate(usize::try_from(*left).unwrap());
                        *left -= data.len() as u64;
                        Ok(Frame::data(data))
                    }
                    Err(frame) => Ok(frame),
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Passed(body, left) => *left > 0 && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Passed(body, _) => body.size_hint(),
        }
    }
}
