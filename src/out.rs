//! What a person or a log gets to read: lines, and on a terminal one more that is written over.

use std::{
    env,
    io::{IsTerminal, Write, stderr, stdout},
};

/// Where the text goes: to standard output, or past it where that is kept for JSON.
///
/// A reader that has gone, as with `| head`, is no reason to stop half-way.
#[derive(Debug)]
pub(crate) struct Out {
    has_json: bool,
    /// Whether a line can be written over.
    is_live: bool,
}

impl Out {
    /// With JSON or without.
    pub(crate) fn new(has_json: bool) -> Self {
        let is_terminal = if has_json {
            stderr().is_terminal()
        } else {
            stdout().is_terminal()
        };
        let is_live = is_terminal && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        Self { has_json, is_live }
    }

    /// Whether [`Self::doing`] shows anything.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// A line that stays.
    pub(crate) fn line(&self, text: &str) {
        let clear = if self.is_live { CLEAR } else { "" };
        self.write(&format!("{clear}{}\n", printable(text)));
    }

    /// What is being done just now; the next line takes its place. Nothing where lines stay.
    pub(crate) fn doing(&self, text: &str) {
        if self.is_live {
            // Without wrapping: a line that is broken in two cannot be written over.
            self.write(&format!("{CLEAR}\x1b[?7l{}\x1b[?7h", printable(text)));
        }
    }

    /// Takes away what was being done.
    pub(crate) fn clear(&self) {
        if self.is_live {
            self.write(CLEAR);
        }
    }

    /// What programs read, if it is wanted: as it is, on standard output.
    pub(crate) fn json(&self, text: &str) {
        if self.has_json {
            let _ = writeln!(stdout().lock(), "{}", text.trim_end());
        }
    }

    fn write(&self, text: &str) {
        let _ = if self.has_json {
            stderr().lock().write_all(text.as_bytes())
        } else {
            let mut out = stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
    }
}

const CLEAR: &str = "\r\x1b[K";

/// Says what is wrong.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(stderr().lock(), "{}", printable(text));
}

/// Scripts and stores have their say in what is shown: they shall not steer the terminal.
fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => character,
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        assert_eq!(
            printable("a\tb\nc ü\x1b[2Jd\r\u{9b}e"),
            "a\tb\nc ü\u{fffd}[2Jd\u{fffd}\u{fffd}e"
        );
    }
}
