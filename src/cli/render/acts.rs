//! Renders the result of a command that does something.

use crate::cli::render::status::exceptions;
use crate::cli::render::{Fields, Look, count, history, local, preview};
use crate::model::WallTime;
use crate::node::api::{Tree, record};
use crate::ops::Op;

/// What came of a command, and its exit code.
pub fn done(op: &Op, answer: &Tree, look: &Look) -> (String, u8) {
    if answer.get("preview").is_some() {
        return (preview::preview(answer), 0);
    }
    let number = |key: &str| answer.number(key).unwrap_or(0);
    let share = || match answer.text("share") {
        "" => String::new(),
        share => format!("share {share}: "),
    };
    let text = match op.name {
        // Its text is made elsewhere.
        "status" => return (String::new(), u8::from(!answer.flag("in_sync"))),
        "sync" => return sync(answer, look),
        "local" => return local::local(answer, look),
        "pause" => match answer.number("until") {
            Some(until) => {
                format!("paused until {}; `owsync resume` ends the pause\n", WallTime(until.saturating_mul(1000)))
            }
            None => "paused until `owsync resume`\n".to_string(),
        },
        "resume" => "resumed\n".to_string(),
        // A number of paths, or one for the share itself.
        "approve" => format!("{}approved: {}\n", share(), number("approved")),
        "reject" => format!("{}rejected: {}\n", share(), number("rejected")),
        "accept" => format!("accepted {}\n", answer.text("accepted")),
        "forget_peer" => {
            format!("forgot {}; remove it from the configuration too\n", answer.text("forgotten"))
        }
        "merge" if answer.number("run").is_none() => merge_preview(answer),
        "commit" => committed(answer),
        "rollback" if answer.get("commit").is_some() => "rolling back the commit\n".to_string(),
        "merge" => restored("merged a previous version into", answer),
        "restore" | "undo" | "rollback" => restored("restored", answer),
        "confirm" => "confirmed\n".to_string(),
        "forget" => format!("forgot {}\n", count(number("forgotten").unsigned_abs(), "previous version")),
        _ => String::new(),
    };
    (if look.quiet { String::new() } else { text }, 0)
}

/// How a commit ended, or what it would do.
fn committed(answer: &Tree) -> String {
    if !answer.flag("dry_run") {
        return format!("{}\n", answer.text("message"));
    }
    let list = |tree: &Tree, key: &str| match tree.get(key) {
        Some(Tree::List(list)) => {
            let text = |one: &Tree| if let Tree::Text(text) = one { Some(text.clone()) } else { None };
            list.iter().filter_map(text).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    let mut text = String::new();
    if let Some(Tree::List(files)) = answer.get("files") {
        for file in files {
            text.push_str(&format!("{}\n", file.text("path")));
            list(file, "changes").iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    match list(answer, "routers") {
        routers if routers.is_empty() => text.push_str("would be committed on this router only\n"),
        routers => text.push_str(&format!("would be committed on this router and {}\n", routers.join(", "))),
    }
    text
}

/// What was restored, and what is left unchanged because it changed since.
fn restored(what: &str, answer: &Tree) -> String {
    let run = answer.number("run").unwrap_or(0);
    let mut text = format!(
        "share {}: {what} {} (run {run}; `owsync undo {run}` reverts this)\n",
        answer.text("share"),
        texts(answer, "paths").join(", ")
    );
    let unchanged = texts(answer, "unchanged");
    if !unchanged.is_empty() {
        text.push_str(&format!("left unchanged, because they changed since: {}\n", unchanged.join(", ")));
    }
    text
}

/// What a merge would change in the file, and what it would leave out.
fn merge_preview(answer: &Tree) -> String {
    let mut text = match (answer.text("diff"), answer.get("options")) {
        ("", _) => "nothing would change\n".to_string(),
        (_, Some(_)) => history::options(answer),
        (diff, None) => diff.to_string(),
    };
    for lost in texts(answer, "lost") {
        text.push_str(&format!("not taken: {lost}\n"));
    }
    for note in texts(answer, "notes") {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

/// The texts in a list of an answer.
fn texts(answer: &Tree, key: &str) -> Vec<String> {
    record::take(answer, key)
}

/// What a sync came to.
fn sync(answer: &Tree, look: &Look) -> (String, u8) {
    if answer.flag("started") {
        let text = "started; see `owsync status` for the progress\n";
        return (if look.quiet { String::new() } else { text.into() }, 0);
    }
    if answer.flag("in_sync") {
        let text = format!("in sync{}\n", exceptions(&texts(answer, "exceptions")));
        return (if look.quiet { String::new() } else { text }, 0);
    }
    let missing: Vec<String> = texts(answer, "missing").iter().map(|text| format!("  {text}\n")).collect();
    (format!("not in sync:\n{}", missing.concat()), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(name: &str) -> &'static Op {
        crate::ops::named(name).unwrap()
    }

    /// F112: status ends with 0 only where everything is in sync.
    #[test]
    fn the_exit_code_of_status_is_its_verdict() {
        let code = |in_sync: bool| done(op("status"), &Tree::map().with("in_sync", in_sync), &Look::default()).1;
        assert_eq!((code(true), code(false)), (0, 1));
        assert_eq!(done(op("status"), &Tree::map(), &Look::default()).1, 1);
    }

    #[test]
    fn what_was_done_is_said_in_a_line_and_not_at_all_when_quiet() {
        for (name, answer, text) in [
            ("approve", Tree::map().with("share", "main").with("approved", 3u64), "share main: approved: 3\n"),
            ("reject", Tree::map().with("share", "main").with("rejected", 1u64), "share main: rejected: 1\n"),
            ("accept", Tree::map().with("accepted", "r4"), "accepted r4\n"),
            (
                "restore",
                Tree::map().with("share", "main").with("run", 7u64).with("paths", vec![Tree::from("dhcp")]),
                "share main: restored dhcp (run 7; `owsync undo 7` reverts this)\n",
            ),
            (
                "undo",
                Tree::map()
                    .with("share", "main")
                    .with("run", 8u64)
                    .with("paths", vec![Tree::from("dhcp")])
                    .with("unchanged", vec![Tree::from("network")]),
                "share main: restored dhcp (run 8; `owsync undo 8` reverts this)\n\
                 left unchanged, because they changed since: network\n",
            ),
            ("forget", Tree::map().with("forgotten", 2u64), "forgot 2 previous versions\n"),
        ] {
            assert_eq!(done(op(name), &answer, &Look::default()), (text.into(), 0));
            assert_eq!(done(op(name), &answer, &Look { quiet: true, ..Look::default() }), (String::new(), 0));
        }
    }

    #[test]
    fn a_sync_that_is_not_complete_fails_and_says_what_is_missing() {
        let look = Look { quiet: true, ..Look::default() };
        let missing = Tree::map().with("in_sync", false).with("missing", vec![Tree::from("r3: unreachable")]);
        assert_eq!(done(op("sync"), &missing, &look), ("not in sync:\n  r3: unreachable\n".into(), 1));
        assert_eq!(done(op("sync"), &Tree::map().with("in_sync", true), &Look::default()), ("in sync\n".into(), 0));
    }
}
