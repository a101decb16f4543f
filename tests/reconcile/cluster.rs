//! Nodes reduced to what `reconcile` sees: an entry per path, a number, a clock that may be wrong, and a history.
//!
//! The rules around `reconcile` are those of the node: an edit takes the next number of its database, an exchange gives
//! versions to what had none, what did not lose knowingly goes to history. Beside them stands what only a test can know:
//! which content a user replaced who had seen it.

use std::collections::{BTreeMap, BTreeSet};

use owsync::model::settings::FirstSync;
use owsync::model::{Digest, Entry, Kind, RelPath, Stamp, StateId, Version, WallTime};
use owsync::reconcile::{FirstContact, Loser, Source, Verdict, edit_stamp, reconcile};

/// Paths and contents, as users see a share.
pub type Tree = BTreeMap<String, String>;

/// `tree!{ "dhcp" => "a", "firewall" => "b" }`
macro_rules! tree {
    ($($path:literal => $content:literal),* $(,)?) => {{
        let pairs: &[(&str, &str)] = &[$(($path, $content)),*];
        pairs.iter().map(|(path, content)| (path.to_string(), content.to_string())).collect::<$crate::cluster::Tree>()
    }};
}
pub(crate) use tree;

pub const NEWEST: FirstContact = FirstContact { rule: FirstSync::Newest, settled_here: true, settled_there: true };

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

pub fn version(pairs: &[(u64, u64)]) -> Version {
    Version::from_pairs(pairs.iter().map(|&(id, number)| (StateId(id), number)))
}

pub fn file(content: &str, version: Version, rank: u8, ms: i64) -> Entry {
    Entry {
        kind: Kind::File,
        digest: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        mtime: WallTime(ms),
        mode: 0o644,
        ..Entry::tombstone(version, Stamp { rank, ms })
    }
}

/// An entry on one line.
pub fn short(entry: &Entry) -> String {
    let content = entry.content.as_ref().map(|content| format!(" content {:?}", numbers(content))).unwrap_or_default();
    let given_up = entry.given_up.as_ref().map(|it| format!(" given up {:?}", numbers(&it.edits))).unwrap_or_default();
    let (kind, rank, ms) = (entry.kind.word(), entry.stamp.rank, entry.stamp.ms);
    format!(
        "{kind} {:?} {:o} {:?} rank {rank} at {ms}{content}{given_up}",
        entry.digest,
        entry.mode,
        numbers(&entry.version)
    )
}

fn numbers(version: &Version) -> Vec<(u64, u64)> {
    version.pairs().iter().map(|(id, number)| (id.0, *number)).collect()
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub id: StateId,
    pub number: u64,
    /// Its clock is off by so much, in ms.
    pub skew: i64,
    pub rank: u8,
    pub past: bool,
    pub entries: BTreeMap<RelPath, Entry>,
    pub history: BTreeSet<Digest>,
}

/// Everything there is.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    pub now: i64,
    /// Every content a user wrote, with its text.
    pub written: BTreeMap<Digest, String>,
    /// Contents that a user replaced or deleted who had them before their eyes.
    pub seen: BTreeSet<Digest>,
    /// Contents that may come back although they were replaced: a user elsewhere changed their mode and so confirmed
    /// them, or who replaced them had no past and so no say over what others have.
    pub confirmed: BTreeSet<Digest>,
    /// Every entry there ever was, in the order it came to be.
    pub born: Vec<(RelPath, Entry)>,
}

impl Cluster {
    /// Established nodes that are the reference, with clocks that are off by `skews`.
    pub fn with_past(skews: &[i64]) -> Cluster {
        let mut cluster = Cluster::fresh(skews);
        for node in &mut cluster.nodes {
            node.rank = 1;
            node.past = true;
        }
        cluster
    }

    /// Nodes that never met anybody.
    pub fn fresh(skews: &[i64]) -> Cluster {
        let nodes = skews.iter().enumerate().map(|(n, &skew)| Node {
            id: StateId(n as u64 + 1),
            number: 0,
            skew,
            rank: 0,
            past: false,
            entries: BTreeMap::new(),
            history: BTreeSet::new(),
        });
        Cluster {
            nodes: nodes.collect(),
            now: 1_000_000,
            written: BTreeMap::new(),
            seen: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            born: Vec::new(),
        }
    }

    /// The user declares a node the reference.
    pub fn init(&mut self, at: usize) {
        self.nodes[at].rank = 1;
        self.nodes[at].past = true;
        self.give_versions(at, 1);
    }

    /// A user of node `at` writes; the file looks `age` ms old.
    pub fn write_aged(&mut self, at: usize, name: &str, content: &str, age: i64) {
        let digest = Digest::of(content.as_bytes());
        self.written.insert(digest, content.into());
        let mtime = WallTime(self.clock(at).0 - age);
        let entry = Entry { mtime, ..file(content, Version::UNVERSIONED, 0, 0) };
        self.edit(at, name, mtime, entry);
    }

    pub fn write(&mut self, at: usize, name: &str, content: &str) {
        self.write_aged(at, name, content, 0);
    }

    /// A user of node `at` deletes; whether there was anything.
    pub fn remove(&mut self, at: usize, name: &str) -> bool {
        let there = self.nodes[at].entries.get(&path(name)).is_some_and(Entry::is_live);
        if there {
            let now = self.clock(at);
            self.edit(at, name, now, Entry::tombstone(Version::UNVERSIONED, Stamp::default()));
        }
        there
    }

    /// A user of node `at` changes the mode; whether there was anything.
    pub fn chmod(&mut self, at: usize, name: &str, mode: u32) -> bool {
        let Some(old) = self.nodes[at].entries.get(&path(name)).filter(|old| old.is_live() && old.mode != mode) else {
            return false;
        };
        let (written, entry) = (old.mtime, Entry { mode, ..old.clone() });
        self.confirmed.insert(entry.digest);
        self.edit(at, name, written, entry);
        true
    }

