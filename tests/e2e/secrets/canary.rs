//! Secrets that are looked for, in every form in which they could get out.

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// So much of a secret in a row is a leak, wherever it was cut.
const WINDOW_BYTES: usize = 10;

/// The line of a key file that is looked for.
pub(super) const GCS_KEY: &str = include_str!("../../../adapters/tests/it/gcs_shim/key.pem");

/// The secret of a member: no two are alike in so much as a window.
pub(super) fn canary(member: &str) -> String {
    let mut state = member.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut text = String::new();
    while text.len() < 40 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&STANDARD_NO_PAD.encode(&state.to_le_bytes()[..6]));
    }
    text
}

/// All that is looked for.
pub(super) struct Canaries {
    /// Whose each pattern is.
    names: Vec<String>,
    patterns: AhoCorasick,
}

impl Canaries {
    pub(super) fn of<'a>(secrets: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        for (name, secret) in secrets {
            let forms = forms(&secret);
            names.extend(forms.iter().map(|_| name.to_owned()));
            patterns.extend(forms);
        }
        let patterns = AhoCorasick::new(patterns).expect("they are not too many");
        Self { names, patterns }
    }

    /// Asserts that none of them, nor a part of one, is in what was found at this place.
    #[track_caller]
    pub(super) fn assert_absent(&self, place: &str, found: &[u8]) {
        if let Some(leak) = self.patterns.find(found) {
            let name = &self.names[leak.pattern().as_usize()];
            let (start, end) = (leak.start().saturating_sub(200), (leak.end() + 100).min(found.len()));
            let around = String::from_utf8_lossy(&found[start..end]);
            panic!("a part of the secret {name} is in {place}: …{around}…");
        }
    }
}

/// Parts of it as it is, and of its forms in hex, in base64 wherever it may begin, and as URLs escape it.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let windows = |text: &str, length: usize, step: usize| -> Vec<Vec<u8>> {
        text.as_bytes()
            .windows(length.min(text.len()))
            .step_by(step)
            .map(<[u8]>::to_vec)
            .collect()
    };
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let escaped: String = secret
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_string(),
            false => format!("%{:02X}", u32::from(c)),
        })
        .collect();
    let mut all = windows(secret, WINDOW_BYTES, 1);
    all.extend(windows(&hex, 2 * WINDOW_BYTES, 2));
    all.extend(windows(&hex.to_uppercase(), 2 * WINDOW_BYTES, 2));
    all.extend(windows(&escaped, WINDOW_BYTES + 4, 1));
    for shift in 0..3 {
        let encoded = STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(shift)));
        // Its first and last digits belong to what is before and behind it.
        let own = &encoded[4..encoded.len() - 4];
        all.extend(windows(own, 16, 4));
        all.extend(windows(&own.replace('+', "-").replace('/', "_"), 16, 4));
    }
    all
}

#[test]
fn a_canary_is_found_in_every_form() {
    let secret = canary("test");
    let canaries = Canaries::of([("test", secret.clone())]);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    for text in [
        format!("a{secret}b"),
        format!("a{}b", &secret[..12]),
        format!("a{}b", &secret[secret.len() - 12..]),
        hex,
        STANDARD_NO_PAD.encode(format!("user:{secret}")),
        STANDARD_NO_PAD.encode(format!("user1:{secret}")),
        STANDARD_NO_PAD.encode(format!("user12:{secret}")),
        secret.replace('/', "%2F").replace('+', "%2B"),
    ] {
        assert!(canaries.patterns.is_match(&text), "{text}");
    }
    assert!(!canaries.patterns.is_match(&canary("another")));
}
