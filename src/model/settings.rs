//! Settings of a node: the checked and complete result of `config`.

mod share;

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::model::{Hook, Key, Release, limits};

pub use share::{Mode, Reload, ShareSettings, Symlinks, UCI_DIR};

/// The name of a share: a label of letters, digits, `_`, `-` and `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareName(Rc<str>);

impl ShareName {
    /// The share that the options outside any share section describe.
    pub const MAIN: &'static str = "main";

    /// Checks a name.
    pub fn parse(text: &str) -> Option<ShareName> {
        is_label(text).then(|| ShareName(text.into()))
    }

    /// The share `main`.
    pub fn main() -> ShareName {
        ShareName(ShareName::MAIN.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a peer on this node: its section, or its configured address, or its own name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerName(pub Rc<str>);

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can name a share or a peer section.
pub fn is_label(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= limits::LABEL_MAX && text.bytes().all(valid) && !text.starts_with(['-', '.'])
}

/// Which way changes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Direction {
    /// Sends and receives.
    #[default]
    Both,
    /// Offers its changes, applies none.
    Send,
    /// Applies changes, offers none of its own; relays what it applied.
    Receive,
    /// Compares and reports; neither sends nor applies.
    Observe,
}

impl Direction {
    /// The word in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Both => "both",
            Direction::Send => "send",
            Direction::Receive => "receive",
            Direction::Observe => "observe",
        }
    }

    /// Reads the word in a configuration.
    pub fn parse(word: &str) -> Option<Direction> {
        [Direction::Both, Direction::Send, Direction::Receive, Direction::Observe]
            .into_iter()
            .find(|d| d.word() == word)
    }

    /// Whether changes made here leave the node.
    pub fn sends(self) -> bool {
        matches!(self, Direction::Both | Direction::Send)
    }

    /// Whether changes made elsewhere are applied here.
    pub fn takes(self) -> bool {
        matches!(self, Direction::Both | Direction::Receive)
    }

    /// The combination of the directions of a share and of a peer.
    pub fn and(self, other: Direction) -> Direction {
        match (self.sends() && other.sends(), self.takes() && other.takes()) {
            (true, true) => Direction::Both,
            (true, false) => Direction::Send,
            (false, true) => Direction::Receive,
            (false, false) => Direction::Observe,
        }
    }
}

/// Which nodes that have the key are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Peers that are pinned, joined, accepted by the user, or first connected at a configured address.
    Known,
    /// Every node that has the key.
    Key,
}

impl Accept {
    /// The word in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            Accept::Known => "known",
            Accept::Key => "key",
        }
    }
}

/// How a first contact is decided where neither side has a claim and files differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSync {
    /// The differing paths wait for the user.
    Ask,
    /// The newer file wins, the other is kept in the history.
    Newest,
}

impl FirstSync {
    /// The word in a configuration.
    pub fn word(self) -> &'static str {
        match self {
            FirstSync::Ask => "ask",
            FirstSync::Newest => "newest",
        }
    }
}

/// How long changes on disk settle before they are offered to peers.
///
/// Editors and `uci commit` write a file in several steps; offering the first would send a torn file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settle {
    /// Quiet time after the last change.
    pub quiet: Duration,
    /// Longest time after the first change, however busy the share is; never below `quiet`.
    pub most: Duration,
}

impl Default for Settle {
    fn default() -> Settle {
        Settle { quiet: Duration::from_millis(200), most: limits::SETTLE_MAX }
    }
}

/// A host to dial: name or address, port, and the address to dial from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port; the node's own where none was given.
    pub port: u16,
    /// Local address to connect from.
    pub source: Option<std::net::IpAddr>,
}

impl Address {
    /// The address, where the host is one; without the zone of a link-local one (`fe80::1%eth0`).
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        zoned(&self.host).map(|(ip, _)| ip)
    }
}

