//! Where jobs are kept: in files that outlive the agent, or in memory; and the log of their changes.
//!
//! ```text
//!   state_directory/
//!     lock                   held by the one agent that uses the directory
//!     key                    under which requests are encrypted, unless it lies elsewhere
//!     open/backup.<id>       a job that is not done with: its request, then a line for each event
//!     finished/backup.<id>   the same of a job that is, without secrets
//!     damaged/               what could not be read
//! ```
//!
//! One file for each job, so that damage to one harms no other, writing for one is one sync, and a
//! person can look at night. What is open is held in memory, and of the rest what clients
//! asked for last.

mod cache;
mod file;
mod finished;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod home;
mod listing;
mod logged;
mod memory;
mod open;
mod problems;
mod record;
mod seal;
mod stored;
mod writing;

pub use file::{FileJobStore, FileJobStoreSettings};
pub use home::check_state_directory;
pub use logged::LoggedJobStore;
pub use memory::MemoryJobStore;

#[cfg(test)]
mod tests;
