//! The accept loop: sockets, limits, panics and the drain at the end.
//!
//! warp's own server has no time limit for headers, no bound on connections and no drain.

use std::{convert::Infallible, io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;
use warp::{filters::BoxedFilter, reply::Response};

use super::{HttpContext, HttpLimits, reply, routes};

/// How long open requests may take to end once the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long to wait after an accept that failed, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most that a request's header may hold.
const MAX_HEADER_BYTES: usize = 64 * 1024;

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
        let listener = TcpListener::bind(address).await?;
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
        let limits = context.limits;
        let routes = routes(&context);
        let places = Arc::new(Semaphore::new(limits.connections));
        let connections = TaskTracker::new();
        while let Some((stream, place)) = self.next(&places, &stop).await {
            let (routes, stop) = (routes.clone(), stop.clone());
            connections.spawn(async move {
                serve_connection(stream, routes, limits, stop).await;
                drop(place);
            });
        }
        drop(self.listener);
        connections.close();
        if tokio::time::timeout(DRAIN_TIME, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "connections did not end in time and were cut");
        }
    }

    /// The next connection, once there is a place for it; none when it is time to stop.
    async fn next(
        &self,
        places: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        loop {
            let accepted = stop
                .run_until_cancelled(async {
                    let place = Arc::clone(places)
                        .acquire_owned()
                        .await
                        .expect("the semaphore is never closed");
                    self.listener.accept().await.map(|(stream, _)| (stream, place))
                })
                .await?;
            match accepted {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    routes: BoxedFilter<(Response,)>,
    limits: HttpLimits,
    stop: CancellationToken,
) {
    // Answers are small and written at once; a failure only makes them later.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_time));
    let service = service_fn(move |request| answer(routes.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(MAX_HEADER_BYTES)
        // A client may close its side once it has sent its request, and still wants the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A panic in a handler is answered, and ends nothing but this request.
async fn answer(routes: BoxedFilter<(Response,)>, request: Request<Incoming>) -> Result<Response, Infallible> {
    let handled = AssertUnwindSafe(async { warp::service(routes).call(request).await });
    Ok(match handled.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!("a request handler panicked; the client got a 500");
            reply::internal_error()
        }
    })
}
