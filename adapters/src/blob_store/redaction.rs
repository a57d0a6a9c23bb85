//! Takes secrets out of what stores say, before any of it is cut, kept or logged.

use std::{
    cmp::Reverse,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use domain::secret::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter ones are parts of ordinary words, and would make a text unreadable; no store gives out
/// keys of that length.
const SHORTEST_BYTES: usize = 8;
/// More of what others say is not shown.
pub(super) const MAX_SHOWN_CHARS: usize = 200;
/// What signatures escape.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secrets of one connection, in the forms in which a store may repeat them; those that are added
/// later count for all who share it.
#[derive(Clone, Default)]
pub(super) struct Redaction(Arc<RwLock<Vec<Secret>>>);

impl Redaction {
    pub(super) fn of(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let redaction = Self::default();
        secrets.into_iter().for_each(|secret| redaction.add(&secret));
        redaction
    }

    /// The same with these, which are not shared.
    pub(super) fn and(&self, secrets: Vec<Secret>) -> Self {
        if secrets.is_empty() {
            return self.clone();
        }
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let both = Self(Arc::new(RwLock::new(all)));
        secrets.iter().for_each(|secret| both.add(secret));
        both
    }

    /// Adds a secret that was learnt under way.
    pub(super) fn add(&self, secret: &Secret) {
        let text = secret.expose();
        if text.len() < SHORTEST_BYTES {
            return;
        }
        let forms = [
            text.to_owned(),
            // As it is when it has been made fit to be shown.
            text.chars().filter(|c| !c.is_control()).collect(),
            utf8_percent_encode(text, UNRESERVED).to_string(),
            STANDARD_NO_PAD.encode(text),
            serde_json::Value::from(text).to_string().trim_matches('"').to_owned(),
        ];
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms.map(Secret::new) {
            if form.expose().len() >= SHORTEST_BYTES && !all.contains(&form) {
                all.push(form);
            }
        }
        // One may be a part of another.
        all.sort_by_key(|form| Reverse(form.expose().len()));
    }

    /// The text without the secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(Secret::expose).fold(text.to_owned(), |text, form| {
            if text.contains(form) {
                text.replace(form, "<redacted>")
            } else {
                text
            }
        })
    }

    /// Text of others, fit to be shown: without secrets, short, and without control characters.
    ///
    /// In that order, as no one finds a secret that was cut in two.
    pub(super) fn shown(&self, text: &str) -> String {
        let visible: String = text.chars().filter(|c| !c.is_control()).collect();
        let clean: String = self.clean(&visible).chars().take(MAX_SHOWN_CHARS).collect();
        clean.trim().to_owned()
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "Geheim/1+2=\n3&ü";

    #[test]
    fn a_secret_is_taken_out_in_every_form_in_which_stores_repeat_it() {
        let redaction = Redaction::of([Secret::new(SECRET)]);
        for form in [
            SECRET,
            "Geheim/1+2=3&ü",
            "Geheim%2F1%2B2%3D%0A3%26%C3%BC",
            "R2VoZWltLzErMj0KMybDvA",
            "Geheim/1+2=\\n3&ü",
        ] {
            assert_eq!(redaction.shown(&format!("no {form}.")), "no <redacted>.", "{form}");
        }
    }

    /// Wherever a text is cut, nothing of a secret stays.
    #[test]
    fn a_secret_across_the_cut_is_taken_out_whole() {
        let redaction = Redaction::of([Secret::new("0123456789abcdef")]);
        for before in MAX_SHOWN_CHARS - 20..MAX_SHOWN_CHARS + 2 {
            let shown = redaction.shown(&format!("{}0123456789abcdef and more", "x".repeat(before)));
            assert!(!shown.contains("01"), "{before}: {shown}");
        }
    }

    #[test]
    fn the_longer_of_two_goes_first_and_short_ones_stay() {
        let redaction = Redaction::of(["12345678", "x12345678x", "short"].map(Secret::new));
        redaction.add(&Secret::new("learnt later"));
        let told = redaction.clean("x12345678x 12345678 short learnt later");
        assert_eq!(told, "<redacted> <redacted> short <redacted>");
    }

    #[test]
    fn it_does_not_print_itself() {
        let text = format!("{:?}", Redaction::of([Secret::new("hunter2hunter2")]));
        assert!(!text.contains("hunter"), "{text}");
    }
}
