//! Renders the status: whether everything is in sync, since when, and if not, why not and what to do.

use std::collections::BTreeMap;

use crate::cli::render::{Look, Row, count, node, size, table};
use crate::daemon::status::DaemonStatus;
use crate::model::WallTime;
use crate::node::api::status::{ExchangeStatus, PathStatus, PeerStatus, ShareStatus, WaitingPeer};

/// Paths of a list that are shown without -v.
const SHOWN: usize = 5;

/// The whole status: a sentence, then peers, shares, and nodes waiting to be accepted.
pub fn status(status: &DaemonStatus, look: &Look) -> String {
    let mut text = sentence(status, look);
    if look.quiet {
        return text;
    }
    let node = &status.node;
    if let Some(error) = &node.database_error {
        text.push_str(&format!("the database cannot be written: {error}\n"));
    }
    // The sentence may name the first of them already.
    let named = node.summary.strip_prefix("not in sync: ").unwrap_or_default();
    for problem in status.problems.iter().filter(|problem| !named.starts_with(problem.as_str())) {
        text.push_str(&format!("{problem}\n"));
    }
    if let Some(last) = node.not_kept.first() {
        let versions = count(node.not_kept_count, "previous version");
        let (share, path, size) = (&last.share, &last.path, size(last.size));
        text.push_str(&format!(
            "history: {versions} not kept, for lack of room (history_size, min_free); the last one: {share}:{path} ({size})\n"
        ));
    }
    for section in [waiting(&node.waiting, look), peers(&node.peers, look), shares(&node.shares, look)] {
        if !section.is_empty() {
            text.push('\n');
            text.push_str(&section);
        }
    }
    if look.verbose {
        text.push_str(&node::details(status, look));
    }
    text
}

/// What restricts "in sync" without changing it: paths left out by choice, nodes behind a peer.
pub fn exceptions(clauses: &[String]) -> String {
    clauses.iter().map(|clause| format!("; {clause}")).collect()
}

/// The answer in a sentence, and what to do where something is to be done.
fn sentence(status: &DaemonStatus, look: &Look) -> String {
    let status = &status.node;
    if status.in_sync {
        let since = match status.since.map(WallTime::as_secs) {
            Some(since) => format!(" since {}, for {}", look.moment(since), look.ago(since)),
            None => String::new(),
        };
        return format!("in sync{since}{}\n", exceptions(&status.exceptions));
    }
    let mut text = format!("{}\n", status.summary);
    if let Some(advice) = status.reasons.first().and_then(|reason| advice(&reason.reason)) {
        text.push_str(&format!("what to do: {advice}\n"));
    } else if status.shares.is_empty() {
        text.push_str("what to do: add a directory and an include pattern to the configuration\n");
    } else if status.peers.is_empty() && status.waiting.is_empty() {
        text.push_str("what to do: add a peer, or run `owsync invite` and join another node with the text it prints\n");
    }
    text
}

/// What the user can do, where the reason's own text does not say.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "unreachable" => "check that owsync runs there and that its port is open; see `owsync status` there",
        "unresolved" => "use the peer's address instead of its name, or fix name resolution",
        "silent" | "closed" => "nothing yet: owsync retries automatically; see the log there if it persists",
        "too_many_sessions" => "see which peers are connected with `owsync peers`, on both nodes",
        "protocol" => "update owsync on the older of the two nodes; if the versions are the same, please report it",
        "unreleased" => "run `owsync sync` to send them",
        "unreleased_there" => "run `owsync sync` there",
        "first_sync" => "nothing: the first sync is being confirmed",
        "unconfirmed" => "nothing yet; or run `owsync confirm` to keep the change, `owsync rollback` to undo it",
        "unconfirmed_there" => "nothing yet: it will be confirmed or rolled back there",
        "unreadable" => "allow owsync's user to read it, or exclude it",
        "no_common_share" => "give the share the same name on both nodes; `owsync shares` lists them",
        "no_include" => "add an include pattern to the share",
        "no_include_there" => "add an include pattern to the share there",
        "paused_there" => "run `owsync resume` there to continue",
        "paused" => "run `owsync resume` to continue",
        "database" => "free space on the file system of the database, or find out why it is read-only",
        "disabled" => "set `enabled` to 1 in its section to let it connect again",
        _ => return None,
    })
}

