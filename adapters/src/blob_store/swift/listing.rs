//! What is in a container, page by page.

use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use hyper::Method;
use object_store::{ListResult, ObjectMeta, path::Path};
use serde::Deserialize;

use super::{
    Swift,
    address::escaped,
    ask::Ask,
    error::{SwiftFault, senseless},
    objects::plain_etag,
};

/// So many entries are short enough for one answer, whatever their names are.
const PAGE_ENTRIES: usize = 1000;

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Entry {
    /// All names that begin like this, up to the next slash.
    Prefix { subdir: String },
    Object {
        name: String,
        bytes: u64,
        last_modified: String,
        hash: String,
        /// Of an object in segments; its hash is that of its manifest.
        slo_etag: Option<String>,
    },
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Prefix { subdir } => subdir,
            Self::Object { name, .. } => name,
        }
    }
}

/// What of a container is listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    /// All names that begin so.
    All,
    /// As if names were those of files in directories.
    UpToNextSlash,
}

impl Swift {
    /// The entries after the marker; none are left if it is empty.
    pub(super) async fn page(
        &self,
        container: &str,
        prefix: &str,
        depth: Depth,
        marker: &str,
    ) -> Result<Vec<Entry>, SwiftFault> {
        let mut url = self.account().container(container);
        url += &format!("?format=json&limit={PAGE_ENTRIES}&prefix={}", escaped(prefix));
        match depth {
            Depth::All => {}
            Depth::UpToNextSlash => url += "&delimiter=%2F",
        }
        if !marker.is_empty() {
            url += &format!("&marker={}", escaped(marker));
        }
        let body = self.read(&Ask::new(Method::GET, url).for_json()).await?;
        entries(container, &body)
    }

    /// All entries.
    pub(super) async fn entries(&self, container: &str, prefix: &str, depth: Depth) -> Result<Vec<Entry>, SwiftFault> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let marker = all.last().map_or("", Entry::name).to_owned();
            let page = self.page(container, prefix, depth, &marker).await?;
            let Some(last) = page.last() else { return Ok(all) };
            if last.name() <= marker.as_str() {
                return Err(no_progress(container));
            }
            all.extend(page);
        }
    }

    pub(super) fn list_objects(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let prefix = directory(prefix);
        let start = Some((self.clone(), String::new()));
        let pages = stream::try_unfold(start, move |next| {
            let prefix = prefix.clone();
            async move {
                let Some((swift, marker)) = next else { return Ok(None) };
                let page = swift.page(swift.container(), &prefix, Depth::All, &marker).await;
                let page = page.map_err(|fault| fault.of_object(&prefix))?;
                let next = match page.last() {
                    None => None,
                    Some(last) if last.name() <= marker.as_str() => {
                        return Err(no_progress(swift.container()).of_object(&prefix));
                    }
                    Some(last) => Some((swift, last.name().to_owned())),
                };
                Ok(Some((stream::iter(page).map(|entry| meta(&entry)), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    pub(super) async fn list_directory(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let prefix = directory(prefix);
        let entries = self.entries(self.container(), &prefix, Depth::UpToNextSlash).await;
        let mut result = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
            extensions: object_store::Extensions::default(),
        };
        for entry in entries.map_err(|fault| fault.of_object(&prefix))? {
            match entry {
                Entry::Prefix { subdir } => result.common_prefixes.push(Path::parse(subdir)?),
                Entry::Object { .. } => result.objects.push(meta(&entry)?),
            }
        }
        Ok(result)
    }
}

/// The entries of one page.
pub(super) fn entries(container: &str, body: &[u8]) -> Result<Vec<Entry>, SwiftFault> {
    // Some answer an empty list with 204 and no body.
    if body.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(body)
        .map_err(|error| SwiftFault::Strange(format!("the list of container {container:?} makes no sense: {error}")))
}

/// `object_store` means whole segments of names by a prefix.
fn directory(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.is_root() => format!("{prefix}/"),
        Some(_) | None => String::new(),
    }
}

/// A server that gives the same page for ever would never be done.
fn no_progress(container: &str) -> SwiftFault {
    SwiftFault::Strange(format!("the list of container {container:?} goes round in circles"))
}

pub(super) fn meta(entry: &Entry) -> object_store::Result<ObjectMeta> {
    match entry {
        Entry::Prefix { subdir } => Err(senseless(format!(
            "the list holds a prefix, {subdir:?}, that was not asked for"
        ))),
        Entry::Object {
            name,
            bytes,
            last_modified,
            hash,
            slo_etag,
        } => Ok(ObjectMeta {
            location: Path::parse(name)?,
            last_modified: moment(last_modified)
                .ok_or_else(|| senseless(format!("the list has {last_modified:?} for a time")))?,
            size: *bytes,
            e_tag: Some(plain_etag(slo_etag.as_ref().unwrap_or(hash))),
            version: None,
        }),
    }
}

/// Swift writes times of its lists without a zone, and means UTC.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let moment: NaiveDateTime = text.trim_end_matches('Z').parse().ok()?;
    Some(moment.and_utc())
}
