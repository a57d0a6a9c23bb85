//! What the system tells of processes, what an earlier agent wrote down of them, and what they write.
#![no_main]

use adapters::process::fuzzing::{process, redacted, traces};
use domain::secret::Secret;
use libfuzzer_sys::fuzz_target;
use osb_backup_agent_fuzz::choice;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = choice(data) else { return };
    match choice % 3 {
        0 => stat(&String::from_utf8_lossy(rest)),
        1 => record(&String::from_utf8_lossy(rest)),
        _ => output(rest),
    }
});

fn stat(line: &str) {
    if let Some((name, _)) = process(4711, line) {
        assert!(line.contains(&format!("({name}) ")), "{line:?}");
    }
}

fn record(text: &str) {
    let found = traces(text, "boot");
    // 0 and less are groups of processes, and 1 is the whole machine.
    assert!(found.processes.iter().all(|pid| *pid > 1), "{text:?}: {found:?}");
    let marker_is_one_value = |marker: &String| !marker.is_empty() && !marker.contains(['\0', '\n']);
    assert!(found.marker.iter().all(marker_is_one_value), "{text:?}: {found:?}");
    if text.starts_with("boot=boot\n") {
        assert!(!found.is_of_another_boot, "{text:?}");
    }
    // What is cut off tells no other number than the whole, only fewer.
    let cut = text.rfind('\n').map_or("", |end| &text[..end]);
    let of_cut = traces(cut, "boot");
    assert!(
        of_cut.processes.iter().all(|pid| found.processes.contains(pid)),
        "{text:?}"
    );
}

/// The first line holds secrets with blanks between them, the rest is the output.
fn output(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (secrets, text) = data.split_at(end);
    let secrets = String::from_utf8_lossy(secrets);
    let secrets: Vec<Secret> = secrets.split(' ').map(Secret::new).collect();
    let pieces = |size: usize| redacted(&secrets, text.chunks(size)).expect("so few can be looked for");
    let whole = pieces(text.len().max(1));
    for size in [1, 2, 7] {
        assert_eq!(pieces(size), whole, "{secrets:?} in pieces of {size}");
    }
    // One that has a part of the placeholder in it can come about by what is put in its place.
    let is_plain = |secret: &str| !secret.contains(['<', '>']) && !"redacted".contains(secret);
    for secret in secrets.iter().map(Secret::expose) {
        if secret.chars().count() >= 8 && is_plain(secret) {
            let is_there = whole.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{secret:?} is in {:?}", String::from_utf8_lossy(&whole));
        }
    }
}
