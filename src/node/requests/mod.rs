//! What users and scripts ask of a node, beyond what a single share answers.
//!
//! `sync` runs until everything is exchanged, `pause` stops it, `versions` shows, compares and restores what the history
//! holds, `merge` merges one of them, `confirmations` ends what awaits confirmation, `preview` and `outcome` say what a request
//! would do, `options` compares UCI packages by option, `local` lists and shares what belongs to this node, and `ask` and
//! `compare` find out what peers have.

pub(crate) mod ask;
pub(crate) mod commit;
pub(crate) mod compare;
pub(crate) mod confirmations;
pub(crate) mod diff;
pub(crate) mod local;
pub(crate) mod merge;
pub(crate) mod options;
pub(crate) mod outcome;
pub(crate) mod pause;
pub(crate) mod preview;
pub(crate) mod sync;
pub(crate) mod versions;
