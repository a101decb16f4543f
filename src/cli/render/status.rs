//! Whether everything is in sync, since when, and if not why not and what to do.

use crate::cli::render::{Fields, Look, Row, count, node, said, size, table};
use crate::node::api::Tree;

/// Paths of a list that are shown unless somebody asks for all.
const SHOWN: usize = 5;

/// The whole status: a sentence, then peers, shares, and who waits.
pub fn status(status: &Tree, look: &Look) -> String {
    let mut text = sentence(status, look);
    if look.quiet {
        return text;
    }
    if !status.text("database_error").is_empty() {
        text.push_str(&format!("the database cannot be written: {}\n", status.text("database_error")));
    }
    for problem in status.list("problems") {
        // The sentence may name the first of them already.
        let named = status.text("summary").strip_prefix("not in sync: ").unwrap_or_default();
        if let Some(problem) = said(problem).filter(|problem| !named.starts_with(problem)) {
            text.push_str(&format!("{problem}\n"));
        }
    }
    if let Some(last) = status.list("not_kept").first() {
        let versions = count(status.number("not_kept_count").unwrap_or(1), "previous version");
        let (share, path, size) = (last.text("share"), last.text("path"), size(last.number("size").unwrap_or(0)));
        text.push_str(&format!(
            "history: {versions} not kept, for lack of room (history_size, min_free); the last one: {share}:{path} ({size})\n"
        ));
    }
    for section in [waiting(status.list("waiting"), look), peers(status, look), shares(status, look)] {
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
pub fn exceptions(answer: &Tree) -> String {
    answer.list("except").iter().filter_map(said).map(|clause| format!("; {clause}")).collect()
}

/// The answer in a sentence, and what to do where something is to be done.
fn sentence(status: &Tree, look: &Look) -> String {
    if status.flag("in_sync") {
        let since = match status.number("since") {
            Some(since) => format!(" since {}, for {}", look.moment(since), look.ago(since)),
            None => String::new(),
        };
        return format!("in sync{since}{}\n", exceptions(status));
    }
    let mut text = format!("{}\n", status.text("summary"));
    let first = status.list("reasons").first();
    if let Some(advice) = first.and_then(|reason| advice(reason.text("reason"))) {
        text.push_str(&format!("what to do: {advice}\n"));
    } else if status.table("shares").is_empty() {
        text.push_str("what to do: give the configuration a directory and an include pattern\n");
    } else if status.table("peers").is_empty() && status.list("waiting").is_empty() {
        text.push_str("what to do: add a peer, or run `owsync invite` and join another node with what it prints\n");
    }
    text
}

/// What a person can do where the reason's own text does not say.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "unreachable" => "see that owsync runs there and that its port is open; `owsync status` there tells more",
        "unresolved" => "write the peer's address instead of its name, or mend the name service",
        "silent" | "closed" => "nothing yet: it is tried again by itself; see the log there if it lasts",
        "too_many_sessions" => "see which peers are connected with `owsync peers`, on both sides",
        "protocol" => "update owsync on the older of the two; if both are alike, please report it",
        "unreleased" => "run `owsync sync` to send them",
        "unreleased_there" => "run `owsync sync` there",
        "first_sync" => "nothing: the first sync is being confirmed",
        "unconfirmed" => "nothing yet, or `owsync confirm` to keep the change, `owsync rollback` to take it back",
        "unconfirmed_there" => "nothing yet: it is confirmed or rolled back there within its time",
        "unreadable" => "give owsync's user the right to read it, or exclude it",
        "no_common_share" => "give the share the same name on both nodes; `owsync shares` lists them",
        "no_include" => "add an include pattern to the share",
        "no_include_there" => "add an include pattern to the share there",
        "paused_there" => "`owsync resume` there when exchanging may go on",
        "paused" => "`owsync resume` when exchanging may go on",
        "database" => "free space where the database lies, or see why it is read-only",
        "disabled" => "set `enabled` to 1 in its section when it may connect again",
        _ => return None,
    })
}

