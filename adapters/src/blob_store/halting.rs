//! Ending early, when the caller says so.

use domain::ports::Halt;

use super::failure::Failure;

/// Does some work that may be dropped anywhere, unless it is told to stop.
///
/// To be used by the transfer as a whole and not by each of its parts: a halt remembers all that ever
/// waited for it.
pub(super) async fn unless_halted<T>(
    halt: &Halt,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        // Whoever was told already does not begin.
        biased;
        () = halt.fired() => Err(Failure::halted()),
        result = work => result,
    }
}