/// An address and its zone: `fe80::1%eth0` is an address on the link of one interface (RFC 4007, section 11).
pub fn zoned(host: &str) -> Option<(std::net::IpAddr, Option<&str>)> {
    match host.split_once('%') {
        None => host.parse().ok().map(|ip| (ip, None)),
        Some((ip, zone)) if !zone.is_empty() => {
            ip.parse::<std::net::Ipv6Addr>().ok().map(|ip| (std::net::IpAddr::V6(ip), Some(zone)))
        }
        Some(_) => None,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A peer that was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSettings {
    /// Section name, or the address as it was written.
    pub name: PeerName,
    /// `false`: it is neither dialled nor accepted.
    pub enabled: bool,
    /// Where to dial it; a peer without an address is not dialled.
    pub address: Option<Address>,
    /// The public key that it must prove.
    pub public_key: Option<[u8; 32]>,
    /// The nodes that it introduces are accepted here; only with a `public_key`.
    pub introducer: bool,
    /// The shares it may take part in; `None`: all.
    pub shares: Option<Vec<ShareName>>,
    /// Which way changes go between it and this node.
    pub direction: Direction,
}

impl PeerSettings {
    /// Whether the peer may take part in a share.
    pub fn allows(&self, share: &ShareName) -> bool {
        self.shares.as_ref().is_none_or(|shares| shares.contains(share))
    }
}

/// Bounds of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Bytes of all contents together.
    pub size: u64,
    /// Days; 0: unlimited.
    pub days: u32,
    /// Versions of one path.
    pub versions: u32,
}

impl Default for HistoryBounds {
    fn default() -> HistoryBounds {
        HistoryBounds { size: 1024 * 1024, days: 30, versions: 10 }
    }
}

/// All settings of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of this node.
    pub name: String,
    /// The cluster's key; `None` in plain mode.
    pub key: Option<Key>,
    /// A second key that is accepted while keys are being changed.
    pub previous_key: Option<Key>,
    /// Nothing is encrypted or authenticated; only for links that are already private.
    pub plain_mode: bool,
    /// `listen --plain` without peers: connections from any address are accepted.
    pub plain_from_anywhere: bool,
    /// Which nodes are accepted.
    pub accept: Accept,
    /// How a first contact is decided.
    pub first_sync: FirstSync,
    /// Interval of the full rescan.
    pub poll_interval: Duration,
    /// Quiet time after which a change is offered.
    pub settle: Settle,
    /// Largest difference between two clocks; zero: any.
    pub max_clock_skew: Duration,
    /// Sessions that may be open at a time.
    pub max_sessions: usize,
    /// Bounds of the history.
    pub history: HistoryBounds,
    /// The release of this system; `None` off OpenWrt, unless it is configured.
    pub release: Option<Release>,
    /// The hook for the events of all shares.
    pub hook: Hook,
    /// Where other nodes can dial this one, best first: what a reference passes on to the nodes that it introduces.
    pub reachable: Vec<SocketAddr>,
    /// The peers.
    pub peers: Vec<PeerSettings>,
    /// The shares.
    pub shares: Vec<ShareSettings>,
}

impl Settings {
    /// Settings with a config file's defaults, without peers and shares.
    pub fn new(name: &str) -> Settings {
        Settings {
            name: name.into(),
            key: None,
            previous_key: None,
            plain_mode: false,
            plain_from_anywhere: false,
            accept: Accept::Key,
            first_sync: FirstSync::Newest,
            poll_interval: Duration::from_secs(60),
            settle: Settle::default(),
            max_clock_skew: Duration::from_secs(60),
            max_sessions: limits::SESSIONS_MAX,
            history: HistoryBounds::default(),
            release: None,
            hook: Hook::default(),
            reachable: Vec::new(),
            peers: Vec::new(),
            shares: Vec::new(),
        }
    }

    /// The settings of a share.
    pub fn share(&self, name: &ShareName) -> Option<&ShareSettings> {
        self.shares.iter().find(|share| share.name == *name)
    }
}

/// 16 MiB, or half of the MAX_MESSAGE_SIZE that the build was given, as in the predecessor.
pub fn default_max_file_size() -> u64 {
    const GIVEN: Option<&str> = option_env!("OWSYNC_MAX_MESSAGE_SIZE");
    GIVEN.and_then(|text| text.parse::<u64>().ok()).map_or(16 * 1024 * 1024, |message| message / 2)
}
