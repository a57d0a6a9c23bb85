//! Uploads in parts: segments, and a manifest that makes an object of them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::artifact::ObjectKey;
use hyper::{
    Method,
    header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH},
};
use object_store::{
    MultipartId, PutPayload, PutResult, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Swift,
    ask::{Ask, header},
    digest::md5_of,
    error::{SwiftFault, senseless},
    listing::{Depth, Entry},
    objects::{ANY, etag_of, put_result},
    removal::is_in_segments,
};
use crate::blob_store::failure::Failure;

const POLICY: HeaderName = HeaderName::from_static("x-storage-policy");
/// Has the store compare all its copies, instead of telling of the first that answers.
const NEWEST: HeaderName = HeaderName::from_static("x-newest");
/// How many digits a segment's number has.
const DIGITS: usize = 8;
/// A segment that was on its way may come after the others were removed.
const ROUNDS: usize = 3;

/// A line of a manifest, as the store wants it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    path: String,
    etag: String,
    size_bytes: u64,
}

/// A line of a manifest, as the store tells it.
#[derive(Debug, Deserialize)]
struct Told {
    /// With its container, and a slash before that.
    name: String,
}

#[async_trait]
impl MultipartStore for Swift {
    /// Makes the container for segments, and nothing else: an upload is no more than its id before it
    /// has parts.
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let made = self.0.has_segments.get_or_try_init(|| self.make_container()).await;
        made.map_err(|fault| fault.of_object(path))?;
        Ok(Uuid::new_v4().to_string())
    }

    /// The manifest wants each part's size and ETag, so the part's id is both: `<size>-<etag>`.
    async fn put_part(&self, path: &Path, id: &MultipartId, part_idx: usize, data: PutPayload) -> Result<PartId> {
        let size = data.content_length();
        let etag = md5_of(&data).await;
        let name = checked_prefix(path, id)? + &segment_number(part_idx)?;
        let ask = Ask::new(Method::PUT, self.account().object(&self.segments(), &name))
            .with(ETAG, header(&etag).map_err(|fault| fault.of_object(path))?)
            .with_body(data);
        let gone = || {
            format!(
                "the container {:?}, which parts are put into, is not there any more",
                self.segments()
            )
        };
        let answer = self.execute(&ask).await;
        let answer = answer.map_err(|fault| fault.explained(404, gone()).of_sum().of_object(path))?;
        let etag = etag_of(answer.headers()).unwrap_or(etag);
        Ok(PartId {
            content_id: format!("{size}-{etag}"),
        })
    }

    /// The name must be free: what is there is not replaced.
    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let prefix = checked_prefix(path, id)?;
        let lines: Result<Vec<Line>> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| self.line(&prefix, index, part))
            .collect();
        let manifest = serde_json::to_vec(&lines?).map_err(|error| senseless(error.to_string()))?;
        self.check_token().await.map_err(|fault| fault.of_object(path))?;
        let url = self.account().object(self.container(), path.as_ref()) + "?multipart-manifest=put";
        let ask = Ask::new(Method::PUT, url)
            .with(IF_NONE_MATCH, ANY)
            .with(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .with_body(manifest);
        match self.execute(&ask).await.map_err(|fault| self.missing_container(fault)) {
            Ok(answer) => Ok(put_result(answer.headers())),
            Err(fault) => Err(fault.of_new_object(path)),
        }
    }

    /// Removes the segments, and sees that none is left. An upload that is an object by now is not
    /// found, so that whoever lost the answer to the completion destroys nothing.
    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let prefix = checked_prefix(path, id)?;
        self.abort(path.as_ref(), id, &prefix)
            .await
            .map_err(|fault| fault.of_object(path))
    }
}

impl Swift {
    /// The ids of uploads that left segments for this very key, without the one the object under it is
    /// made of.
    pub(in crate::blob_store) async fn leftovers(&self, key: &ObjectKey) -> std::result::Result<Vec<String>, Failure> {
        let prefix = format!("{}/", key.as_str());
        let entries = match self.entries(&self.segments(), &prefix, Depth::UpToNextSlash).await {
            Ok(entries) => entries,
            Err(fault) if fault.is_missing() => return Ok(Vec::new()),
            Err(fault) => return Err(fault.into()),
        };
        let found: Vec<String> = entries.iter().filter_map(|entry| upload_id(&prefix, entry)).collect();
        if found.is_empty() {
            return Ok(found);
        }
        let used = self.uploads_in_use(key.as_str()).await?;
        Ok(found.into_iter().filter(|id| !used.contains(id)).collect())
    }

    async fn abort(&self, key: &str, id: &str, prefix: &str) -> std::result::Result<(), SwiftFault> {
        for _ in 0..ROUNDS {
            let left = self.segments_of(prefix).await?;
            if left.is_empty() {
                return Ok(());
            }
            // Asked anew each time: somebody may be completing it at this moment.
            if self.uploads_in_use(key).await?.contains(id) {
                return Err(SwiftFault::refused(
                    404,
                    "the upload is complete; its parts are an object now",
                ));
            }
            self.remove_segments(&left).await?;
            // A manifest whose request was given up may have come meanwhile: it would promise what is gone.
            if self.uploads_in_use(key).await?.contains(id) {
                self.remove_manifest(key).await?;
            }
        }
        if self.segments_of(prefix).await?.is_empty() {
            return Ok(());
        }
        Err(SwiftFault::refused(
            503,
            format!(
                "parts are still in container {:?} after they were removed",
                self.segments()
            ),
        ))
    }