/// The peers.
pub fn peers(answer: &Tree, look: &Look) -> String {
    let peers = answer.table("peers");
    if peers.is_empty() {
        return "no peers\n".into();
    }
    let mut rows = Vec::new();
    for (name, peer) in peers {
        let since = peer.number("since");
        rows.push(Row::Cells(vec![
            name.clone(),
            peer.text("state").into(),
            since.map(|since| look.since(since)).unwrap_or_default(),
            peer.text("address").into(),
            if peer.text("direction").is_empty() { String::new() } else { peer.text("direction").into() },
        ]));
        rows.extend(peer_notes(peer, look).into_iter().map(Row::Note));
    }
    table(&["PEER", "STATE", "SINCE", "ADDRESS", "DIRECTION"], &rows)
}

fn peer_notes(peer: &Tree, look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    let message = peer.text("message");
    if !message.is_empty() && message != peer.text("state") {
        let tries = match peer.number("retries") {
            Some(tries @ 2..) => format!("; tried {tries} times"),
            _ => String::new(),
        };
        let next = peer.number("retry_in").map(|seconds| format!("; next try in {seconds} s")).unwrap_or_default();
        let retry = tries + &next;
        notes.push(format!("{message}{retry}"));
    }
    if !peer.text("introduced_by").is_empty() {
        let path = match peer.text("path") {
            "none" => "not reached directly".to_string(),
            path => path.to_string(),
        };
        notes.push(format!("introduced by {}; {path}", peer.text("introduced_by")));
    }
    if !peer.text("same_node_as").is_empty() {
        notes.push(format!("the same node as {}", peer.text("same_node_as")));
    }
    if let (false, Some(last)) = (peer.flag("connected"), peer.number("last_ok")) {
        notes.push(format!("last connected {}", look.since(last)));
    }
    for (name, share) in peer.table("shares") {
        let said = share.text("message");
        if !said.is_empty() && said != message {
            notes.push(format!("share {name}: {said}"));
        }
        if share.flag("filters_differ") {
            notes.push(format!(
                "share {name}: its filters differ from those here: what one leaves out, the other does not get"
            ));
        }
        let there = share.list("pending_there");
        // The first was named above.
        if there.len() > 1 || look.verbose {
            let all = share.number("pending_there_count").unwrap_or(0);
            notes.extend(paths(there, all, &format!("share {name}: pending there: "), look));
        }
        if look.verbose {
            let all = share.number("left_out_count").unwrap_or(0);
            notes.extend(paths(share.list("left_out_paths"), all, &format!("share {name}: left out: "), look));
        }
    }
    for (key, text) in [("only_here", "not there"), ("only_there", "not here")] {
        let names: Vec<&str> = peer.list(key).iter().filter_map(said).collect();
        if !names.is_empty() {
            notes.push(format!("{text}: share {}", names.join(", ")));
        }
    }
    if look.verbose {
        let fields = [("name", "calls itself"), ("version", "owsync"), ("node", "node"), ("public_key", "public key")];
        let said = fields.iter().filter(|(key, _)| !peer.text(key).is_empty());
        notes.extend(said.map(|(key, word)| format!("{word} {}", peer.text(key))));
    }
    notes
}

/// The shares.
pub fn shares(answer: &Tree, look: &Look) -> String {
    let shares = answer.table("shares");
    if shares.is_empty() {
        return "no shares\n".into();
    }
    let mut rows = Vec::new();
    for (name, share) in shares {
        rows.push(Row::Cells(vec![
            name.clone(),
            share.text("state").into(),
            share.number("files").unwrap_or(0).to_string(),
            size(share.number("bytes").unwrap_or(0)),
            share.text("detector").into(),
            share.text("direction").into(),
            share.text("dir").into(),
        ]));
        rows.extend(share_notes(share, look).into_iter().map(Row::Note));
    }
    table(&["SHARE", "STATE", "FILES", "SIZE", "CHANGES BY", "DIRECTION", "DIRECTORY"], &rows)
}

