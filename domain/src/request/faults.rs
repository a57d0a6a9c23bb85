//! All that is wrong with a request, at once.

use std::fmt;

/// More than a person reads. A body of a megabyte can hold a hundred thousand.
const MAX_FAULTS: usize = 100;

/// One member that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a path: `destination.bucket`.
    pub path: String,
    /// What, as a fragment that follows the path: `is missing`.
    pub problem: String,
}

/// A collection of faults, in the order in which they were found, one for each member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault, unless the member has one already: the first says what to mend.
    pub fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        let path = path.into();
        if self.0.len() < MAX_FAULTS && !self.has(&path) {
            self.0.push(Fault {
                path,
                problem: problem.into(),
            });
        }
    }

    /// Whether the member has a fault.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|fault| fault.path == path)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { path, problem }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{path} {problem}")?;
        }
        Ok(())
    }
}
