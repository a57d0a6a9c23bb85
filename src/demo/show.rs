//! What a person sees: short lines, ticks, and colour where it is wanted.

use std::{
    env,
    fmt::Display,
    io::{IsTerminal, Write, stderr, stdout},
    time::Duration,
};

/// Wide enough for the longest name of a phase.
const NAME_WIDTH: usize = 20;

/// What came of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It went well.
    Good,
    /// It failed.
    Bad,
    /// Neither can be said.
    Unknown,
}

/// Prints to standard output. A reader that has gone, as with `| head`, is no reason to stop half-way.
#[derive(Debug)]
pub(crate) struct Show {
    colour: bool,
    /// Whether a line can be written over.
    live: bool,
}

impl Show {
    /// As standard output can bear.
    pub(crate) fn for_stdout() -> Self {
        let live = stdout().is_terminal() && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: live && !no_colour,
            live,
        }
    }

    /// A part of the story begins.
    pub(crate) fn heading(&self, text: &str) {
        self.blank();
        self.line(&self.paint("1", text));
    }

    /// Something to know: a name and a value.
    pub(crate) fn fact(&self, name: &str, value: impl Display) {
        self.line(&format!("  {}  {value}", self.paint("2", &format!("{name:<12}"))));
    }

    /// Something for the reader's own shell.
    pub(crate) fn command(&self, text: &str) {
        self.blank();
        for line in text.lines() {
            self.line(&format!("    {}", self.paint("36", line)));
        }
        self.blank();
    }

    /// Something has happened.
    pub(crate) fn event(&self, mark: Mark, text: &str) {
        self.line(&format!("  {} {text}", self.mark(mark)));
    }

    /// A step is over, so long after the beginning.
    pub(crate) fn step(&self, mark: Mark, name: &str, elapsed: Duration, note: &str) {
        let elapsed = self.paint("2", &format!("{:>8}", duration(elapsed)));
        let line = format!("  {} {name:<NAME_WIDTH$} {elapsed}   {note}", self.mark(mark));
        self.line(line.trim_end());
    }

    /// What is being done just now; the next line takes its place. Nothing where lines stay.
    pub(crate) fn doing(&self, name: &str, elapsed: Duration) {
        if self.live {
            let line = format!("  … {name:<NAME_WIDTH$} {:>8}", duration(elapsed));
            let mut out = stdout().lock();
            let _ = write!(out, "\r\x1b[K{}", self.paint("2", &line)).and_then(|()| out.flush());
        }
    }

    /// The last word.
    pub(crate) fn verdict(&self, mark: Mark, text: &str) {
        self.blank();
        self.line(&format!("{} {}", self.mark(mark), self.paint("1", text)));
    }

    /// Lines that belong to the one before.
    pub(crate) fn details(&self, lines: &[String]) {
        for line in lines {
            self.line(&format!("    {line}"));
        }
    }

    /// Room.
    pub(crate) fn blank(&self) {
        self.line("");
    }

    fn line(&self, text: &str) {
        let clear = if self.live { "\r\x1b[K" } else { "" };
        let _ = writeln!(stdout().lock(), "{clear}{text}");
    }

    fn mark(&self, mark: Mark) -> String {
        match mark {
            Mark::Good => self.paint("32", "✓"),
            Mark::Bad => self.paint("31", "✗"),
            Mark::Unknown => self.paint("2", "·"),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Tells a person why there is nothing to show.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(stderr(), "error: {text}");
}

/// As a person reads it: `0.05 s`, `12.3 s`, `2 min 05 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_secs() {
        0..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        whole => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

/// As a person reads it: `17 bytes`, `8.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // In tenths of a unit, rounded: 1023.97 KiB is a MiB.
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    loop {
        let rounded = (tenths + 512) / 1024;
        if rounded < 10_240 || unit + 1 == UNITS.len() {
            return format!("{}.{} {}", rounded / 10, rounded % 10, UNITS[unit]);
        }
        tenths /= 1024;
        unit += 1;
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_long_as_they_need_to_be() {
        for (millis, expected) in [
            (0, "0.00 s"),
            (47, "0.05 s"),
            (9_540, "9.54 s"),
            (12_340, "12.3 s"),
            (60_000, "1 min 00 s"),
            (125_900, "2 min 05 s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }

    #[test]
    fn sizes_take_the_unit_that_fits() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (8 * 1024 * 1024 + 300 * 1024, "8.3 MiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        for (colour, expected) in [(false, "✓"), (true, "\x1b[32m✓\x1b[0m")] {
            assert_eq!(Show { colour, live: false }.mark(Mark::Good), expected);
        }
    }
}
