//! Hides the values of secret parameters in what a script wrote. The agent's own runner hides passwords and keys, but no
//! parameters: so they are looked for behind it, to tell an author whose value was printed, and go no further.

use std::cmp::Reverse;

use domain::secret::Secret;

/// Shorter values are found everywhere.
const SHORTEST_CHARS: usize = 8;
/// What stands in the place of a value, as in what the runner hides.
pub(super) const PLACEHOLDER: &str = "<redacted>";
/// The end of the line that stands for what was left out of a long output, and its beginning.
pub(super) const LEFT_OUT: &str = " bytes left out ...]";
const LEFT_OUT_BEGINS: &str = "[... ";

/// The text without the values of `parameters`, and the names of those that it had.
///
/// `hidden` is what the runner has hidden already: it may have been a part of a value.
pub(super) fn hide<'a>(text: &str, parameters: &'a [(String, Secret)], hidden: &[Secret]) -> (String, Vec<&'a str>) {
    let long = parameters
        .iter()
        .filter(|(_, value)| value.expose().chars().count() >= SHORTEST_CHARS);
    let mut forms: Vec<(&str, String)> = long
        .flat_map(|(name, value)| forms_of(value.expose(), hidden).map(|form| (name.as_str(), form)))
        .collect();
    // Of values that are parts of each other nothing is left.
    forms.sort_by_key(|(_, form)| Reverse(form.len()));
    let (mut shown, mut printed) = (text.to_owned(), Vec::new());
    for (name, form) in &forms {
        if shown.contains(form) {
            shown = shown.replace(form, PLACEHOLDER);
            printed.push(*name);
        }
    }
    (without_halves(shown, &forms), printed)
}

/// A value as it is, and as the runner leaves it.
fn forms_of(value: &str, hidden: &[Secret]) -> impl Iterator<Item = String> {
    let left = hidden.iter().fold(value.to_owned(), |left, secret| {
        left.replace(secret.expose(), PLACEHOLDER)
    });
    let left = (left != value && left != PLACEHOLDER).then_some(left);
    [value.to_owned()].into_iter().chain(left)
}

/// A long output is cut in two, and a value may lie where it is cut.
fn without_halves(text: String, forms: &[(&str, String)]) -> String {
    let Some(end) = text.find(LEFT_OUT) else { return text };
    let (before, after) = text.split_at(end);
    let Some(start) = before.rfind(LEFT_OUT_BEGINS) else {
        return text;
    };
    let (head, number) = before.split_at(start);
    let (mark, tail) = after.split_at(LEFT_OUT.len());
    let (head, tail) = (head.trim_end_matches('\n'), tail.strip_prefix('\n').unwrap_or(tail));
    let halves = || {
        let all = forms.iter().map(|(_, form)| form);
        all.flat_map(|form| form.char_indices().map(|(at, _)| form.split_at(at)))
    };
    let firsts = halves().map(|(first, _)| first).filter(|first| !first.is_empty());
    let seconds = halves().map(|(_, second)| second);
    // The longest, as short ones fit by chance.
    let in_head = firsts.filter(|first| head.ends_with(first)).map(str::len).max();
    let in_tail = seconds.filter(|second| tail.starts_with(second)).map(str::len).max();
    let head = in_head.map_or(head.to_owned(), |length| {
        format!("{}{PLACEHOLDER}", &head[..head.len() - length])
    });
    let tail = in_tail.map_or(tail.to_owned(), |length| format!("{PLACEHOLDER}{}", &tail[length..]));
    format!("{head}\n{number}{mark}\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_parameters_are_hidden_and_their_names_told() {
        let cut = |head: &str, tail: &str| format!("{head}\n[... 70000 bytes left out ...]\n{tail}");
        for (text, shown, printed) in [
            ("nothing of it", "nothing of it", &[][..]),
            ("a token-1234 b token-1234", "a <redacted> b <redacted>", &["TOKEN"]),
            ("short: abc", "short: abc", &[]),
            ("token-1234-and-more", "<redacted>", &["LONGER"]),
            ("ü line one\nline two", "ü <redacted>", &["LINES"]),
            ("to db://me:<redacted>@host", "to <redacted>", &["URL"]),
            ("to db://me:password@host", "to <redacted>", &["URL"]),
            ("only <redacted>", "only <redacted>", &[]),
            (&cut("x token-", "34 y"), &cut("x <redacted>", "<redacted> y"), &[]),
            (&cut("x line one", "e two"), &cut("x <redacted>", "<redacted>"), &[]),
            (&cut("whole", "token-1234"), &cut("whole", "<redacted>"), &["TOKEN"]),
        ] {
            let parameters = [
                ("TOKEN", "token-1234"),
                ("SHORT", "abc"),
                ("LONGER", "token-1234-and-more"),
                ("LINES", "line one\nline two"),
                ("URL", "db://me:password@host"),
                ("SAME", "password"),
            ]
            .map(|(name, value)| (name.to_owned(), Secret::new(value)));
            let found = hide(text, &parameters, &[Secret::new("password")]);
            assert_eq!(found, (shown.to_owned(), printed.to_vec()), "{text:?}");
        }
    }
}
