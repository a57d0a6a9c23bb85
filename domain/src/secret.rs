//! Values that must not be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A password, key or other secret of a request.
///
/// Neither `Debug` nor `Display` prints it, and it cannot be serialized; [`Secret::expose`] is the one
/// way to the text. Its memory is wiped when it goes, and so is that of each copy that is a `Secret`. What
/// libraries copy of it is not: environments of processes, headers and buffers of connections, keys in
/// the form in which they are computed with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text into custody. It may be empty: a database may need no password.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one who needs it: a script's environment, a signature.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {secret} {:#?}", Some(&secret))
                .matches("<redacted>")
                .count(),
            3
        );
        assert!(!format!("{secret:?} {secret} {secret:>40} {secret:#?}").contains("hunter"));
    }

    #[test]
    fn taking_a_text_into_custody_makes_no_copy_that_would_stay() {
        let text = "hunter2".to_owned();
        let place = text.as_ptr();
        assert_eq!(Secret::new(text).expose().as_ptr(), place);
    }
}
