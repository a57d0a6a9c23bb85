//! Answers of Swift and Keystone. The first byte chooses which.
#![no_main]

use adapters::blob_store::fuzzing::{part_bytes, swift};
use domain::{request::SwiftStore, secret::Secret};
use libfuzzer_sys::fuzz_target;
use osb_backup_agent_fuzz::{SECRET, choice};

const SEGMENTS: &str = "/container_segments/key/";

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = choice(data) else { return };
    match choice % 6 {
        0 => keystone(body, None),
        1 => keystone(body, Some("RegionOne")),
        2 => listing(body),
        3 => manifest(body),
        4 => {
            let _ = swift::removal(body);
        }
        _ => numbers(body),
    }
});

fn keystone(body: &[u8], region: Option<&str>) {
    let store = SwiftStore {
        auth_url: "https://keystone.example.org/v3".to_owned(),
        domain: "Default".to_owned(),
        container_name: "container".to_owned(),
        project_name: "project".to_owned(),
        region: region.map(str::to_owned),
        username: "user".to_owned(),
        password: Secret::new(SECRET),
    };
    match swift::keystone_answer(&store, body) {
        // Where the token is sent to.
        Ok((url, _)) => {
            assert!(url.starts_with("http://") || url.starts_with("https://"), "{url:?}");
            assert!(
                url.ends_with("/container/key") && !url.contains(['?', '#', ' ']),
                "{url:?}"
            );
        }
        Err(text) => {
            assert!(!text.contains(SECRET), "{text:?}");
            assert!(text.len() < 4096 && !text.contains(char::is_control), "{text:?}");
        }
    }
}

fn listing(body: &[u8]) {
    if let Ok((names, objects)) = swift::page(body) {
        assert!(objects <= names.len());
    }
    for id in swift::uploads_below("key/", body).into_iter().flatten() {
        // Segments of this id are removed.
        let plain = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f' | '-');
        assert!(id.len() == 36 && id.chars().all(plain), "{id:?}");
    }
}

fn manifest(body: &[u8]) {
    for id in swift::uploads_in(body, SEGMENTS).into_iter().flatten() {
        assert!(!id.contains('/'), "{id:?}");
    }
}

fn numbers(body: &[u8]) {
    let (most_parts, most_bytes) = swift::bounds(body);
    assert!(most_parts > 0 && most_bytes > 0, "a cluster that takes nothing");
    for size in [0, 1, 1 << 20, 1 << 40, u64::MAX >> 14] {
        if let Some(bytes) = part_bytes(most_parts, most_bytes, size) {
            assert!(
                bytes > 0 && bytes <= most_bytes && size.div_ceil(bytes) <= most_parts,
                "{size}"
            );
        }
    }
    if let Some((range, _)) = swift::content_range(body) {
        assert!(range.end >= 1);
    }
}
