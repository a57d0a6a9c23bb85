//! Answers of S3, Azure and Google: refusals in any form, regions, and lists of unfinished uploads.
//!
//! An input is a line that stands for the key and for headers, and then a body.
#![no_main]

use adapters::blob_store::fuzzing::{part_bytes, refusal, region_of, uploads_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = data.split_at(end);
    // As answers are read that need not be text.
    let (key, body) = (String::from_utf8_lossy(head), String::from_utf8_lossy(body));
    listing(&key, &body);
    let header = std::str::from_utf8(head).ok();
    for status in [301, 403, 404, 503] {
        let refusal = refusal(status, header, header, head, &body);
        for text in [&refusal.code, &refusal.message, &refusal.region].into_iter().flatten() {
            assert!(!text.is_empty() && text.chars().count() <= 200, "{text:?}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        assert!(refusal.region.iter().all(|region| is_region(region)), "{refusal:?}");
        assert!(refusal.shown.chars().count() < 420, "{refusal:?}");
    }
    assert!(region_of(&body).iter().all(|region| is_region(region)));
    if let Some(size) = data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes) >> 14) {
        for (most_parts, most_bytes) in [(10_000, 5 << 30), (50_000, 4_000 << 20)] {
            if let Some(bytes) = part_bytes(most_parts, most_bytes, size) {
                assert!(bytes <= most_bytes && size.div_ceil(bytes) <= most_parts, "{size}");
            }
        }
    }
});

/// It becomes a part of a host's name, and a header.
fn is_region(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

fn listing(key: &str, body: &str) {
    let found = uploads_of(key, body);
    assert!(found.iter().all(|id| !id.is_empty()), "{found:?}");
    assert!(found.len() <= body.matches("Upload>").count(), "{body:?}");
    // Whatever the key is, its own upload is found, and that of a longer one is not.
    if !key.contains(char::is_control) {
        let escaped = key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let upload = |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let xml = format!(
            "<R>{}{}</R>",
            upload(&escaped, "mine"),
            upload(&format!("{escaped}x"), "other")
        );
        assert_eq!(uploads_of(key, &xml), ["mine"], "{key:?}");
    }
}
