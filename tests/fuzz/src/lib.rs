//! What the fuzz targets share: promises that hold for whatever comes from outside.

/// A secret in inputs, which no text for people may hold.
pub const SECRET: &str = "hunter2-hunter2";

/// Panics unless `text` can only ever name something in its directory.
///
/// # Panics
///
/// If it can be a path that leads elsewhere.
pub fn assert_one_segment(text: &str) {
    assert!(
        !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0']),
        "{text:?} is not one segment of a path"
    );
}

/// Panics unless `text` is fit for a name that people and shells meet.
///
/// # Panics
///
/// If it holds control characters or looks like an option.
pub fn assert_tame(text: &str) {
    assert!(
        !text.starts_with('-') && !text.contains(char::is_control),
        "{text:?} is not tame"
    );
}

/// The first byte of an input, which chooses what is done with the rest.
#[must_use]
pub fn choice(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}
