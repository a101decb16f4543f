//! Withholds what an unconfirmed apply of LuCI touched: it is neither sent nor replaced until it is confirmed.
//!
//! rpcd stores the previous packages in a snapshot before it applies changes, and restores them if the browser does not
//! confirm in time (rpcd:uci.c, rpc_uci_apply, rpc_uci_rollback). A change that was sent meanwhile would lock out every
//! router at once. While a snapshot exists its packages are withheld. Only rpcd knows whether it still counts: asked
//! to confirm for the session "0", which does not exist, it answers "permission denied" while an apply is pending and "no
//! data" when none is. Without ubus the snapshot's age decides.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Monotonic, RelPath, Set, WallTime, limits};

/// Where rpcd keeps a snapshot (rpcd, include/rpcd/uci.h, `RPC_SNAPSHOT_FILES`).
const SNAPSHOT: &str = "/var/run/rpcd/snapshot-files";

/// How often an existing snapshot is checked: confirmed changes must be on the other nodes within a second.
const LOOK: Duration = Duration::from_millis(250);

/// How often rpcd is asked while it exists. rpcd empties it at a confirmation, so this is for an apply that died.
const ASK: Duration = Duration::from_secs(2);

/// Age after which a snapshot is ignored, where rpcd cannot be asked: LuCI waits 90 s by default, and an
/// administrator may have set more (luci.apply.rollback).
const OLD: Duration = Duration::from_secs(300);

/// What is known of a pending apply.
pub struct Applies {
    dir: PathBuf,
    /// The snapshot's directory when it was last read: its change time in ns, and inode.
    seen: Option<(i64, i64, u64)>,
    /// It was read in the same tick of the clock in which it changed, so it may have changed again since and not show it.
    young: bool,
    /// The packages in it.
    packages: Set<RelPath>,
    /// rpcd reported that none is pending; the existing snapshot is a leftover.
    settled: bool,
    /// When to check it again, and when to ask again.
    next: Monotonic,
    next_ask: Monotonic,
}

/// What to do after a check.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// These packages are withheld from now on, and no others.
    Withhold(Set<RelPath>),
    /// Ask rpcd whether an apply is pending, and give the answer to [`Applies::handle_answer`].
    Ask,
}

impl Applies {
    /// Nothing is known yet; `root` is above /var/run in a test.
    pub fn new(root: Option<PathBuf>) -> Applies {
        let dir = root.map_or_else(|| PathBuf::from(SNAPSHOT), |root| root.join(SNAPSHOT.trim_start_matches('/')));
        Applies {
            dir,
            seen: None,
            young: false,
            packages: Set::new(),
            settled: false,
            next: Monotonic::NEVER,
            next_ask: Monotonic::NEVER,
        }
    }

    /// When [`Applies::look`] must be called at the latest.
    pub fn poll_timeout(&self) -> Monotonic {
        self.next
    }

    /// Checks whether a snapshot was created or removed: one stat(2) when nothing was. To be called before a node acts.
    pub fn look(&mut self, now: Monotonic, wall: WallTime) -> Vec<Step> {
        let meta = std::fs::symlink_metadata(&self.dir).ok().filter(std::fs::Metadata::is_dir);
        let seen = meta.as_ref().map(|meta| (meta.ctime(), meta.ctime_nsec(), meta.ino()));
        let mut steps = Vec::new();
        // rpcd adds one package after the other, each before it changes it.
        if seen != self.seen || (self.young && !self.settled) {
            let young = i64::try_from(limits::YOUNG.as_millis()).unwrap_or(i64::MAX);
            self.young = seen.is_some_and(|(s, ns, _)| wall.0 < s.saturating_mul(1000) + ns / 1_000_000 + young);
            self.seen = seen;
            self.settled = false;
            let found = self.read();
            if found != self.packages {
                self.packages = found;
                self.next_ask = now;
                steps.push(Step::Withhold(self.packages.clone()));
            }
        }
        self.next = if self.packages.is_empty() { Monotonic::NEVER } else { now.plus(LOOK) };
        if self.packages.is_empty() || self.next_ask > now {
            return steps;
        }
        self.next_ask = now.plus(ASK);
        let age = meta.map_or(0, |meta| wall.0.saturating_sub(meta.ctime().saturating_mul(1000)));
        if age > i64::try_from(OLD.as_millis()).unwrap_or(i64::MAX) {
            steps.extend(self.let_go());
        } else {
            steps.push(Step::Ask);
        }
        steps
    }

