//! Values of configuration variables. The binary keeps them to itself, so the file is built in here.
#![no_main]

#[path = "../../../src/config/values.rs"]
mod values;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;

const MIB: u64 = 1024 * 1024;

fuzz_target!(|text: &str| {
    if let Ok(duration) = values::duration(text) {
        let year = Duration::from_secs(366 * 24 * 3600);
        assert!(duration >= Duration::from_secs(1) && duration <= year, "{text:?}");
        let seconds = format!("{}s", duration.as_secs());
        assert_eq!(values::duration(&seconds), Ok(duration), "{text:?}");
    }
    if let Ok(bytes) = values::size(text) {
        assert!(bytes >= MIB && bytes.is_multiple_of(MIB), "{text:?}");
        assert_eq!(values::size(&format!("{}MiB", bytes / MIB)), Ok(bytes), "{text:?}");
        assert_eq!(values::size_or_nothing(text), Ok(bytes), "{text:?}");
        assert_eq!(values::transfer_memory(text).is_ok(), bytes >= 16 * MIB, "{text:?}");
    }
    if let Ok(port) = values::port(text) {
        assert_eq!(values::port(&port.to_string()), Ok(port));
    }
    if let Ok(address) = values::ip_address(text) {
        assert_eq!(values::ip_address(&address.to_string()), Ok(address));
    }
    if let Ok(count) = values::count(text) {
        assert_eq!(values::at_least_one(text).is_ok(), count >= 1, "{text:?}");
        assert_eq!(values::retries(text).is_ok(), count <= 20, "{text:?}");
    }
    for bucket in values::buckets(text).into_iter().flatten() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(!bucket.is_empty() && bucket.chars().all(plain), "{text:?}");
    }
    for path in values::absolute_paths(text).into_iter().flatten() {
        assert!(path.is_absolute(), "{text:?}");
    }
    let choices = [("one", 1), ("two", 2)];
    let chosen = values::one_of(text, &choices);
    assert_eq!(chosen.is_ok(), text == "one" || text == "two");
    let _ = values::boolean(text);
    if let Ok(filter) = values::log_filter(text) {
        assert_eq!(values::log_filter(&filter), Ok(filter));
    }
});
