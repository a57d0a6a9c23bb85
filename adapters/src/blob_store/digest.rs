//! SHA-256 of what is moved, on the way.

use std::sync::{Arc, Mutex, PoisonError};

use domain::artifact::Sha256;
use ring::digest::{Context, SHA256};

/// The digest of bytes that come one after another. Cheap to clone; all clones are the same digest.
#[derive(Clone)]
pub(super) struct Digest(Arc<Mutex<Context>>);

impl Default for Digest {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Context::new(&SHA256))))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    /// Adds the next bytes.
    pub(super) fn update(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
    }

    /// The digest of all bytes so far.
    pub(super) fn value(&self) -> Sha256 {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Sha256::from(bytes)
    }
}
