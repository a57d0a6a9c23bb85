//! What to do where a test needs something that this machine does not have.

/// Says aloud that a test was left out. With `OSB_TEST_REQUIRE_SERVERS=1` that is a failure.
pub(crate) fn leave_out(what: &str, why: &str) {
    let required = std::env::var("OSB_TEST_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{what} must not be left out here, but {why}");
    eprintln!("LEFT OUT: {what}: {why}");
}
