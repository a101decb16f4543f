//! `rollback`: rolls back unconfirmed changes, by the running daemon or, as at boot, without one.

use crate::cli::args::Invocation;
use crate::cli::ask::{self, Absent};
use crate::cli::{Done, Failure, asking, offline, setup};
use crate::ops::Op;

/// Rolls back what is unconfirmed.
///
/// # Errors
/// Nothing is, or it cannot be done now.
pub fn rollback(invocation: &Invocation, op: &'static Op) -> Result<Done, Failure> {
    let database = setup::database(invocation)?;
    match ask::find(&database) {
        Err(Absent::NotRunning) if database.exists() => {}
        Err(Absent::NotRunning) => return Ok(Done::text("nothing is awaiting confirmation\n")),
        _ => return asking::asking(invocation, op),
    }
    let loaded = setup::load(invocation);
    let config = loaded.result.map_err(Failure::Usage)?;
    match offline::take_back(&config) {
        Ok(0) => Ok(Done::text("nothing is awaiting confirmation\n")),
        Ok(_) => Ok(Done::text("rolled back: the previous contents are in place\n")),
        Err(refusal) => asking::refused(refusal, false),
    }
}
