//! Renders what a node counts in the text format of Prometheus: numbers from memory, and nothing else.
//!
//! Names follow Prometheus' own advice: a unit at the end, in its base (seconds, bytes), `_total` for what only grows. What
//! grows begins at 0 when the daemon starts, as every counter there does. A family is named whenever it has a sample, and
//! no two samples have the same name and labels: a scrape with one such pair would be refused as a whole.

use std::fmt::Display;
use std::fmt::Write;
use std::time::Duration;

use crate::fs::Fs;
use crate::model::{Map, Now, ShareName, WallTime, escape};
use crate::node::Node;

/// How a peer stands.
#[derive(Debug, Clone, Copy, Default)]
struct Peer {
    up: bool,
    in_sync: bool,
    last_in_sync: Option<WallTime>,
}

/// How a share stands.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    files: u64,
    bytes: u64,
    held: bool,
    unconfirmed: bool,
    pending: u64,
    /// Of these, paths that wait for the user's decision.
    held_paths: u64,
}

impl<F: Fs> Node<F> {
    /// Everything that is counted, in the text exposition format of Prometheus (version 0.0.4).
    pub fn metrics(&self, now: Now) -> String {
        let mut text = Text::default();
        let node = self.cx.identity.id.to_hex();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("node", &node), ("name", &self.cx.settings.name)];
        text.family("owsync_build_info", "gauge", "The running program, and which node it is.");
        text.sample("owsync_build_info", &build, 1);
        let in_sync = self.gaps(now, None, None).is_empty();
        text.one("owsync_in_sync", "gauge", "Whether this node is in sync with its peers.", u8::from(in_sync));