    /// Removes a large object's name, and none of its segments.
    async fn remove_manifest(&self, key: &str) -> std::result::Result<(), SwiftFault> {
        match self.execute(&self.object(Method::DELETE, key)).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_missing() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The names of an upload's segments, and of nothing that only begins like them.
    async fn segments_of(&self, prefix: &str) -> std::result::Result<Vec<String>, SwiftFault> {
        let entries = match self.entries(&self.segments(), prefix, Depth::All).await {
            Ok(entries) => entries,
            Err(fault) if fault.is_missing() => return Ok(Vec::new()),
            Err(fault) => return Err(fault),
        };
        let is_segment = |name: &str| {
            let number = name.strip_prefix(prefix).unwrap_or_default();
            number.len() == DIGITS && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let names = entries.iter().map(Entry::name).filter(|name| is_segment(name));
        Ok(names.map(str::to_owned).collect())
    }

    /// The ids of the uploads whose segments the object under this key is made of.
    async fn uploads_in_use(&self, key: &str) -> std::result::Result<BTreeSet<String>, SwiftFault> {
        let url = self.account().object(self.container(), key) + "?multipart-manifest=get";
        let ask = Ask::new(Method::GET, url).with(NEWEST, HeaderValue::from_static("true"));
        let answer = match self.execute(&ask).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_missing() => return Ok(BTreeSet::new()),
            Err(fault) => return Err(fault),
        };
        if !is_in_segments(answer.headers()) {
            // What comes is the object itself, which is of no interest.
            return Ok(BTreeSet::new());
        }
        let body = self.read_body(answer.into_body()).await?;
        uploads_in(&body, &format!("/{}/{key}/", self.segments()))
    }

    /// Has a token that is refused renewed. Of a manifest, Swift looks at the segments before it looks at
    /// the token, and then says 400, in which the 401 of each segment is hidden.
    async fn check_token(&self) -> std::result::Result<(), SwiftFault> {
        let ask = Ask::new(Method::HEAD, self.account().container(&self.segments()));
        match self.execute(&ask).await {
            Ok(_) => Ok(()),
            // The manifest itself tells what else is wrong.
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    async fn make_container(&self) -> std::result::Result<(), SwiftFault> {
        let head = |name: &str| Ask::new(Method::HEAD, self.account().container(name));
        let policy = match self.execute(&head(self.container())).await {
            Ok(answer) => answer.headers().get(POLICY).cloned(),
            // Those who may use it need not be allowed to look at it.
            Err(fault) if fault.status() == Some(403) => None,
            Err(fault) => return Err(self.missing_container(fault)),
        };
        let segments = self.segments();
        match self.execute(&head(&segments)).await {
            Ok(_) => return Ok(()),
            Err(fault) if matches!(fault.status(), Some(403 | 404)) => {}
            Err(fault) => return Err(fault),
        }
        let mut ask = Ask::new(Method::PUT, self.account().container(&segments));
        if let Some(policy) = policy {
            // Where the object's own bytes would be.
            ask = ask.with(POLICY, policy);
        }
        let text = format!(
            "parts of large objects go into a container {segments:?}, and username may neither see nor make one; \
             make it, or give username the right to"
        );
        self.execute(&ask)
            .await
            .map(drop)
            .map_err(|fault| fault.explained(403, text))
    }

    fn line(&self, prefix: &str, index: usize, part: &PartId) -> Result<Line> {
        let (size, etag) = part.content_id.split_once('-').unwrap_or_default();
        Ok(Line {
            path: format!("/{}/{prefix}{}", self.segments(), segment_number(index)?),
            etag: etag.to_owned(),
            size_bytes: size
                .parse()
                .map_err(|_| senseless(format!("{:?} is the id of no part", part.content_id)))?,
        })
    }
}

/// The ids in a manifest's lines, whose segments' names begin with `prefix`.
pub(super) fn uploads_in(manifest: &[u8], prefix: &str) -> std::result::Result<BTreeSet<String>, SwiftFault> {
    let lines: Vec<Told> = serde_json::from_slice(manifest).map_err(|error| {
        SwiftFault::Strange(format!(
            "the manifest of the object of this name makes no sense, so nothing was removed: {error}"
        ))
    })?;
    let ids = lines
        .iter()
        .filter_map(|line| line.name.strip_prefix(prefix)?.split('/').next());
    Ok(ids.map(str::to_owned).collect())
}

/// What the names of an upload's segments begin with. Its id may come out of a journal, and with a
/// wrong one the segments of others would be meant.
fn checked_prefix(path: &Path, id: &str) -> Result<String> {
    if is_upload_id(id) {
        Ok(format!("{path}/{id}/"))
    } else {
        Err(SwiftFault::refused(404, format!("{id:?} is the id of no upload")).of_object(path))
    }
}

fn segment_number(index: usize) -> Result<String> {
    let number = format!("{index:0DIGITS$}");
    if number.len() == DIGITS {
        Ok(number)
    } else {
        Err(senseless(format!("no upload has a part {index}")))
    }
}

/// Exactly as we write it.
fn is_upload_id(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.get_version_num() == 4 && id.to_string() == text)
}

/// The id in an entry of the list of what is below a key.
pub(super) fn upload_id(prefix: &str, entry: &Entry) -> Option<String> {
    match entry {
        Entry::Prefix { subdir } => {
            let id = subdir.strip_prefix(prefix)?.strip_suffix('/')?;
            is_upload_id(id).then(|| id.to_owned())
        }
        Entry::Object { .. } => None,
    }
}
