//! Values that every other layer uses: paths, digests, times, versions, entries, reasons, settings, limits.
//!
//! Nothing here acts or reads a clock, a disk or a socket, and nothing here is a wire or disk form: `proto::message` and
//! `store::state` convert explicitly. Read [`path`], [`entry`] and [`version`] first; the rest follows from them.

pub mod commit;
pub mod digest;
pub mod entry;
pub mod escape;
pub mod glob;
pub mod index;
pub mod limits;
pub mod map;
pub mod path;
pub mod programs;
pub mod reason;
pub mod release;
pub mod reserved;
pub mod rng;
pub mod secret;
pub mod settings;
pub mod time;
pub mod version;

pub use digest::{Digest, Hasher};
pub use entry::{Entry, GivenUp, Kind, LostBy, Owner};
pub use index::{DiskStat, Index, Record, Sleep};
pub use map::{Map, Set};
pub use path::{PathError, RelPath};
pub use programs::Hook;
pub use reason::Reason;
pub use release::Release;
pub use rng::Rng;
pub use secret::Key;
pub use settings::{Direction, PeerName, Settings, ShareName};
pub use time::{Monotonic, Now, WallTime};
pub use version::{Life, NodeId, Stamp, StateId, Version};
