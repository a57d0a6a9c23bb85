//! From method and path to a handler. Paths are matched to the letter: no redirects, no second
//! spelling of a path. What is routed here is what `GET /openapi.json` tells.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use bytes::Buf;
use domain::{
    job::JobId,
    plan::JobKind,
    ports::{Actor, AuditAction, AuditEntry},
};
use futures_util::{FutureExt, Stream, future::BoxFuture};
use tracing::Instrument;
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderMap, Method},
    path::FullPath,
    reply::Response,
};
use zeroize::Zeroizing;

use super::{
    HttpContext,
    audit::{self, Peer},
    auth::{self, Caller},
    body::{self, BodyError},
    openapi,
    operation::{Access, Operation},
    reply,
    waits::{Stop, Waits},
};

/// One request, for a handler.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) context: Arc<HttpContext>,
    pub(super) routes: Arc<Routes>,
    pub(super) caller: Caller,
    /// What stands in the path for `{id}`, as it is in the URL.
    pub(super) segment: String,
    /// What stands behind the path's `?`, as it is in the URL.
    pub(super) query: String,
    /// Empty where the operation takes none.
    pub(super) body: Result<Zeroizing<Vec<u8>>, BodyError>,
    /// The job that it is about, once the handler knows it.
    pub(super) id: Arc<OnceLock<JobId>>,
    /// Cancelled when the server stops: from then on nothing waits.
    pub(super) stop: Stop,
}

type Handler = Box<dyn Fn(Call) -> BoxFuture<'static, Response> + Send + Sync>;

/// All that the agent answers to.
#[derive(Default)]
pub(super) struct Routes {
    entries: Vec<(Operation, Handler)>,
    document: OnceLock<Vec<u8>>,
    /// The requests that wait for news.
    pub(super) waits: Waits,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.operations()).finish()
    }
}

/// A request without its body.
struct Head {
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
    peer: Option<Peer>,
    stop: Option<Stop>,
}

/// Where a request leads.
enum Found<'a> {
    Handler(&'a Operation, &'a Handler, &'a str),
    OtherMethods(String),
    Nothing,
}

impl Routes {
    /// Leads requests for an operation to a handler, and tells of it in the document.
    pub(super) fn add<F>(&mut self, operation: Operation, handler: impl Fn(Call) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Response> + Send + 'static,
    {
        self.entries
            .push((operation, Box::new(move |call| handler(call).boxed())));
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.entries.iter().map(|(operation, _)| operation)
    }

    /// The document that tells of all operations.
    pub(super) fn document(&self, context: &HttpContext) -> &[u8] {
        self.document.get_or_init(|| {
            openapi::document(self, &context.rules, context.metrics_without_auth)
                .to_string()
                .into_bytes()
        })
    }

    /// A filter that answers every request.
    pub(super) fn into_filter(self, context: &Arc<HttpContext>) -> BoxedFilter<(Response,)> {
        let routes = Arc::new(self);
        let context = Arc::clone(context);
        warp::method()
            .and(warp::path::full())
            .and(query())
            .and(warp::header::headers_cloned())
            .and(warp::ext::optional())
            .and(warp::ext::optional())
            .and(warp::body::stream())
            .then(move |method, path, query, headers, peer, stop, stream| {
                let head = Head {
                    method,
                    path,
                    query,
                    headers,
                    peer,
                    stop,
                };
                Arc::clone(&routes).answer(Arc::clone(&context), head, stream)
            })
            .boxed()
    }

    fn find<'a>(&'a self, method: &Method, path: &'a str) -> Found<'a> {
        let mut allowed = Vec::new();
        for (operation, handler) in &self.entries {
            let Some(segment) = operation.segment_of(path) else {
                continue;
            };
            if operation.takes_method(method) {
                return Found::Handler(operation, handler, segment);
            }
            allowed.push(operation.method.as_str());
            if operation.method == Method::GET {
                allowed.push(Method::HEAD.as_str());
            }
        }
        match allowed.is_empty() {
            true => Found::Nothing,
            false => Found::OtherMethods(allowed.join(", ")),
        }
    }

    async fn answer<S, B>(self: Arc<Self>, context: Arc<HttpContext>, head: Head, stream: S) -> Response
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf,
    {
        let found = self.find(&head.method, head.path.as_str());
        let access = match &found {
            Found::Handler(operation, ..) => operation.access,
            // What there is, and what not, is told to those alone who may know.
            Found::OtherMethods(_) | Found::Nothing => Access::Known,
        };
        let Some(caller) = auth::judge(&context, access, &head.headers, head.peer) else {
            return reply::unauthorized();
        };
        let (operation, handler, segment) = match found {
            Found::Handler(operation, handler, segment) => (operation, handler, segment),
            Found::OtherMethods(allowed) => return reply::method_not_allowed(&allowed),
            Found::Nothing => return reply::unknown_path(),
        };
        let body = match operation.takes.is_body() {
            false => Ok(Zeroizing::default()),
            true => body::read(&head.headers, stream, context.limits).await,
        };
        let call = Call {
            context,
            routes: Arc::clone(&self),
            caller,
            segment: segment.to_owned(),
            query: head.query,
            body,
            id: Arc::default(),
            stop: head.stop.unwrap_or_default(),
        };
        let mut response = match operation.audited {
            None => handler(call).await,
            Some((action, kind)) => {
                let actor = audit::caller(&head.headers, head.peer);
                to_its_end(call, handler, action, kind, actor).await
            }
        };
        // So that every test that calls a route is one of the document as well.
        debug_assert!(
            operation
                .all_answers()
                .iter()
                .any(|answer| answer.status == response.status()),
            "{} {} answers {}, which its operation does not tell",
            operation.method,
            operation.path,
            response.status()
        );
        response.extensions_mut().insert(caller);
        response
    }
}

/// What stands behind the path's `?`; empty where there is none.
fn query() -> BoxedFilter<(String,)> {
    warp::query::raw().or(warp::any().map(String::new)).unify().boxed()
}

/// Handles a call that changes something, in a task of its own: what was begun is finished, and noted,
/// whether or not the client stays.
async fn to_its_end(
    call: Call,
    handler: &Handler,
    action: AuditAction,
    kind: Option<JobKind>,
    actor: Actor,
) -> Response {
    let (log, id) = (Arc::clone(&call.context.audit), Arc::clone(&call.id));
    let handled = AssertUnwindSafe(handler(call)).catch_unwind();
    let task = async move {
        let response = handled.await.unwrap_or_else(|_| {
            let kind = kind.map(JobKind::as_str);
            tracing::error!(
                kind,
                action = action.as_str(),
                "a request handler panicked; the client got a 500"
            );
            reply::internal_error()
        });
        log.record(AuditEntry {
            action,
            actor,
            kind,
            id: id.get().cloned(),
            outcome: response.status().as_str().into(),
        });
        response
    };
    let task = tokio::spawn(task.in_current_span());
    // Nobody ends the task, but a runtime that stops.
    task.await.unwrap_or_else(|_| reply::internal_error())
}
