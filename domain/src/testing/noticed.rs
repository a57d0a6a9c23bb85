use std::sync::Mutex;

use crate::ports::{Observation, Observer};

/// Keeps all that it is told.
#[derive(Debug, Default)]
pub struct Noticed(Mutex<Vec<Observation>>);

impl Noticed {
    /// What was told so far, in order.
    pub fn all(&self) -> Vec<Observation> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Noticed {
    fn observe(&self, observation: Observation) {
        self.0.lock().unwrap().push(observation);
    }
}
