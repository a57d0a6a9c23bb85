//! The wish that a job ends early.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{job::StopReason, ports::Halt};

/// The wish that a job ends early, between those who have it and the job's course. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct StopRequest(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    asked: Halt,
    hurry: Halt,
}

#[derive(Debug, Default)]
struct State {
    reason: Option<StopReason>,
    /// The reason has been written into the job.
    is_recorded: bool,
    /// The job is at its end: a wish comes too late.
    is_sealed: bool,
}

impl StopRequest {
    /// Asks the job to end. The first reason counts. False if it comes too late.
    pub(super) fn ask(&self, reason: StopReason) -> bool {
        {
            let mut state = self.state();
            if state.is_sealed {
                return false;
            }
            state.reason.get_or_insert(reason);
        }
        self.0.asked.fire();
        true
    }

    /// Fires when the job is to end.
    pub(super) fn asked(&self) -> Halt {
        self.0.asked.clone()
    }

    /// Fires when what is still owed has little time, as the agent is about to end.
    pub(super) fn hurry(&self) -> Halt {
        self.0.hurry.clone()
    }

    /// Why the job is to end, if it is and that was not yet written into it; from then on it counts
    /// as written.
    pub(super) fn take(&self) -> Option<StopReason> {
        let mut state = self.state();
        let reason = state.reason.filter(|_| !state.is_recorded);
        state.is_recorded |= reason.is_some();
        reason
    }

    /// Why the job is to end; a cancel if nobody has asked.
    pub(super) fn reason(&self) -> StopReason {
        self.state().reason.unwrap_or(StopReason::Cancelled)
    }

    /// From now on a wish comes too late, unless one is there that was not written into the job.
    pub(super) fn seal(&self) -> Option<StopReason> {
        let mut state = self.state();
        let reason = state.reason.filter(|_| !state.is_recorded);
        state.is_recorded |= reason.is_some();
        state.is_sealed = true;
        reason
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
