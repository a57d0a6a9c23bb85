//! One OpenStack Swift container, as a store of `object_store`'s traits.
//!
//! ```text
//! Swift ── objects / segments / listing / removal ──> session ──> connector ──> the object store
//!                                                        └─ login (keystone, v1) ─> connector ──> Keystone
//! ```
//!
//! What Swift calls a static large object stands for an upload in parts: segments in a container beside
//! the object's, `<container>_segments`, and a manifest under the object's name that lists them. A
//! segment's name is `<key>/<upload id>/<8 digits>`, so that what an upload left can be found.
//!
//! Nothing is tried again in here, except for the one repeat of a request whose token was refused.

mod address;
mod ask;
mod digest;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod info;
mod keystone;
mod listing;
mod login;
mod objects;
mod removal;
mod segments;
mod session;
#[cfg(test)]
mod tests;
mod v1;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{artifact::ObjectKey, request::SwiftStore};
use hyper::Method;
use object_store::client::{HttpResponse, HttpResponseBody};
use tokio::sync::OnceCell;

use self::{address::Account, ask::Ask, error::SwiftFault, login::Login, session::Session};
use super::{
    Limits,
    bucket::{Bucket, OpenUploads},
    connector::{Connector, read_at_most},
    failure::Failure,
    local::blocking,
    movement::{Movement, Stall},
    network::Network,
    parts::PartRules,
    redaction::Redaction,
    retry::Patience,
};

pub(super) use self::info::Bounds;

/// No answer other than an object is longer: a page of a list, or a manifest.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// A cluster that does not tell its limits by then is taken for one of the usual ones.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);
/// Swift refuses longer names.
const MAX_CONTAINER_BYTES: usize = 256;
const SEGMENTS_SUFFIX: &str = "_segments";

/// Logs in, again and again if need be, and makes a bucket of the container.
pub(super) async fn connect(store: &SwiftStore, limits: Limits, network: &Network) -> Result<Bucket, Failure> {
    let patience = Patience::new(limits.retry);
    let swift = patience.retry(|| Swift::connect(store, limits.answer, network)).await?;
    let bounds = match Patience::new(limits.retry.min(LONGEST_QUESTION))
        .retry(|| swift.limits())
        .await
    {
        Ok(bounds) => bounds,
        // Only its address shows what the name of the object store hid.
        Err(failure) if failure.is_forbidden() => return Err(failure),
        Err(failure) => {
            tracing::warn!(
                cause = failure.summary(),
                "the cluster does not tell its limits: the usual ones are assumed"
            );
            Bounds::default()
        }
    };
    Ok(Bucket {
        stall: Arc::new(Stall::new(limits.stall, swift.transfer())),
        objects: Arc::new(swift.clone()),
        // A manifest is put on that condition like any object.
        creating: Arc::new(swift.clone()),
        open_uploads: Arc::new(swift),
        parts: PartRules {
            most_parts: bounds.max_parts,
            most_bytes: bounds.max_part_bytes,
        },
        takes_marks: false,
        limits,
    })
}

#[async_trait]
impl OpenUploads for Swift {
    async fn of(&self, key: &ObjectKey) -> Result<Vec<String>, Failure> {
        self.leftovers(key).await
    }
}

/// A container that can be spoken to. Clones share their session.
#[derive(Debug, Clone)]
pub(super) struct Swift(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    session: Session,
    container: String,
    /// Sees the bodies of all requests move.
    transfer: Arc<Movement>,
    bounds: OnceCell<Bounds>,
    /// Set once the container for segments is known to be there.
    has_segments: OnceCell<()>,
}

impl fmt::Display for Swift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Swift container {:?}", self.0.container)
    }
}

impl Swift {
    /// Logs in, and makes a client for the container. `answer_timeout` is how long the servers may be
    /// silent.
    async fn connect(store: &SwiftStore, answer_timeout: Duration, network: &Network) -> Result<Self, Failure> {
        let container = checked_container(&store.container_name)?;
        let login = Login::new(store)?;
        let url = login.url().clone();
        let (by, redaction) = (network.clone(), login.redaction().clone());
        let authority = blocking(move || Connector::new(&url, answer_timeout, &by, redaction)).await?;
        let grant = login.authenticate(&authority.client(), answer_timeout).await?;
        // Its address, and with it whether certificates and proxies matter, may be another.
        let url = grant.account.url().clone();
        let (by, redaction) = (network.clone(), login.redaction().clone());
        let connector = blocking(move || Connector::new(&url, answer_timeout, &by, redaction)).await?;
        Ok(Self(Arc::new(Inner {
            transfer: Arc::clone(connector.transfer()),
            session: Session::new(login, authority.client(), connector.client(), grant, answer_timeout),
            container,
            bounds: OnceCell::new(),
            has_segments: OnceCell::new(),
        })))
    }

    /// When any byte of any request to the object store last moved.
    pub(super) fn transfer(&self) -> &Arc<Movement> {
        &self.0.transfer
    }

    /// What the store takes; asked for once, and the usual bounds where it does not tell.
    pub(super) async fn limits(&self) -> Result<Bounds, Failure> {
        let ask = || info::ask(&self.0.session);
        Ok(*self.0.bounds.get_or_try_init(ask).await?)
    }

    /// Takes this session's secrets out of texts.
    fn redaction(&self) -> &Redaction {
        self.0.session.redaction()
    }

    fn account(&self) -> &Account {
        self.0.session.account()
    }

    fn container(&self) -> &str {
        &self.0.container
    }

    fn segments(&self) -> String {
        format!("{}{SEGMENTS_SUFFIX}", self.0.container)
    }

    async fn execute(&self, ask: &Ask) -> Result<HttpResponse, SwiftFault> {
        self.0.session.execute(ask).await
    }

    /// Makes a request whose answer is short, and reads that.
    async fn read(&self, ask: &Ask) -> Result<Vec<u8>, SwiftFault> {
        let answer = self.execute(ask).await?;
        self.read_body(answer.into_body()).await
    }

    async fn read_body(&self, body: HttpResponseBody) -> Result<Vec<u8>, SwiftFault> {
        let (body, whole) = read_at_most(MAX_ANSWER_BYTES, body, self.0.session.answer_timeout()).await;
        whole.map_err(|error| SwiftFault::of(&error))?;
        Ok(body)
    }

    /// An answer that says that there is no container, with words for that.
    fn missing_container(&self, fault: SwiftFault) -> SwiftFault {
        let text = format!(
            "there is no container {:?} in this account; check container_name and project_name",
            self.0.container
        );
        fault.explained(404, text)
    }

    fn object(&self, method: Method, key: &str) -> Ask {
        Ask::new(method, self.account().object(self.container(), key))
    }
}

/// The container's name, which must leave room for that of the one beside it.
fn checked_container(name: &str) -> Result<String, Failure> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(Failure::strange(format!(
            "container_name {name:?} can be no container's name: it is empty, holds a slash, or is . or .."
        )));
    }
    if name.len() + SEGMENTS_SUFFIX.len() > MAX_CONTAINER_BYTES {
        return Err(Failure::strange(format!(
            "container_name has {} bytes; with {SEGMENTS_SUFFIX} behind it, it may have {MAX_CONTAINER_BYTES}",
            name.len()
        )));
    }
    Ok(name.to_owned())
}