    /// rpcd can be asked now, if it could not before.
    pub fn ask_again(&mut self, now: Monotonic) {
        if self.is_pending() {
            self.next_ask = now;
            self.next = now;
        }
    }

    /// rpcd's answer: whether an apply is pending; `None` where it could not be asked, and age decides.
    pub fn handle_answer(&mut self, pending: Option<bool>) -> Option<Step> {
        match pending {
            Some(false) => self.let_go(),
            Some(true) | None => None,
        }
    }

    /// What is withheld.
    pub fn packages(&self) -> &Set<RelPath> {
        &self.packages
    }

    /// Whether anything is withheld.
    pub fn is_pending(&self) -> bool {
        !self.packages.is_empty() && !self.settled
    }

    fn let_go(&mut self) -> Option<Step> {
        self.settled = true;
        self.next = Monotonic::NEVER;
        let withheld = !std::mem::take(&mut self.packages).is_empty();
        withheld.then(|| Step::Withhold(Set::new()))
    }

    fn read(&self) -> Set<RelPath> {
        let Ok(names) = std::fs::read_dir(&self.dir) else { return Set::new() };
        names.flatten().filter_map(|name| RelPath::parse(name.file_name().as_bytes()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_withheld_from_the_snapshot_until_rpcd_says_that_none_is_pending() {
        let root = std::env::temp_dir().join(format!("owsync-applies-{}", std::process::id()));
        let dir = root.join("var/run/rpcd/snapshot-files");
        let mut applies = Applies::new(Some(root.clone()));
        let now = Monotonic(0);
        let wall = || WallTime(i64::try_from(dir_time(&dir)).unwrap() * 1000);
        assert_eq!(applies.look(now, WallTime(0)), []);

        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("network"), "").unwrap();
        let network = Set::from_iter([RelPath::parse(b"network").unwrap()]);
        assert_eq!(applies.look(now, wall()), [Step::Withhold(network), Step::Ask]);
        assert_eq!(applies.handle_answer(Some(true)), None);
        assert_eq!(applies.look(now, wall()), []);
        assert_eq!(applies.look(now.plus(ASK), wall()), [Step::Ask]);

        assert_eq!(applies.handle_answer(Some(false)), Some(Step::Withhold(Set::new())));
        assert!(!applies.is_pending());
        assert_eq!(applies.look(now.plus(ASK * 2), wall()), []);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_package_that_joins_the_snapshot_in_the_same_tick_is_seen() {
        let root = std::env::temp_dir().join(format!("owsync-applies-tick-{}", std::process::id()));
        let dir = root.join("var/run/rpcd/snapshot-files");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("network"), "").unwrap();
        let mut applies = Applies::new(Some(root.clone()));
        let wall = WallTime(i64::try_from(dir_time(&dir)).unwrap() * 1000);
        assert_eq!(applies.look(Monotonic(0), wall).len(), 2);

        std::fs::write(dir.join("firewall"), "").unwrap();
        // Where the clock ticks a hundred times a second, the directory now says what it said before.
        let meta = std::fs::metadata(&dir).unwrap();
        applies.seen = Some((meta.ctime(), meta.ctime_nsec(), meta.ino()));

        let both = Set::from_iter([b"firewall".as_slice(), b"network"].map(|name| RelPath::parse(name).unwrap()));
        assert_eq!(applies.look(Monotonic(0), wall), [Step::Withhold(both), Step::Ask]);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn where_nobody_can_be_asked_an_old_snapshot_withholds_nothing() {
        let root = std::env::temp_dir().join(format!("owsync-applies-old-{}", std::process::id()));
        let dir = root.join("var/run/rpcd/snapshot-files");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("dhcp"), "").unwrap();
        let mut applies = Applies::new(Some(root.clone()));
        let time = i64::try_from(dir_time(&dir)).unwrap() * 1000;

        assert_eq!(applies.look(Monotonic(0), WallTime(time)).len(), 2);
        assert_eq!(applies.handle_answer(None), None);
        let steps = applies.look(Monotonic(0).plus(OLD * 2), WallTime(time).plus(OLD * 2));
        assert_eq!(steps, [Step::Withhold(Set::new())]);
        std::fs::remove_dir_all(&root).unwrap();
    }

    fn dir_time(dir: &std::path::Path) -> u64 {
        u64::try_from(std::fs::metadata(dir).unwrap().ctime()).unwrap()
    }
}
