//! Names of artifacts and objects, and which file is the artifact.

mod choice;
mod digest;
mod name;

pub use choice::{FileEntry, FileKind, Found, NoArtifact, Staging, choose};
pub use digest::{Expected, InvalidSha256, Sha256};
pub use name::{ArtifactName, InvalidPattern, NamePattern, ObjectKey, ObjectNames, without_ending};
