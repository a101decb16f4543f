//! What may happen in a history, drawn from its seed.

use std::collections::BTreeSet;

use crate::dice::Dice;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Each node is connected to its neighbours only.
    Chain,
    /// Applied changes must be confirmed; some are not.
    Trials,
    /// The programs of all nodes refuse some texts that no user wrote.
    Checks,
    /// Options and sections belong to one router, by patterns that differ.
    Local,
    /// The history keeps few versions.
    Pruned,
    /// A database is restored from a backup.
    Restored,
    /// A database is lost.
    Lost,
    /// One node sends nothing of its own.
    Receives,
    /// One node is off for most of the time.
    Sleeps,
    /// Power goes.
    Power,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::Chain,
        Kind::Trials,
        Kind::Checks,
        Kind::Local,
        Kind::Pruned,
        Kind::Restored,
        Kind::Lost,
        Kind::Receives,
        Kind::Sleeps,
        Kind::Power,
    ];

    /// Some of them.
    pub fn draw(dice: &mut Dice) -> BTreeSet<Kind> {
        Kind::ALL.into_iter().filter(|_| dice.chance(30)).collect()
    }
}

/// Patterns of options and sections that belong to one router.
pub const PATTERNS: [&str; 6] =
    ["dhcp.lan.own", "dhcp.*.own", "dhcp.@host.own", "dhcp.@host[name=h0].own", "dhcp.@dnsmasq[0].own", "dhcp.mine"];

/// Whether a pattern says that the option `own` of a section is local, or the section as a whole.
pub fn covers(pattern: &str, kind: &str, name: Option<&str>, host: Option<&str>) -> bool {
    match pattern {
        "dhcp.lan.own" => name == Some("lan"),
        "dhcp.*.own" => true,
        "dhcp.@host.own" => kind == "host",
        "dhcp.@host[name=h0].own" => kind == "host" && host == Some("h0"),
        "dhcp.@dnsmasq[0].own" => kind == "dnsmasq",
        "dhcp.mine" => name == Some("mine"),
        other => panic!("{other}"),
    }
}