fn share_notes(share: &Tree, look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(hold) = share.get("hold") {
        let since = hold.number("since").map(|since| format!(" since {}", look.since(since))).unwrap_or_default();
        notes.push(format!("held{since}: {}", hold.text("message")));
        notes.push(
            "`owsync approve --dry-run` and `owsync reject --dry-run` say path by path what each would do".into(),
        );
    }
    if let Some(unconfirmed) = share.get("unconfirmed") {
        let left = unconfirmed.number("seconds_left").map(|left| format!(" in {left} s")).unwrap_or_default();
        let run = unconfirmed.number("run").unwrap_or(0);
        let peer = unconfirmed.text("peer");
        notes.push(if unconfirmed.flag("first") {
            format!("first sync: applied; it will be rolled back{left} unless {peer} responds")
        } else {
            format!(
                "run {run} will be rolled back{left} unless {peer} responds: `owsync confirm` keeps it, `owsync rollback` rolls it back now"
            )
        });
    }
    if let Some(sent) = share.get("last_sent") {
        let names = |key: &str| sent.list(key).iter().filter_map(said).collect::<Vec<_>>().join(", ");
        let more = sent.number("files").unwrap_or(0) - i64::try_from(sent.list("paths").len()).unwrap_or(0);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let at = sent.number("time").map(|at| look.since(at)).unwrap_or_default();
        notes.push(format!("last sent {at}: {}{more} to {}", names("paths"), names("peers")));
    }
    if !share.text("warning").is_empty() {
        notes.push(share.text("warning").into());
    }
    let idle: Vec<String> =
        share.list("includes_without_match").iter().filter_map(said).map(|one| format!("'{one}'")).collect();
    if !idle.is_empty() {
        let shown = if look.verbose { idle.len() } else { SHOWN.min(idle.len()) };
        let more = if shown < idle.len() {
            format!(" and {} more (-v shows them)", idle.len() - shown)
        } else {
            String::new()
        };
        notes.push(format!("nothing matches include {}{more}", idle[..shown].join(", ")));
    }
    if share.text("detector") == "poll" {
        let next = share.number("next_scan").unwrap_or(0);
        notes.push(format!("not watched by inotify: looked at by the poll interval, next in {next} s"));
    }
    // What another node sends lands all the same; what is not committed here goes nowhere either way.
    let travels = matches!(share.text("direction"), "" | "send");
    let then = if travels { " (uci commit makes them travel)" } else { "" };
    notes.extend(
        share.list("uncommitted").iter().filter_map(said).map(|one| format!("{one} has uncommitted changes{then}")),
    );
    if !share.text("uncommitted_error").is_empty() {
        notes.push(format!("uncommitted changes cannot be looked for: {}", share.text("uncommitted_error")));
    }
    notes.extend(paths(share.list("held_paths"), 0, "", look));
    for (key, lead) in [
        ("pending", "pending: "),
        ("unreleased", "changed here: "),
        ("deviations", "local deviation: "),
        ("kept_dirs", ""),
        ("left_out", "left out: "),
    ] {
        notes.extend(paths(share.list(key), share.number(&format!("{key}_count")).unwrap_or(0), lead, look));
    }
    notes.extend(paths(share.list("skipped"), share.number("skipped_count").unwrap_or(0), "", look));
    if look.verbose {
        notes.push(format!("{} remembered as deleted", count(share.number("deleted").unwrap_or(0), "path")));
    }
    notes
}

