//! What stands behind the `?` of a URL: how long a poll waits, and which jobs are listed.
#![no_main]

use std::time::Duration;

use adapters::http::fuzzing::{cursor, page, wait};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    if let Ok(Some(patience)) = wait(query) {
        assert!(patience <= Duration::from_secs(60), "{query:?}");
    }
    let Ok(wanted) = page(query) else { return };
    assert!((1..=500).contains(&wanted.most), "{query:?}");
    if let Some(place) = &wanted.after {
        let text = cursor(place);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)),
            "{text:?}"
        );
        let again = page(&format!("cursor={text}")).expect("the agent's own");
        assert_eq!(again.after.as_ref(), Some(place), "{query:?}");
    }
});
