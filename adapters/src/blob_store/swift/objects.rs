//! Single objects: put, get, delete.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{
        CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};
use object_store::{
    Attributes, CopyOptions, Error, Extensions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

use super::{
    Swift,
    ask::header,
    digest::md5_of,
    error::{SwiftFault, senseless},
};

/// Of a `PutMode::Create`, it holds where it holds: Swift's servers agree on a name in the end only.
pub(super) const ANY: HeaderValue = HeaderValue::from_static("*");

/// An ETag without the quotes that Swift has around some.
pub(super) fn plain_etag(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// The ETag of an answer, if it has one.
pub(super) fn etag_of(headers: &HeaderMap) -> Option<String> {
    Some(plain_etag(headers.get(ETAG)?.to_str().ok()?))
}

impl Swift {
    async fn put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if !options.attributes.is_empty() {
            return Err(not_supported("attributes of objects"));
        }
        let etag = md5_of(&payload).await;
        let mut ask = self
            .object(Method::PUT, path.as_ref())
            .with(ETAG, header(&etag).map_err(|fault| fault.of_object(path))?)
            .with_body(payload);
        let creates = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(not_supported("an update of one version")),
        };
        if creates {
            ask = ask.with(IF_NONE_MATCH, ANY);
        }
        let answer = self.execute(&ask).await;
        match answer.map_err(|fault| self.missing_container(fault).of_sum()) {
            Ok(answer) => Ok(put_result(answer.headers())),
            Err(fault) if creates => Err(fault.of_new_object(path)),
            Err(fault) => Err(fault.of_object(path)),
        }
    }

    async fn get(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let method = if options.head { Method::HEAD } else { Method::GET };
        let mut ask = self.object(method, path.as_ref());
        for (name, value) in conditions(&options)? {
            ask = ask.with(name, header(&value).map_err(|fault| fault.of_object(path))?);
        }
        let answer = self.execute(&ask).await.map_err(|fault| fault.of_object(path))?;
        let headers = answer.headers();
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Err(SwiftFault::refused(304, "it is as it was").of_object(path));
        }
        let mut meta = meta(path, headers)?;
        let range = if answer.status() == StatusCode::PARTIAL_CONTENT {
            let (range, size) = content_range(headers)
                .ok_or_else(|| senseless(format!("a part of {path} came without its Content-Range")))?;
            meta.size = size;
            let wanted = options.range.as_ref().and_then(|wanted| wanted.as_range(size).ok());
            if wanted.is_some_and(|wanted| wanted != range) {
                return Err(senseless(format!("another range of {path} came than was asked for")));
            }
            range
        } else if options.range.is_some() && !options.head {
            return Err(senseless(format!(
                "a range of {path} was asked for, but all of it came"
            )));
        } else {
            0..meta.size
        };
        let bytes = answer.into_body().bytes_stream();
        let path = path.clone();
        let bytes = bytes.map_err(move |error| SwiftFault::of(&error).of_object(&path));
        Ok(GetResult {
            payload: GetResultPayload::Stream(bytes.boxed()),
            meta,
            range,
            attributes: Attributes::new(),
            extensions: Extensions::default(),
        })
    }
}

#[async_trait]
impl ObjectStore for Swift {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.put(location, payload, opts).await
    }

    /// Parts are uploaded by way of `MultipartStore`, which tells the upload's id.
    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("put_multipart_opts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.get(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let swift = self.clone();
        let delete = move |path: Path| {
            let swift = swift.clone();
            async move {
                let deleted = swift.remove_object(path.as_ref()).await;
                deleted.map_err(|fault| fault.of_object(&path))?;
                Ok(path)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_objects(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.list_directory(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_implemented("copy_opts"))
    }
}

/// What an answer to a PUT tells of the object.
pub(super) fn put_result(headers: &HeaderMap) -> PutResult {
    PutResult {
        e_tag: etag_of(headers),
        version: None,
        extensions: Extensions::default(),
    }
}

fn conditions(options: &GetOptions) -> Result<Vec<(HeaderName, String)>> {
    if options.version.is_some() {
        return Err(not_supported("a version of an object"));
    }
    let mut conditions = Vec::new();
    if let Some(range) = &options.range {
        range.is_valid().map_err(|error| senseless(error.to_string()))?;
        conditions.push((RANGE, range.to_string()));
    }
    for (name, etags) in [(IF_MATCH, &options.if_match), (IF_NONE_MATCH, &options.if_none_match)] {
        conditions.extend(etags.as_ref().map(|etags| (name, quoted(etags))));
    }
    for (name, moment) in [
        (IF_MODIFIED_SINCE, options.if_modified_since),
        (IF_UNMODIFIED_SINCE, options.if_unmodified_since),
    ] {
        conditions.extend(moment.map(|moment| (name, moment.format("%a, %d %b %Y %H:%M:%S GMT").to_string())));
    }
    Ok(conditions)
}

/// ETags as they stand in a condition.
fn quoted(etags: &str) -> String {
    if etags == "*" {
        return etags.to_owned();
    }
    let etags = etags.split(',').map(|etag| format!("\"{}\"", plain_etag(etag.trim())));
    etags.collect::<Vec<_>>().join(", ")
}

fn meta(path: &Path, headers: &HeaderMap) -> Result<ObjectMeta> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let absent = |name: HeaderName| senseless(format!("the answer about {path} has no {name} that makes sense"));
    let size = text(CONTENT_LENGTH).and_then(|size| size.parse().ok());
    let modified = text(LAST_MODIFIED).and_then(|moment| DateTime::parse_from_rfc2822(moment).ok());
    Ok(ObjectMeta {
        location: path.clone(),
        last_modified: modified.ok_or_else(|| absent(LAST_MODIFIED))?.with_timezone(&Utc),
        size: size.ok_or_else(|| absent(CONTENT_LENGTH))?,
        e_tag: etag_of(headers),
        version: None,
    })
}

/// Which bytes came, and how many there are in all.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(std::ops::Range<u64>, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    Some((first..last.checked_add(1)?, size.parse().ok()?))
}

fn not_supported(what: &str) -> Error {
    Error::NotSupported {
        source: format!("{what}, in a Swift container").into(),
    }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "Swift".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_in_conditions_are_quoted_once() {
        for (etags, condition) in [
            ("abc", "\"abc\""),
            ("\"abc\"", "\"abc\""),
            ("a, \"b\"", "\"a\", \"b\""),
            ("*", "*"),
        ] {
            assert_eq!(quoted(etags), condition);
        }
    }

    #[test]
    fn a_content_range_is_read_or_is_none() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(read("bytes 1-3/10"), Some((1..4, 10)));
        for text in [
            "",
            "bytes */10",
            "bytes 1-/10",
            "bytes 1-3/*",
            "1-3/10",
            "bytes 1-18446744073709551615/2",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