/// Paths with their reasons, the first few of them.
fn paths(list: &[Tree], all: i64, lead: &str, look: &Look) -> Vec<String> {
    let shown = if look.verbose { list.len() } else { SHOWN.min(list.len()) };
    let mut notes: Vec<String> = list[..shown]
        .iter()
        .map(|one| {
            let peer = one.text("peer");
            let from = if peer.is_empty() { String::new() } else { format!(" (from {peer})") };
            format!("{lead}{}{from}: {}", one.text("path"), one.text("message"))
        })
        .collect();
    let rest = all.max(i64::try_from(list.len()).unwrap_or(0)) - i64::try_from(shown).unwrap_or(0);
    if rest > 0 {
        let how = if look.verbose { "" } else { "; -v shows more" };
        notes.push(format!("{lead}and {} more{how}", count(rest, "path")));
    }
    notes
}

/// Who knocked and was not let in.
fn waiting(list: &[Tree], look: &Look) -> String {
    let mut rows = Vec::new();
    for one in list {
        rows.push(Row::Cells(vec![
            one.text("name").into(),
            one.text("address").into(),
            one.number("since").map(|since| look.since(since)).unwrap_or_default(),
            one.text("public_key").get(..16).unwrap_or(one.text("node")).into(),
        ]));
        rows.push(Row::Note(one.text("message").into()));
    }
    if rows.is_empty() { String::new() } else { table(&["WAITING", "ADDRESS", "SINCE", "KEY BEGINS"], &rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        Look { now: 1_795_162_530, ..Look::default() }
    }

    fn share() -> Tree {
        Tree::map()
            .with("state", "idle")
            .with("dir", "/etc/config")
            .with("files", 52u64)
            .with("bytes", 320_000u64)
            .with("deleted", 1u64)
            .with("detector", "inotify")
    }

    #[test]
    fn the_first_line_answers_the_question() {
        let peer = Tree::map()
            .with("state", "in sync")
            .with("connected", true)
            .with("since", 1_795_151_730i64)
            .with("address", "192.168.1.2:4321");
        let answer = Tree::map()
            .with("in_sync", true)
            .with("since", 1_795_151_730i64)
            .with("peers", Tree::map().with("r2", peer))
            .with("shares", Tree::map().with("main", share()));

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
        let peer = Tree::map()
            .with("state", "not connected")
            .with("connected", false)
            .with("reason", "unreachable")
            .with("message", "unreachable: connection refused")
            .with("since", 1_795_162_500i64)
            .with("retry_in", 8u64)
            .with("retries", 3u64)
            .with("last_ok", 1_795_162_400i64)
            .with("address", "192.168.1.3:4321");
        let hold = Tree::map().with("message", "emptied: all 9 files are gone").with("since", 1_795_162_500i64);
        let pending = |path: &str| Tree::map().with("path", path).with("peer", "r3").with("message", "no room");
        let held = share()
            .with("hold", hold)
            .with("pending", (0..7).map(|n| pending(&format!("f{n}"))).collect::<Vec<_>>())
            .with("pending_count", 9u64)
            .with("skipped", vec![Tree::map().with("path", "pipe").with("message", "skipped: it is a fifo")])
            .with("skipped_count", 1u64);
        let answer = Tree::map()
            .with("in_sync", false)
            .with("summary", "not in sync: r3: unreachable: connection refused (and 1 more)")
            .with("reasons", vec![Tree::map().with("peer", "r3").with("reason", "unreachable")])
            .with("peers", Tree::map().with("r3", peer))
            .with("shares", Tree::map().with("main", held));

        assert_eq!(
            status(&answer, &look()),
            "not in sync: r3: unreachable: connection refused (and 1 more)\n\
             what to do: see that owsync runs there and that its port is open; `owsync status` there tells more\n\
             \n\
             PEER  STATE          SINCE            ADDRESS\n\
             r3    not connected  08:15:00 (30 s)  192.168.1.3:4321\n    \
             unreachable: connection refused; tried 3 times; next try in 8 s\n    \
             last connected 08:13:20 (2 min)\n\
             \n\
             SHARE  STATE  FILES  SIZE     CHANGES BY  DIRECTORY\n\
             main   idle   52     312 KiB  inotify     /etc/config\n    \
             held since 08:15:00 (30 s): emptied: all 9 files are gone\n    \
             `owsync approve --dry-run` and `owsync reject --dry-run` say path by path what each would do\n    \
             pending: f0 (from r3): no room\n    \
             pending: f1 (from r3): no room\n    \
             pending: f2 (from r3): no room\n    \
             pending: f3 (from r3): no room\n    \
             pending: f4 (from r3): no room\n    \
             pending: and 4 paths more; -v shows more\n    \
             pipe: skipped: it is a fifo\n"
        );
    }

    #[test]
    fn who_waits_is_shown_with_how_to_let_it_in() {
        let one = Tree::map()
            .with("name", "r4")
            .with("address", "10.0.0.4")
            .with("public_key", "ab".repeat(32))
            .with("message", "waiting to be accepted here: run `owsync accept`")
            .with("since", 1_795_162_500i64);
        let answer = Tree::map().with("summary", "waiting for peers").with("waiting", vec![one]);

        let text = status(&answer, &look());

        assert!(text.contains("WAITING  ADDRESS   SINCE            KEY BEGINS\nr4       10.0.0.4  08:15:00 (30 s)  abababababababab\n    waiting to be accepted here: run `owsync accept`\n"), "{text}");
    }

    #[test]
    fn what_the_edges_know_is_said_too() {
        let notice = Tree::map().with("notified", 1_795_162_500i64).with("failed", "timed out");
        let answer = Tree::map()
            .with("summary", "not in sync: port 4321 is taken (and 1 more)")
            .with("problems", vec![Tree::from("port 4321 is taken"), Tree::from("reload of dhcp: timed out")])
            .with("in_force", Tree::map().with("dhcp", notice))
            .with("listen", vec![Tree::from("[::]:4321"), Tree::from("0.0.0.0:4321")]);

        let text = status(&answer, &Look { verbose: true, ..look() });

        assert_eq!(text.matches("port 4321 is taken").count(), 1, "{text}");
        assert!(text.contains("\nreload of dhcp: timed out\n"), "{text}");
        assert!(text.contains("listening on   [::]:4321, 0.0.0.0:4321\n"), "{text}");
        assert!(text.contains("IN FORCE  NOTIFIED         FAILED\ndhcp      08:15:00 (30 s)  timed out\n"), "{text}");
    }

    #[test]
    fn what_history_did_not_keep_is_counted_and_the_last_one_named() {
        let lost = |path: &str| Tree::map().with("share", "main").with("path", path).with("size", 2048u64);
        let answer = Tree::map().with("not_kept", vec![lost("image"), lost("half")]).with("not_kept_count", 7u64);

        let text = status(&answer, &look());

        assert!(
            text.contains("\nhistory: 7 previous versions not kept, for lack of room (history_size, min_free); the last one: main:image (2.0 KiB)\n"),
            "{text}"
        );
    }

    #[test]
    fn uncommitted_changes_are_said_and_what_makes_them_travel() {
        let both = share().with("uncommitted", vec![Tree::from("network"), Tree::from("dhcp")]);
        let receives = share().with("direction", "receive").with("uncommitted", vec![Tree::from("network")]);
        let blind = share().with("uncommitted_error", "open /tmp/.uci: permission denied");
        let answer = Tree::map().with("shares", Tree::map().with("a", both).with("b", receives).with("c", blind));

        let text = shares(&answer, &look());

        for line in [
            "    network has uncommitted changes (uci commit makes them travel)\n",
            "    dhcp has uncommitted changes (uci commit makes them travel)\n",
            "    network has uncommitted changes\n",
            "    uncommitted changes cannot be looked for: open /tmp/.uci: permission denied\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{line}{text}");
        }
    }

    #[test]
    fn nothing_is_made_of_fields_that_are_not_there() {
        let text = status(&Tree::map(), &Look { verbose: true, ..look() });
        assert!(text.contains("no peers") && text.contains("no shares"), "{text}");
    }
}
