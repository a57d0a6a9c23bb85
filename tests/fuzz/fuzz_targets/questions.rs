//! What comes over the socket in the state directory, and who says they are over HTTP.
#![no_main]

use adapters::{
    control::{Answer, Question},
    http,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(question) = serde_json::from_slice::<Question>(data) {
        let text = serde_json::to_vec(&question).expect("a question can be written");
        assert_eq!(serde_json::from_slice::<Question>(&text).ok(), Some(question));
        assert!(!text.contains(&b'\n'), "a question is one line");
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(data) {
        let text = serde_json::to_vec(&answer).expect("an answer can be written");
        assert_eq!(serde_json::from_slice::<Answer>(&text).ok(), Some(answer));
        assert!(!text.contains(&b'\n'), "an answer is one line");
    }
    if let Some((user, password)) = http::fuzzing::credentials(data) {
        assert!(!user.contains(&b':'), "the first colon ends the name");
        assert!(user.len() + password.len() < data.len(), "nothing is made up");
    }
});