        self.peer_metrics(now, &mut text);
        self.share_metrics(&mut text);
        let c = &self.cx.counters;
        for (name, help, value) in [
            (
                "owsync_conflicts_total",
                "Paths changed on two nodes that had not received each other's change.",
                c.conflicts,
            ),
            ("owsync_merges_total", "UCI packages merged that two nodes had changed.", c.merges),
            ("owsync_holds_total", "Times that a share or a path was held.", c.holds),
            ("owsync_rollbacks_total", "Changes rolled back because they were not confirmed.", c.rollbacks),
            ("owsync_rejections_total", "Changes of this node that the user rejected elsewhere.", c.rejections),
            ("owsync_edited_paths_total", "Paths changed on this node.", c.edited),
            ("owsync_applied_paths_total", "Paths applied on this node.", c.landed),
            ("owsync_session_received_bytes_total", "Bytes read on sessions.", c.bytes_in),
            ("owsync_session_sent_bytes_total", "Bytes written on sessions.", c.bytes_out),
            ("owsync_content_received_bytes_total", "Content received from peers.", c.received),
            ("owsync_content_reused_bytes_total", "Content found on this machine instead of being received.", c.reused),
            ("owsync_content_sent_bytes_total", "Content supplied to peers.", c.supplied),
        ] {
            text.one(name, "counter", help, value);
        }
        let help = "Content, database and history written to disk.";
        text.one("owsync_flash_written_bytes_total", "counter", help, self.cx.fs.written());
        let help = "Size of the previous versions that are kept.";
        text.one("owsync_history_size_bytes", "gauge", help, self.cx.history.size());
        let name = "owsync_apply_duration_seconds";
        text.family(name, "summary", "Time from the decision to apply a batch until it was in place and recorded.");
        text.sample(&format!("{name}_sum"), &[], Seconds(c.applying));
        text.sample(&format!("{name}_count"), &[], c.applied);
        text.0
    }

    fn peer_metrics(&self, now: Now, text: &mut Text) {
        let peers = self.counted_peers(now);
        let gauge = |text: &mut Text, name, help, value: fn(&Peer) -> Option<i64>| {
            let samples = peers.iter().filter_map(|(label, peer)| Some((label.as_str(), value(peer)?)));
            text.each(name, help, "peer", samples);
        };
        gauge(text, "owsync_peer_up", "Whether there is a session with the peer.", |peer| Some(peer.up.into()));
        gauge(text, "owsync_peer_in_sync", "Whether the peer is in sync with this node.", |peer| {
            Some(peer.in_sync.into())
        });
        gauge(
            text,
            "owsync_peer_last_success_timestamp_seconds",
            "When the peer was last known to be in sync, in seconds since 1970.",
            |peer| peer.last_in_sync.map(WallTime::as_secs),
        );
    }

    /// The peers that status lists and that are expected to be here, by names of which none is there twice.
    fn counted_peers(&self, now: Now) -> Map<String, Peer> {
        let mut peers: Map<String, Peer> = Map::new();
        for peer in self.cx.peers() {
            let last_in_sync = self.peers.dials.get(&peer.name).and_then(|dial| dial.last_in_sync);
            peers.insert(peer.name.to_string(), Peer { last_in_sync, ..Peer::default() });
        }
        for (id, link) in self.peers.links.iter().filter(|(_, link)| link.is_admitted()) {
            let in_sync = self.link_gaps(*id, link, None).is_empty();
            let last_in_sync = Some(link.heard_at(now)).filter(|_| in_sync);
            match link.section.as_ref().and_then(|name| peers.get_mut(&*name.0)) {
                Some(peer) => {
                    *peer = Peer { up: true, in_sync, last_in_sync: last_in_sync.or(peer.last_in_sync) };
                }
                None => {
                    peers.insert(self.peers.peer_label(&self.cx, *id), Peer { up: true, in_sync, last_in_sync });
                }
            }
        }
        for (node, _) in self.away().filter(|(_, known)| self.is_missed(known)) {
            peers.insert(self.cx.node_label(node), Peer::default());
        }
        peers
    }

    fn share_metrics(&self, text: &mut Text) {
        let shares: Map<&ShareName, Share> = self.shares.keys().map(|name| (name, self.counted_share(name))).collect();
        for (name, help, value) in [
            ("owsync_share_files", "Files that are synced.", (|share| share.files) as fn(&Share) -> u64),
            ("owsync_share_size_bytes", "Size of these files.", |share| share.bytes),
            (
                "owsync_share_held",
                "Whether the share is held: it waits for the user's decision, or for its directory.",
                |share| share.held.into(),
            ),
            ("owsync_share_unconfirmed", "Whether an applied change is awaiting confirmation.", |s| {
                s.unconfirmed.into()
            }),
            ("owsync_share_pending_paths", "Changes of peers that are not applied yet.", |share| share.pending),
            ("owsync_share_held_paths", "Of these, changes that wait for the user's decision.", |share| {
                share.held_paths
            }),
        ] {
            text.each(name, help, "share", shares.iter().map(|(label, share)| (label.as_str(), value(share))));
        }
    }

    fn counted_share(&self, name: &ShareName) -> Share {
        let Some(state) = self.cx.store.state().shares.get(name) else { return Share::default() };
        let (files, bytes) = state.index.live_files();
        Share {
            files,
            bytes,
            held: state.meta.hold.is_some(),
            unconfirmed: state.trial.is_some(),
            pending: state.owed.len() as u64,
            held_paths: state.owed.values().filter(|owed| owed.reason.needs_user()).count() as u64,
        }
    }
}

/// A time as a number of seconds.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// The text in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins the samples of one name.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family of one sample without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family of one sample for each of several things; none where there are none.
    fn each<'a>(&mut self, name: &str, help: &str, key: &str, samples: impl Iterator<Item = (&'a str, impl Display)>) {
        let mut samples = samples.peekable();
        if samples.peek().is_some() {
            self.family(name, "gauge", help);
        }
        samples.for_each(|(label, value)| self.sample(name, &[(key, label)], value));
    }
}

/// A label's value between its quotes.
fn quoted(value: &str) -> String {
    // What is left is no end of line, so only these two mean something.
    escape::visible(value).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_its_label_or_its_line() {
        let mut text = Text::default();
        text.sample("m", &[("peer", "a\"b\\c\nd \u{e4}"), ("x", "")], Seconds(Duration::from_millis(62_005)));
        assert_eq!(text.0, "m{peer=\"a\\\"b\\\\c\\\\x0ad \u{e4}\",x=\"\"} 62.005\n");
    }

    #[test]
    fn the_documentation_names_every_metric() {
        let page = include_str!("../../docs/metrics.md");
        let names = include_str!("metrics.rs").split('"').filter(|text| text.starts_with("owsync_"));
        let missing: Vec<&str> = names.filter(|name| !page.contains(&format!("`{name}"))).collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn a_family_without_samples_is_not_named() {
        let mut text = Text::default();
        text.each("m", "h", "peer", std::iter::empty::<(&str, u64)>());
        assert_eq!(text.0, "");
    }
}