    fn clock(&mut self, at: usize) -> WallTime {
        self.now += 10;
        WallTime(self.now + self.nodes[at].skew)
    }

    /// What `look` does with what it found on disk.
    fn edit(&mut self, at: usize, name: &str, written: WallTime, mut entry: Entry) {
        let now = self.clock(at);
        let node = &mut self.nodes[at];
        let old = node.entries.get(&path(name)).cloned();
        let versioned = node.past || old.as_ref().is_some_and(|old| !old.version.is_unversioned());
        if let Some(old) = old.as_ref().filter(|old| old.has_content() && old.digest != entry.digest) {
            self.seen.insert(old.digest);
            if !versioned {
                self.confirmed.insert(old.digest);
            }
        }
        entry.stamp =
            edit_stamp(if versioned { node.rank } else { 0 }, written, now, old.as_ref().map(|old| old.stamp));
        entry.version = Version::UNVERSIONED;
        if versioned {
            node.number = (node.number + 1).max(now.0.max(0) as u64);
            entry = entry.edited(old.as_ref(), node.id, node.number);
        }
        self.put(at, path(name), entry);
    }

    pub fn put(&mut self, at: usize, path: RelPath, entry: Entry) {
        self.born.push((path.clone(), entry.clone()));
        self.nodes[at].entries.insert(path, entry);
    }

    /// Node `to` hears the whole index of `from`; whether anything changed at `to`.
    pub fn hear(&mut self, to: usize, from: usize) -> bool {
        let offered: Vec<(RelPath, Entry)> =
            self.nodes[from].entries.iter().map(|(path, entry)| (path.clone(), entry.clone())).collect();
        let mut changed = false;
        for (path, remote) in offered {
            let local = self.nodes[to].entries.get(&path).cloned();
            let Verdict::Agree { entry, source, loser, .. } = reconcile(local.as_ref(), &remote, NEWEST) else {
                continue;
            };
            if let Some(local) = local.as_ref().filter(|local| source == Source::There && local.has_content()) {
                // What its replacer had seen need not be kept: that is what is put to the test here.
                if matches!(loser, Some(Loser::Unseen(_) | Loser::FirstContact)) {
                    self.nodes[to].history.insert(local.digest);
                }
            }
            if local.as_ref() != Some(&entry) {
                changed = true;
                self.put(to, path, entry);
            }
        }
        changed
    }

    /// A whole exchange: both hear each other to the end, and what had no version gets one.
    pub fn meet(&mut self, a: usize, b: usize) -> bool {
        let mut changed = self.hear(a, b);
        changed |= self.hear(b, a);
        let rank = self.nodes[a].rank.max(self.nodes[b].rank);
        for at in [a, b] {
            changed |= self.give_versions(at, 0);
            self.nodes[at].past = true;
            self.nodes[at].rank = rank;
        }
        changed
    }

    fn give_versions(&mut self, at: usize, rank: u8) -> bool {
        let unversioned: Vec<(RelPath, Entry)> = self.nodes[at]
            .entries
            .iter()
            .filter(|(_, entry)| entry.version.is_unversioned())
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect();
        let any = !unversioned.is_empty();
        for (path, mut entry) in unversioned {
            let now = self.clock(at);
            let node = &mut self.nodes[at];
            if !entry.is_live() {
                node.entries.remove(&path);
                continue;
            }
            node.number = (node.number + 1).max(now.0.max(0) as u64);
            entry.version = Version::from_pairs([(node.id, node.number)]);
            entry.stamp.rank = rank;
            self.put(at, path, entry);
        }
        any
    }

    /// Exchanges in the order of `pairs`, again and again, until a whole round changes nothing.
    ///
    /// Everything a node can say reaches every other in as many rounds as there are nodes, and what comes of it in as
    /// many again; who needs more goes in circles.
    pub fn settle(&mut self, pairs: &[(usize, usize)]) -> Result<(), String> {
        for _ in 0..2 * self.nodes.len() + 1 {
            let mut changed = false;
            for &(a, b) in pairs {
                changed |= self.meet(a, b);
            }
            if !changed {
                return Ok(());
            }
        }
        Err(format!("still changing: {}", self.show()))
    }

    /// What must hold once it is quiet.
    pub fn check(&self) -> Result<(), String> {
        let first = &self.nodes[0];
        for node in &self.nodes {
            if node.entries != first.entries {
                return Err(format!("two nodes differ: {}", self.show()));
            }
        }
        let current: BTreeSet<Digest> = first.entries.values().map(|entry| entry.digest).collect();
        for (digest, text) in &self.written {
            let kept = self.nodes.iter().any(|node| node.history.contains(digest));
            let seen = self.seen.contains(digest);
            if !current.contains(digest) && !seen && !kept {
                return Err(format!("{text:?} is lost: {}", self.show()));
            }
            if current.contains(digest) && seen && !self.confirmed.contains(digest) {
                return Err(format!("{text:?} is back, although a user who saw it replaced it: {}", self.show()));
            }
        }
        Ok(())
    }

    /// Every node on a few lines.
    pub fn show(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            text += &format!("\nnode {} past {} rank {} history {:?}", node.id.0, node.past, node.rank, node.history);
            for (path, entry) in &node.entries {
                text += &format!("\n  {path}: {}", short(entry));
            }
        }
        text
    }

    pub fn tree(&self, at: usize) -> Tree {
        let live = self.nodes[at].entries.iter().filter(|(_, entry)| entry.has_content());
        live.map(|(path, entry)| (path.to_text(), self.written[&entry.digest].clone())).collect()
    }
}
