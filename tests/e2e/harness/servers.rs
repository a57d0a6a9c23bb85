//! What to do where a test needs something that this machine does not have.

use std::io::{self, Write};

/// Says aloud that a test was left out for want of a server. With `OSB_TEST_REQUIRE_SERVERS=1` that
/// is a failure.
pub(crate) fn leave_out(what: &str, why: &str) {
    let required = std::env::var("OSB_TEST_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(!required, "{what} must not be left out here, but {why}");
    say(&format!("LEFT OUT: {what}: {why}"));
}

/// Says something aloud: past the test runner, which keeps what passing tests print to itself.
pub(crate) fn say(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{text}");
}
