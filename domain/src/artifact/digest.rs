//! What tells a file from every other.

use std::{fmt, str::FromStr};

/// A SHA-256 digest. Shown, and parsed, as 64 hexadecimal digits; shown in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

/// Text that is no SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 digest: 64 hexadecimal digits")]
pub struct InvalidSha256;

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl FromStr for Sha256 {
    type Err = InvalidSha256;

    fn from_str(text: &str) -> Result<Self, InvalidSha256> {
        let digits = text.as_bytes();
        // `from_str_radix` would take a sign for a digit.
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidSha256);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| InvalidSha256)?;
        }
        Ok(Self(bytes))
    }
}

/// What is known of a file before it comes, by which another is told from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its length in bytes.
    pub size_bytes: Option<u64>,
    /// Its digest.
    pub sha256: Option<Sha256>,
}

impl Expected {
    /// What is wrong with a file of that length and digest; none if it is as expected.
    #[must_use]
    pub fn refusal(&self, size_bytes: u64, sha256: Sha256) -> Option<String> {
        if let Some(expected) = self.size_bytes.filter(|expected| *expected != size_bytes) {
            return Some(format!("it has {size_bytes} bytes, but {expected} were expected"));
        }
        let expected = self.sha256.filter(|expected| *expected != sha256)?;
        Some(format!("its SHA-256 is {sha256}, but {expected} was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_shown_as_it_is_parsed() {
        let text = "00ff10".repeat(10) + "abcd";
        let digest: Sha256 = text.parse().expect("64 digits");
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        for bad in [
            "",
            "00",
            &text[1..],
            &format!("{text}0"),
            &text.replace('f', "g"),
            &text.replace("00", "+0"),
            &"é".repeat(32),
        ] {
            assert_eq!(bad.parse::<Sha256>(), Err(InvalidSha256), "{bad}");
        }
    }

    #[test]
    fn a_file_is_refused_for_its_length_and_its_digest() {
        let (one, other) = (Sha256::from([1; 32]), Sha256::from([2; 32]));
        let expected = Expected {
            size_bytes: Some(5),
            sha256: Some(one),
        };
        assert_eq!(expected.refusal(5, one), None);
        assert!(
            expected
                .refusal(6, one)
                .is_some_and(|text| text.contains("6 bytes, but 5"))
        );
        assert!(
            expected
                .refusal(5, other)
                .is_some_and(|text| text.contains(&one.to_string()))
        );
        assert_eq!(Expected::default().refusal(6, other), None);
    }
}
