//! What uploads tell of what a store keeps.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use domain::ports::{Tally, UploadJournal};

type Answer = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Remembers it, and may have a look around, or refuse.
pub(super) struct Journal {
    names: Mutex<Vec<String>>,
    answer: Box<Answer>,
    tally: Tally,
}

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Self::that(|_| Ok(()))
    }

    pub(super) fn that(answer: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            names: Mutex::default(),
            answer: Box::new(answer),
            tally: Tally::default(),
        })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

#[async_trait]
impl UploadJournal for Journal {
    async fn opened(&self, upload_id: &str) -> Result<(), String> {
        self.names.lock().unwrap().push(upload_id.to_owned());
        (self.answer)(upload_id)
    }

    fn tally(&self) -> Tally {
        self.tally.clone()
    }
}
