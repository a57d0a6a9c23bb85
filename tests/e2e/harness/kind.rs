//! The two kinds of jobs, as a client sees them.

/// Backup or restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Backup,
    Restore,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Backup, Self::Restore];

    /// `backup` or `restore`: the name of the route, of the request's last object and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// The route: `/backup` or `/restore`.
    pub(crate) fn route(self) -> &'static str {
        match self {
            Self::Backup => "/backup",
            Self::Restore => "/restore",
        }
    }

    /// The method that starts a job.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Backup => "POST",
            Self::Restore => "PUT",
        }
    }

    /// The other kind.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Backup => Self::Restore,
            Self::Restore => Self::Backup,
        }
    }

    /// All phases, in the order in which they run.
    pub(crate) fn phases(self) -> &'static [&'static str] {
        match self {
            Self::Backup => &[
                "pre-backup-lock",
                "pre-backup-check",
                "backup",
                "backup-cleanup",
                "post-backup-unlock",
            ],
            Self::Restore => &["pre-restore-lock", "restore", "restore-cleanup", "post-restore-unlock"],
        }
    }

    pub(crate) fn lock(self) -> &'static str {
        self.phases()[0]
    }

    pub(crate) fn cleanup(self) -> &'static str {
        self.phases()[self.phases().len() - 2]
    }

    pub(crate) fn unlock(self) -> &'static str {
        self.phases()[self.phases().len() - 1]
    }
}