/// The peers.
pub fn peers(peers: &BTreeMap<String, PeerStatus>, look: &Look) -> String {
    if peers.is_empty() {
        return "no peers\n".into();
    }
    let mut rows = Vec::new();
    for (name, peer) in peers {
        rows.push(Row::Cells(vec![
            name.clone(),
            peer.state.word().into(),
            peer.since.map(|since| look.since(since.as_secs())).unwrap_or_default(),
            peer.address.clone().unwrap_or_default(),
            peer.direction.clone().unwrap_or_default(),
        ]));
        rows.extend(peer_notes(peer, look).into_iter().map(Row::Note));
    }
    table(&["PEER", "STATE", "SINCE", "ADDRESS", "DIRECTION"], &rows)
}

fn peer_notes(peer: &PeerStatus, look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(message) = peer.message.as_ref().filter(|message| *message != peer.state.word()) {
        let tries = if peer.retries > 1 { format!("; tried {} times", peer.retries) } else { String::new() };
        let next = peer.retry_in.map(|seconds| format!("; next try in {seconds} s")).unwrap_or_default();
        notes.push(format!("{message}{tries}{next}"));
    }
    if let Some(introducer) = &peer.introduced_by {
        let path = match peer.path.as_deref() {
            None | Some("none") => "not reached directly",
            Some(path) => path,
        };
        notes.push(format!("introduced by {introducer}; {path}"));
    }
    notes.extend(peer.same_node_as.as_ref().map(|other| format!("the same node as {other}")));
    if let (false, Some(last)) = (peer.connected, peer.last_connected) {
        notes.push(format!("last connected {}", look.since(last.as_secs())));
    }
    for (name, share) in &peer.shares {
        notes.extend(exchange_notes(name, share, peer, look));
    }
    for (names, text) in [(&peer.only_here, "not there"), (&peer.only_there, "not here")] {
        if !names.is_empty() {
            notes.push(format!("{text}: share {}", names.join(", ")));
        }
    }
    if look.verbose {
        let fields = [
            (&peer.name, "calls itself"),
            (&peer.version, "owsync"),
            (&peer.node, "node"),
            (&peer.public_key, "public key"),
        ];
        notes.extend(fields.iter().filter_map(|(value, word)| Some(format!("{word} {}", value.as_ref()?))));
    }
    notes
}

/// What there is to say about a share that is common with a peer.
fn exchange_notes(name: &str, share: &ExchangeStatus, peer: &PeerStatus, look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(message) = share.message.as_ref().filter(|_| share.message != peer.message) {
        notes.push(format!("share {name}: {message}"));
    }
    if share.filters_differ {
        notes.push(format!(
            "share {name}: its filters differ from the filters here: a path that one side leaves out is not synced"
        ));
    }
    // The first is named in the message.
    if share.pending_there.len() > 1 || look.verbose {
        let lead = format!("share {name}: pending there: ");
        notes.extend(paths(&share.pending_there, share.pending_there_count, &lead, look));
    }
    if look.verbose {
        let lead = format!("share {name}: left out: ");
        notes.extend(paths(&share.left_out_paths, share.left_out_count, &lead, look));
    }
    notes
}

/// The shares.
pub fn shares(shares: &BTreeMap<String, ShareStatus>, look: &Look) -> String {
    if shares.is_empty() {
        return "no shares\n".into();
    }
    let mut rows = Vec::new();
    for (name, share) in shares {
        rows.push(Row::Cells(vec![
            name.clone(),
            share.state.word().into(),
            share.files.to_string(),
            size(share.bytes),
            share.detector.clone(),
            share.direction.clone().unwrap_or_default(),
            share.dir.clone(),
        ]));
        rows.extend(share_notes(share, look).into_iter().map(Row::Note));
    }
    table(&["SHARE", "STATE", "FILES", "SIZE", "CHANGES BY", "DIRECTION", "DIRECTORY"], &rows)
}

