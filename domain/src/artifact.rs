//! Names of artifacts and objects, and which file is the artifact.

mod choice;
mod name;

pub use choice::{FileEntry, FileKind, Found, NoArtifact, Staging, choose};
pub use name::{ArtifactName, InvalidPattern, NamePattern, ObjectKey, ObjectNames, without_ending};
