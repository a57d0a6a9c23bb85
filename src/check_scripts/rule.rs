//! What the README asks of scripts ("Writing scripts"), and what a rehearsal found of it.

/// A rule that scripts keep or break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Complete,
    Succeeds,
    Ends,
    Artifact,
    WholeAtTheEnd,
    Cleanup,
    CleanupAlone,
    UnlockTwice,
    UnlockWithoutLock,
    UnlockAfterHalfALock,
    UnlockReleases,
    OwnLock,
    LockExcludes,
    KilledBackup,
    DamagedFile,
    Output,
    Secrets,
    Environment,
    Processes,
}

impl Rule {
    /// In the order of a report.
    pub(super) const ALL: [Self; 19] = [
        Self::Complete,
        Self::Succeeds,
        Self::Ends,
        Self::Artifact,
        Self::WholeAtTheEnd,
        Self::Cleanup,
        Self::CleanupAlone,
        Self::UnlockTwice,
        Self::UnlockWithoutLock,
        Self::UnlockAfterHalfALock,
        Self::UnlockReleases,
        Self::OwnLock,
        Self::LockExcludes,
        Self::KilledBackup,
        Self::DamagedFile,
        Self::Output,
        Self::Secrets,
        Self::Environment,
        Self::Processes,
    ];

    /// For machines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Succeeds => "succeeds",
            Self::Ends => "ends",
            Self::Artifact => "artifact",
            Self::WholeAtTheEnd => "whole-at-the-end",
            Self::Cleanup => "cleanup",
            Self::CleanupAlone => "cleanup-alone",
            Self::UnlockTwice => "unlock-twice",
            Self::UnlockWithoutLock => "unlock-without-lock",
            Self::UnlockAfterHalfALock => "unlock-after-half-a-lock",
            Self::UnlockReleases => "unlock-releases",
            Self::OwnLock => "own-lock",
            Self::LockExcludes => "lock-excludes",
            Self::KilledBackup => "killed-backup",
            Self::DamagedFile => "damaged-file",
            Self::Output => "output",
            Self::Secrets => "secrets",
            Self::Environment => "environment",
            Self::Processes => "processes",
        }
    }

    /// For people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Complete => "there is a script for each phase, named after it",
            Self::Succeeds => "exit 0 means success, anything else failure; each script alone succeeds if all is well",
            Self::Ends => "a phase ends when its script exits, and scripts do exit",
            Self::Artifact => "the backup script leaves one file that is not empty, best $BACKUP_AGENT_FILE",
            Self::WholeAtTheEnd => "the backup script ends only when the file is whole",
            Self::Cleanup => "artifacts are the scripts' to remove, in backup-cleanup",
            Self::CleanupAlone => "a cleanup script succeeds if there is nothing to remove",
            Self::UnlockTwice => "an unlock script bears to be called twice",
            Self::UnlockWithoutLock => "an unlock script succeeds if there is nothing to release",
            Self::UnlockAfterHalfALock => "an unlock script bears to come after a lock that failed half way",
            Self::UnlockReleases => "after the unlock script the lock can be taken again",
            Self::OwnLock => "an unlock script releases the lock of its own job, and no other",
            Self::LockExcludes => "a lock script that finds the lock taken by another takes nothing, and exits 75",
            Self::KilledBackup => "after a backup that was killed, cleanup and unlock leave nothing behind",
            Self::DamagedFile => "a restore script fails if its file is damaged",
            Self::Output => "of each output stream the first and last 64 KiB are kept",
            Self::Secrets => "scripts print no passwords, keys or parameters",
            Self::Environment => "scripts need nothing of a login session; the agent has none",
            Self::Processes => "what a lock script leaves in the background, the unlock script ends",
        }
    }
}

/// What was found; the later the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    NotChecked,
    Kept,
    /// Not against a rule, but worth a look.
    Hint,
    Broken,
}

impl Verdict {
    /// For machines and people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotChecked => "not checked",
            Self::Kept => "kept",
            Self::Hint => "hint",
            Self::Broken => "broken",
        }
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Book(Vec<(Rule, Verdict, String)>);

impl Book {
    /// The scripts did as they should.
    pub(super) fn kept(&mut self, rule: Rule) {
        self.enter(rule, Verdict::Kept, String::new());
    }

    /// They did not.
    pub(super) fn broken(&mut self, rule: Rule, how: String) {
        self.enter(rule, Verdict::Broken, how);
    }

    /// They may, but somebody should know.
    pub(super) fn hint(&mut self, rule: Rule, what: String) {
        self.enter(rule, Verdict::Hint, what);
    }

    /// It could not be seen, for this reason.
    pub(super) fn not_checked(&mut self, rule: Rule, why: &str) {
        self.enter(rule, Verdict::NotChecked, why.to_owned());
    }

    fn enter(&mut self, rule: Rule, verdict: Verdict, said: String) {
        let entry = (rule, verdict, said);
        if !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    /// The worst of what was found of a rule, and what is to be said about it.
    pub(super) fn of(&self, rule: Rule) -> (Verdict, Vec<&str>) {
        let entries: Vec<_> = self.0.iter().filter(|(of, _, _)| *of == rule).collect();
        let worst = entries.iter().map(|(_, verdict, _)| *verdict).max();
        let said = entries.iter().map(|(_, _, said)| said.as_str());
        (
            worst.unwrap_or(Verdict::NotChecked),
            said.filter(|said| !said.is_empty()).collect(),
        )
    }

    /// Whether a rule is broken.
    pub(super) fn has_broken(&self) -> bool {
        self.0.iter().any(|(_, verdict, _)| *verdict == Verdict::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_was_found_counts_and_all_reasons_are_told() {
        let mut book = Book::default();
        assert_eq!(book.of(Rule::Ends), (Verdict::NotChecked, vec![]));
        book.not_checked(Rule::Ends, "one");
        book.kept(Rule::Ends);
        assert_eq!(book.of(Rule::Ends), (Verdict::Kept, vec!["one"]));
        book.hint(Rule::Ends, "two".to_owned());
        book.hint(Rule::Ends, "two".to_owned());
        assert!(!book.has_broken());
        book.broken(Rule::Ends, "three".to_owned());
        book.kept(Rule::Ends);
        assert_eq!(book.of(Rule::Ends), (Verdict::Broken, vec!["one", "two", "three"]));
        assert!(book.has_broken());
        assert_eq!(book.of(Rule::Output).0, Verdict::NotChecked);
    }

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        for (index, rule) in Rule::ALL.iter().enumerate() {
            let others = &Rule::ALL[index + 1..];
            assert!(others.iter().all(|other| other.name() != rule.name()), "{rule:?}");
        }
    }
}
