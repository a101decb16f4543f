//! `rollback`: what waits to be confirmed goes back, by the running daemon or, as at boot, without one.

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Absent};
use crate::cli::{Done, Failure, asking, offline, setup};

/// Takes back what is on trial.
///
/// # Errors
/// Nothing is, or it cannot be done now.
pub fn rollback(invocation: &Invocation) -> Result<Done, Failure> {
    let database = setup::database(invocation).map_err(Failure::Usage)?;
    match ask::find(&database) {
        Err(Absent::NotRunning) if database.exists() => {}
        Err(Absent::NotRunning) => return Ok(Done::text("nothing waits to be confirmed\n")),
        _ => return asking::asking(invocation),
    }
    let loaded = setup::load(invocation);
    let config = loaded.result.map_err(Failure::Usage)?;
    match offline::take_back(&config) {
        Ok(0) => Ok(Done::text("nothing waits to be confirmed\n")),
        Ok(_) => Ok(Done::text("taken back: the former contents are in place\n")),
        Err(refusal) => asking::refused(refusal, false),
    }
}
