use std::path::PathBuf;

/// A file below a directory that the operator has named.
///
/// Other users of the machine may work there too. Who opens the file follows no link on the way that
/// the names describe, and opens this very file or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// The directory, as the operator has named it; that may be a link, or lead through some.
    pub directory: PathBuf,
    /// The names that lead from there to the file, its own last.
    pub names: Vec<String>,
    /// Device and inode.
    pub identity: (u64, u64),
}

impl LocalFile {
    /// Its path, for people.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let mut path = self.directory.clone();
        path.extend(&self.names);
        path
    }
}
