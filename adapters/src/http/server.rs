//! The accept loop: sockets, places, limits, panics and the drain at the end.
//!
//! warp's own server has no time limit for headers, no bound on connections and no drain.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use hyper::{Request, body::Incoming, header::AUTHORIZATION, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;
use tracing::Instrument;
use warp::{filters::BoxedFilter, http::StatusCode, reply::Response};

use super::{
    HttpContext, HttpLimits, Tls,
    audit::Peer,
    auth::Caller,
    places::{Place, Places},
    refusals::Refusals,
    reply,
    request_id::RequestId,
    routes,
    stream::PlacedStream,
    waits::Stop,
};

/// How long open requests may take to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How many connections the system holds until they are accepted. Beyond it the system drops them, and
/// clients try again only after a second, so a burst must fit; `net.core.somaxconn` bounds it too.
const BACKLOG: u32 = 4096;
/// How long to wait after an accept that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most that a request's header may hold. So much of each connection is held in memory before
/// its client has shown any credentials.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Serves HTTP/1.1.
#[derive(Debug)]
pub struct HttpServer;

/// A server that has its address.
#[derive(Debug)]
pub struct BoundServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    /// Takes the address. Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// If the address is taken or is not one of this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<BoundServer> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // The port of an agent that has just ended can be had at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(BoundServer { listener, address })
    }
}

impl BoundServer {
    /// The address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled and the open requests have ended, or a few seconds more.
    pub async fn serve(self, context: Arc<HttpContext>, stop: CancellationToken) {
        let places = Places::new(context.limits.connections);
        let connections = TaskTracker::new();
        let office = Arc::new(Office {
            routes: routes(&context),
            limits: context.limits,
            tls: context.tls.clone(),
            refusals: Refusals::new(Instant::now()),
            stop,
        });
        while let Some((stream, place)) = self.next(&places, &office.stop).await {
            let office = Arc::clone(&office);
            connections.spawn(async move {
                tokio::select! {
                    () = office.serve(stream, &place) => {}
                    () = place.lost() => tracing::debug!("a connection that waited for its client made place"),
                }
            });
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(DRAIN_TIME, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "connections did not end in time and were cut");
        }
    }

    /// The next connection, once there is a place for it; none when it is time to stop.
    async fn next(&self, places: &Arc<Places>, stop: &CancellationToken) -> Option<(TcpStream, Arc<Place>)> {
        loop {
            match stop.run_until_cancelled(self.listener.accept()).await? {
                Ok((stream, _)) => {
                    let place = stop.run_until_cancelled(places.take()).await?;
                    return Some((stream, Arc::new(place)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Where file descriptors are what is wanting, this gives one back.
                    places.end_longest_wait();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What all connections share.
struct Office {
    routes: BoxedFilter<(Response,)>,
    limits: HttpLimits,
    tls: Option<Arc<Tls>>,
    refusals: Refusals,
    stop: CancellationToken,
}

impl Office {
    async fn serve(&self, stream: TcpStream, place: &Arc<Place>) {
        // Answers are small and written at once; a failure only makes them later.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok().map(Peer);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_time));
        let stream = Box::pin(stream);
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, peer, place).await;
        };
        let handshake = tls.accept(stream, self.limits.handshake_time);
        match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(stream)) => self.serve_http(stream, peer, place).await,
            Some(Err(error)) => tracing::debug!(%error, "a TLS handshake did not succeed"),
            None => {}
        }
    }

    async fn serve_http(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Option<Peer>, place: &Arc<Place>) {
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            request.extensions_mut().insert(Stop(self.stop.clone()));
            self.answer(request, place)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_time)
            .max_buf_size(MAX_HEADER_BYTES)
            // A client may close its side once it has sent its request, and still wants the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(PlacedStream::new(stream, Arc::clone(place))), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>, place: &Place) -> Result<Response, Infallible> {
        place.answering().await;
        let is_login = request.headers().contains_key(AUTHORIZATION);
        let id = RequestId::of(request.headers());
        // Of this level, so that no filter which lets any line through takes the id from it.
        let span = tracing::error_span!("request", request_id = %id);
        let response = handle(self.routes.clone(), request).instrument(span).await;
        let response = id.put_on(response);
        if response.status() == StatusCode::UNAUTHORIZED {
            // Of no other answer is there a delay: the right credentials never wait.
            place.refused();
            if is_login {
                let delay = tokio::time::sleep(self.refusals.one_more(Instant::now()));
                self.stop.run_until_cancelled(delay).await;
            }
        } else if response.extensions().get() == Some(&Caller::Stranger) {
            // An answer is no proof of anything.
            place.refused();
        } else {
            place.answered();
        }
        Ok(response)
    }
}

/// A panic in a handler is answered, and ends nothing but this request.
async fn handle(routes: BoxedFilter<(Response,)>, request: Request<Incoming>) -> Response {
    let handled = AssertUnwindSafe(async { warp::service(routes).call(request).await });
    match handled.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!("a request handler panicked; the client got a 500");
            reply::internal_error()
        }
    }
}