fn share_notes(share: &ShareStatus, look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(hold) = &share.hold {
        notes.push(format!("held since {}: {}", look.since(hold.since.as_secs()), hold.message));
        notes.push("preview each decision with `owsync approve --dry-run` and `owsync reject --dry-run`".into());
    }
    if let Some(commit) = &share.commit {
        let left = commit.seconds_left.map(|left| format!(", {left} s left")).unwrap_or_default();
        let waits = if commit.state == "waiting" { ": `owsync confirm` keeps it" } else { "" };
        notes.push(format!("a commit of {} is under way ({}{left}){waits}", commit.router, commit.state));
        notes.extend(commit.routers.iter().map(|one| match &one.reason {
            Some(why) => format!("  {}: {}: {why}", one.router, one.step),
            None => format!("  {}: {}", one.router, one.step),
        }));
    }
    if let Some(change) = &share.unconfirmed {
        let left = change.seconds_left.map(|left| format!(" in {left} s")).unwrap_or_default();
        let (run, peer) = (change.run, &change.peer);
        notes.push(if change.first {
            format!("first sync: applied; it will be rolled back{left} unless {peer} responds")
        } else {
            format!(
                "run {run} will be rolled back{left} unless {peer} responds: `owsync confirm` keeps it, `owsync rollback` rolls it back now"
            )
        });
    }
    if let Some(sent) = &share.last_sent {
        let more = sent.files.saturating_sub(sent.paths.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let at = look.since(sent.time.as_secs());
        notes.push(format!("last sent {at}: {}{more} to {}", sent.paths.join(", "), sent.peers.join(", ")));
    }
    notes.extend(share.warning.clone());
    notes.extend(idle_patterns("no file matches include", &share.includes_without_match, look));
    notes.extend(idle_patterns("nothing matches local", &share.local_without_match, look));
    notes.extend(idle_patterns("too large to be merged, so the newer version is kept whole:", &share.not_merged, look));
    if share.detector == "poll" {
        notes.push(format!("not watched by inotify: scanned every poll interval, next in {} s", share.next_scan));
    }
    // A peer's change is applied all the same; an uncommitted one is not sent in either direction.
    let sends = matches!(share.direction.as_deref(), None | Some("send"));
    let then = if sends { " (not synced until `uci commit`)" } else { "" };
    notes.extend(share.uncommitted.iter().map(|package| format!("{package} has uncommitted changes{then}")));
    notes.extend(share.uncommitted_error.iter().map(|error| format!("cannot check for uncommitted changes: {error}")));
    notes.extend(paths(&share.held_paths, 0, "", look));
    for (list, all, lead) in [
        (&share.pending, share.pending_count, "pending: "),
        (&share.unreleased, share.unreleased_count, "changed here: "),
        (&share.deviations, share.deviations_count, "local deviation: "),
        (&share.kept_dirs, 0, ""),
        (&share.left_out, share.left_out_count, "left out: "),
        (&share.skipped, share.skipped_count, ""),
    ] {
        notes.extend(paths(list, all, lead, look));
    }
    if look.verbose {
        notes.push(format!("{} recorded as deleted", count(share.tombstones, "path")));
    }
    notes
}

fn idle_patterns(lead: &str, patterns: &[String], look: &Look) -> Option<String> {
    let quoted: Vec<String> = patterns.iter().map(|one| format!("'{one}'")).collect();
    let shown = if look.verbose { quoted.len() } else { SHOWN.min(quoted.len()) };
    let more = match quoted.len() - shown {
        0 => String::new(),
        rest => format!(" and {rest} more (-v shows them)"),
    };
    (shown > 0).then(|| format!("{lead} {}{more}", quoted[..shown].join(", ")))
}

/// Paths with their reasons, the first few of them.
fn paths(list: &[PathStatus], all: u64, lead: &str, look: &Look) -> Vec<String> {
    let shown = if look.verbose { list.len() } else { SHOWN.min(list.len()) };
    let mut notes: Vec<String> = list[..shown]
        .iter()
        .map(|one| {
            let from = one.peer.as_ref().map(|peer| format!(" (from {peer})")).unwrap_or_default();
            format!("{lead}{}{from}: {}", one.path, one.message)
        })
        .collect();
    let rest = all.max(list.len() as u64) - shown as u64;
    if rest > 0 {
        let how = if look.verbose { "" } else { "; -v shows more" };
        notes.push(format!("{lead}and {rest} more path{}{how}", if rest == 1 { "" } else { "s" }));
    }
    notes
}

/// The nodes that are waiting to be accepted.
fn waiting(list: &[WaitingPeer], look: &Look) -> String {
    let mut rows = Vec::new();
    for one in list {
        let key = one.public_key.as_deref().and_then(|key| key.get(..16)).unwrap_or(&one.node);
        rows.push(Row::Cells(vec![
            one.name.clone(),
            one.address.clone(),
            look.since(one.since.as_secs()),
            key.to_string(),
        ]));
        rows.push(Row::Note(one.message.clone()));
    }
    if rows.is_empty() { String::new() } else { table(&["WAITING", "ADDRESS", "SINCE", "KEY BEGINS"], &rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::InForceStatus;
    use crate::node::api::status::{HoldStatus, NotKeptStatus, PeerState, ShareState, Status, StatusReason};

    fn look() -> Look {
        Look { now: 1_795_162_530, ..Look::default() }
    }

    fn at(secs: i64) -> WallTime {
        WallTime(secs * 1000)
    }

    fn by_name<T>(name: &str, value: T) -> BTreeMap<String, T> {
        BTreeMap::from([(name.to_string(), value)])
    }

    fn of_node(node: Status) -> DaemonStatus {
        DaemonStatus { node, ..DaemonStatus::default() }
    }

    fn share() -> ShareStatus {
        ShareStatus {
            state: ShareState::Idle,
            dir: "/etc/config".into(),
            files: 52,
            bytes: 320_000,
            tombstones: 1,
            detector: "inotify".into(),
            ..ShareStatus::default()
        }
    }

    fn path(path: &str, message: &str) -> PathStatus {
        PathStatus { path: path.into(), message: message.into(), ..PathStatus::default() }
    }

    #[test]
    fn the_first_line_answers_the_question() {
        let peer = PeerStatus {
            state: PeerState::InSync,
            connected: true,
            since: Some(at(1_795_151_730)),
            address: Some("192.168.1.2:4321".into()),
            ..PeerStatus::default()
        };
        let answer = of_node(Status {
            in_sync: true,
            since: Some(at(1_795_151_730)),
            peers: by_name("r2", peer),
            shares: by_name("main", share()),
            ..Status::default()
        });

        assert_eq!(
            status(&answer, &look()),
            "in sync since 05:15:30, for 3 h\n\
             \n\
             PEER  STATE    SINCE           ADDRESS\n\
             r2    in sync  05:15:30 (3 h)  192.168.1.2:4321\n\
             \n\
             SHARE  STATE  FILES  SIZE     CHANGES BY  DIRECTORY\n\
             main   idle   52     312 KiB  inotify     /etc/config\n"
        );
        assert_eq!(status(&answer, &Look { quiet: true, ..look() }), "in sync since 05:15:30, for 3 h\n");
    }

    #[test]
    fn what_is_wrong_comes_with_its_reason_and_what_to_do() {
        let peer = PeerStatus {
            state: PeerState::NotConnected,
            reason: Some("unreachable".into()),
            message: Some("unreachable: connection refused".into()),
            since: Some(at(1_795_162_500)),
            retry_in: Some(8),
            retries: 3,
            last_connected: Some(at(1_795_162_400)),
            address: Some("192.168.1.3:4321".into()),
            ..PeerStatus::default()
        };
        let hold = HoldStatus {
            message: "emptied: all 9 files are gone".into(),
            since: at(1_795_162_500),
            ..HoldStatus::default()
        };
        let pending = |n| PathStatus { peer: Some("r3".into()), ..path(&format!("f{n}"), "no room") };
        let held = ShareStatus {
            hold: Some(hold),
            pending: (0..7).map(pending).collect(),
            pending_count: 9,
            skipped: vec![path("pipe", "skipped: it is a fifo")],
            skipped_count: 1,
            ..share()
        };
        let reason = StatusReason { reason: "unreachable".into(), ..StatusReason::default() };
        let answer = of_node(Status {
            summary: "not in sync: r3: unreachable: connection refused (and 1 more)".into(),
            reasons: vec![reason],
            peers: by_name("r3", peer),
            shares: by_name("main", held),
            ..Status::default()
        });

        assert_eq!(
            status(&answer, &look()),
            "not in sync: r3: unreachable: connection refused (and 1 more)\n\
             what to do: check that owsync runs there and that its port is open; see `owsync status` there\n\
             \n\
             PEER  STATE          SINCE            ADDRESS\n\
             r3    not connected  08:15:00 (30 s)  192.168.1.3:4321\n    \
             unreachable: connection refused; tried 3 times; next try in 8 s\n    \
             last connected 08:13:20 (2 min)\n\
             \n\
             SHARE  STATE  FILES  SIZE     CHANGES BY  DIRECTORY\n\
             main   idle   52     312 KiB  inotify     /etc/config\n    \
             held since 08:15:00 (30 s): emptied: all 9 files are gone\n    \
             preview each decision with `owsync approve --dry-run` and `owsync reject --dry-run`\n    \
             pending: f0 (from r3): no room\n    \
             pending: f1 (from r3): no room\n    \
             pending: f2 (from r3): no room\n    \
             pending: f3 (from r3): no room\n    \
             pending: f4 (from r3): no room\n    \
             pending: and 4 more paths; -v shows more\n    \
             pipe: skipped: it is a fifo\n"
        );
    }

    #[test]
    fn a_waiting_node_is_shown_with_how_to_accept_it() {
        let one = WaitingPeer {
            name: "r4".into(),
            address: "10.0.0.4".into(),
            public_key: Some("ab".repeat(32)),
            message: "waiting to be accepted here: run `owsync accept`".into(),
            since: at(1_795_162_500),
            ..WaitingPeer::default()
        };
        let answer = of_node(Status { summary: "waiting for peers".into(), waiting: vec![one], ..Status::default() });

        let text = status(&answer, &look());

        assert!(text.contains("WAITING  ADDRESS   SINCE            KEY BEGINS\nr4       10.0.0.4  08:15:00 (30 s)  abababababababab\n    waiting to be accepted here: run `owsync accept`\n"), "{text}");
    }

    #[test]
    fn what_only_the_daemon_knows_is_shown_too() {
        let notice = InForceStatus { notified: at(1_795_162_500), failed: Some("timed out".into()) };
        let answer = DaemonStatus {
            problems: vec!["port 4321 is taken".into(), "reload of dhcp: timed out".into()],
            in_force: by_name("dhcp", notice),
            listen: vec!["[::]:4321".into(), "0.0.0.0:4321".into()],
            ..of_node(Status { summary: "not in sync: port 4321 is taken (and 1 more)".into(), ..Status::default() })
        };

        let text = status(&answer, &Look { verbose: true, ..look() });

        assert_eq!(text.matches("port 4321 is taken").count(), 1, "{text}");
        assert!(text.contains("\nreload of dhcp: timed out\n"), "{text}");
        assert!(text.contains("listening on   [::]:4321, 0.0.0.0:4321\n"), "{text}");
        assert!(text.contains("RELOAD  NOTIFIED         FAILED\ndhcp    08:15:00 (30 s)  timed out\n"), "{text}");
        assert!(text.contains("\nconflicts      0\n") && text.contains("\nreceived       0 B\n"), "{text}");
    }

    #[test]
    fn what_history_did_not_keep_is_counted_and_the_last_one_named() {
        let lost = |path: &str| NotKeptStatus {
            share: "main".into(),
            path: path.into(),
            size: 2048,
            ..NotKeptStatus::default()
        };
        let answer =
            of_node(Status { not_kept: vec![lost("image"), lost("half")], not_kept_count: 7, ..Status::default() });

        let text = status(&answer, &look());

        assert!(
            text.contains("\nhistory: 7 previous versions not kept, for lack of room (history_size, min_free); the last one: main:image (2.0 KiB)\n"),
            "{text}"
        );
    }

    #[test]
    fn uncommitted_changes_are_shown_and_how_to_sync_them() {
        let both = ShareStatus { uncommitted: vec!["network".into(), "dhcp".into()], ..share() };
        let receives =
            ShareStatus { direction: Some("receive".into()), uncommitted: vec!["network".into()], ..share() };
        let error = Some("open /tmp/.uci: permission denied".into());
        let blind = ShareStatus { uncommitted_error: error, ..share() };
        let answer = BTreeMap::from([("a".into(), both), ("b".into(), receives), ("c".into(), blind)]);

        let text = shares(&answer, &look());

        for line in [
            "    network has uncommitted changes (not synced until `uci commit`)\n",
            "    dhcp has uncommitted changes (not synced until `uci commit`)\n",
            "    network has uncommitted changes\n",
            "    cannot check for uncommitted changes: open /tmp/.uci: permission denied\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line}{text}");
        }
    }

    #[test]
    fn an_empty_status_is_rendered_too() {
        let text = status(&DaemonStatus::default(), &Look { verbose: true, ..look() });
        assert!(text.contains("no peers") && text.contains("no shares"), "{text}");
    }
}
