//! Ways in to what reads answers of Swift and Keystone, for the fuzz targets alone.

use std::time::Duration;

use domain::request::SwiftStore;
use hyper::{
    HeaderMap,
    header::{CONTENT_RANGE, HeaderValue},
};

use super::{
    error::SwiftFault,
    info::Bounds,
    keystone::Keystone,
    listing::{self, Entry},
    login::{Grant, Login},
    objects, removal, segments,
};
use crate::blob_store::{failure::Failure, redaction::Redaction};

fn told(fault: SwiftFault) -> String {
    Failure::from(fault).to_string()
}

/// The account's address and the token's lifetime, as a login at Keystone gives them.
///
/// # Errors
///
/// What the client is told.
pub fn keystone_answer(store: &SwiftStore, body: &[u8]) -> Result<(String, Option<Duration>), String> {
    let token = HeaderValue::from_static("token");
    let Login::Keystone(keystone) = Login::new(store).map_err(told)? else {
        return Err("this is not Keystone's URL".to_owned());
    };
    // As whoever calls it does: an answer may repeat what was sent.
    let grant = Keystone::grant(&keystone, &token, body).map_err(|fault| fault.without([keystone.password()]));
    let Grant { account, lifetime, .. } = grant.map_err(told)?;
    Ok((account.object("container", "key"), lifetime))
}

/// The names in a page of a list, and how many of its entries are objects that make sense.
///
/// # Errors
///
/// What the client is told.
pub fn page(body: &[u8]) -> Result<(Vec<String>, usize), String> {
    let entries = listing::entries("container", body).map_err(told)?;
    let objects = entries.iter().filter(|entry| listing::meta(entry).is_ok()).count();
    Ok((entries.iter().map(Entry::name).map(str::to_owned).collect(), objects))
}

/// The ids of unfinished uploads in a page of a list; what they name is removed.
///
/// # Errors
///
/// What the client is told.
pub fn uploads_below(prefix: &str, body: &[u8]) -> Result<Vec<String>, String> {
    let entries = listing::entries("container", body).map_err(told)?;
    Ok(entries
        .iter()
        .filter_map(|entry| segments::upload_id(prefix, entry))
        .collect())
}

/// The ids of uploads that a manifest names; what they name is kept.
///
/// # Errors
///
/// What the client is told.
pub fn uploads_in(manifest: &[u8], prefix: &str) -> Result<Vec<String>, String> {
    let ids = segments::uploads_in(manifest, prefix).map_err(told)?;
    Ok(ids.into_iter().collect())
}

/// Whether all was removed, by the report of a removal of many.
///
/// # Errors
///
/// What the client is told.
pub fn removal(report: &[u8]) -> Result<(), String> {
    removal::judge(report, &Redaction::default()).map_err(told)
}

/// The most parts, and the most bytes of one, by what a cluster tells of itself.
#[must_use]
pub fn bounds(info: &[u8]) -> (u64, u64) {
    let bounds = Bounds::of(&serde_json::from_slice(info).unwrap_or_default());
    (bounds.max_parts, bounds.max_part_bytes)
}

/// Which bytes came, and how many there are in all.
#[must_use]
pub fn content_range(text: &[u8]) -> Option<(std::ops::Range<u64>, u64)> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_RANGE, HeaderValue::from_bytes(text).ok()?);
    objects::content_range(&headers)
}
