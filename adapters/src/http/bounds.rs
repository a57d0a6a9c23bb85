//! What a body of JSON may hold, looked at before any of it is parsed.

/// How deep objects and lists may lie in each other.
const MAX_DEPTH: usize = 64;
/// The longest number: more digits than any double has.
const MAX_NUMBER_BYTES: usize = 1000;
/// The longest name of a member.
const MAX_NAME_BYTES: usize = 1000;
/// The most members and list entries, at all depths together.
const MAX_VALUES: usize = 10_000;

/// Refuses what no client sends, so that parsing needs little more memory than the body itself.
///
/// # Errors
///
/// With what is too much, in words that repeat nothing of the body. What is no JSON may pass.
pub(super) fn check(body: &[u8]) -> Result<(), String> {
    let mut values = 1;
    let mut depth = 0_usize;
    // Of the last string, and of what stands outside of strings since the last mark.
    let (mut string_bytes, mut plain_bytes) = (0, 0);
    let mut rest = body.iter();
    while let Some(byte) = rest.next() {
        let is_plain = !matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',' | b':') && !byte.is_ascii_whitespace();
        plain_bytes = if is_plain { plain_bytes + 1 } else { 0 };
        match byte {
            b'"' => string_bytes = string_length(&mut rest),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            b':' if string_bytes > MAX_NAME_BYTES => {
                return Err(format!("the body holds a name of more than {MAX_NAME_BYTES} bytes"));
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("the body is nested more than {MAX_DEPTH} deep"));
        }
        if plain_bytes > MAX_NUMBER_BYTES {
            return Err(format!(
                "the body holds a number of more than {MAX_NUMBER_BYTES} digits"
            ));
        }
        if values > MAX_VALUES {
            return Err(format!(
                "the body holds more than {MAX_VALUES} members and list entries"
            ));
        }
    }
    Ok(())
}

/// Goes behind the end of a string, and says how many bytes it has at most once it is read. Clients that
/// escape what is not ASCII write twice as many.
fn string_length(rest: &mut std::slice::Iter<'_, u8>) -> usize {
    let mut length = 0;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => {
                // The four digits of an escape stand for a character that has no more bytes than that.
                let is_by_digits = rest.next() == Some(&b'u');
                length += usize::from(!is_by_digits);
            }
            _ => length += 1,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_passes_up_to_the_bounds() {
        for body in [
            String::new(),
            r#"{"a": "\"[{", "b": [1.5e3, null], "c": {"\\": "x"}}"#.to_owned(),
            format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)),
            format!(r#"{{"a":{}}}"#, "1".repeat(MAX_NUMBER_BYTES)),
            format!(r#"{{"{}":1}}"#, "n".repeat(MAX_NAME_BYTES)),
            // A name is as long as it is read, however it is written.
            format!(r#"{{"{}":1}}"#, "\\u0336".repeat(MAX_NAME_BYTES / 4)),
            // Long text is no long name.
            format!(r#"{{"a":"{}", "b": 1}}"#, "x".repeat(500_000)),
            format!("[{}0]", "0, ".repeat(MAX_VALUES - 1)),
            // Marks in strings are text.
            format!(r#"{{"a":"\"{}","b":[[[]]]}}"#, "[{,:".repeat(50_000)),
            " ".repeat(100_000),
        ] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{}", &body[..body.len().min(60)]);
        }
    }

    #[test]
    fn what_is_beyond_a_bound_is_refused() {
        for (body, problem) in [
            ("[".repeat(MAX_DEPTH + 1), "deep"),
            ("{\"a\":".repeat(100_000), "deep"),
            (format!(r#"{{"a":-{}}}"#, "1".repeat(MAX_NUMBER_BYTES)), "number"),
            (format!(r#"{{"a":0.{}e5}}"#, "1".repeat(1_000_000)), "number"),
            (format!(r#"{{"{}" : 1}}"#, "n".repeat(MAX_NAME_BYTES + 1)), "name"),
            (format!(r#"{{"{}":1}}"#, "\\u0041".repeat(170_000)), "name"),
            (
                format!(r#"{{"{}":1}}"#, "\\u0336".repeat(MAX_NAME_BYTES / 4 + 1)),
                "name",
            ),
            // A quotation mark that is escaped does not end a name.
            (format!(r#"{{"{}":1}}"#, "\\\"".repeat(MAX_NAME_BYTES + 1)), "name"),
            (format!("[{}0]", "0,".repeat(MAX_VALUES)), "members"),
            (format!("{{{}\"\":0}}", "\"\":0,".repeat(MAX_VALUES)), "members"),
        ] {
            let refusal = check(body.as_bytes()).expect_err(problem);
            assert!(refusal.contains(problem), "{refusal}");
        }
    }
}
