//! Renders previous versions, and what changed between them.

use std::fmt::Write as _;

use crate::cli::render::{Fields, Look, Row, said, size, table};
use crate::model::escape;
use crate::node::api::Tree;

/// The list of previous versions, whose last column is what `show`, `diff` and `restore` take, and what was sent.
pub fn log(answer: &Tree, look: &Look) -> String {
    let sent = answer.list("sent");
    let mut text = versions(answer.list("versions"), look);
    if !sent.is_empty() {
        text.push_str("\nsent since owsync started:\n");
        let rows: Vec<Row> = sent.iter().map(|one| Row::Cells(sent_cells(one, look))).collect();
        text.push_str(&table(&["TIME", "TOOK", "TO", "PATHS"], &rows));
    }
    text
}

/// When, how fast, to whom and what was sent.
fn sent_cells(one: &Tree, look: &Look) -> Vec<String> {
    let names = |key: &str| one.list(key).iter().filter_map(said).collect::<Vec<_>>();
    let paths: Vec<String> = names("paths").iter().map(|path| format!("{}:{path}", one.text("share"))).collect();
    let more = one.number("files").unwrap_or(0) - i64::try_from(paths.len()).unwrap_or(0);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let took = one.number("took_ms").unwrap_or(0);
    vec![
        one.number("time").map(|time| look.moment(time)).unwrap_or_default(),
        format!("{}.{} s", took / 1000, took % 1000 / 100),
        names("peers").join(", "),
        format!("{}{more}", paths.join(", ")),
    ]
}

fn versions(versions: &[Tree], look: &Look) -> String {
    if versions.is_empty() {
        return "no previous versions\n".into();
    }
    let rows: Vec<Row> = versions
        .iter()
        .map(|version| {
            // The path did not exist before.
            let nothing = version.text("kind") == "deleted";
            let of = |text: String| if nothing { "-".into() } else { text };
            Row::Cells(vec![
                version.number("number").unwrap_or(0).to_string(),
                version.number("time").map(|time| look.moment(time)).unwrap_or_default(),
                version.text("node").into(),
                version.number("run").unwrap_or(0).to_string(),
                version.text("why").into(),
                of(size(version.number("size").unwrap_or(0).unsigned_abs())),
                of(version.text("mode").into()),
                name(version),
            ])
        })
        .collect();
    table(&["NO", "TIME", "NODE", "RUN", "WHY", "SIZE", "MODE", "PATH"], &rows)
}

fn name(version: &Tree) -> String {
    format!("{}:{}@{}", version.text("share"), version.text("path"), version.number("number").unwrap_or(0))
}

/// The options that differ, a line each.
pub fn options(answer: &Tree) -> String {
    let list = answer.list("options");
    let mut text: String = list.iter().map(|one| format!("{}\n", one.text("text"))).collect();
    if list.is_empty() && answer.flag("same_text") {
        text.push_str("no difference\n");
    } else if list.is_empty() {
        text.push_str("no option differs: only comments, quotes or the order of options\n");
    }
    if answer.flag("truncated") {
        text.push_str("and more, which the answer has no room for\n");
    }
    text
}

/// A diff; on a terminal in colours, and without anything that moves its cursor.
pub fn diff(answer: &Tree, look: &Look) -> String {
    if answer.get("options").is_some() {
        return options(answer);
    }
    let text = answer.text("diff");
    if text.is_empty() {
        return "no difference\n".into();
    }
    if !look.colour {
        return text.to_string();
    }
    let mut shown = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let line = line.split('\t').map(escape::visible).collect::<Vec<_>>().join("\t");
        // SGR codes of ECMA-48: bold, cyan, red, green, and back to normal.
        let colour = match line.as_bytes() {
            [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => "1",
            [b'@', b'@', ..] => "36",
            [b'-', ..] => "31",
            [b'+', ..] => "32",
            _ => "",
        };
        let _ = match colour {
            "" => writeln!(shown, "{line}"),
            colour => writeln!(shown, "\x1b[{colour}m{line}\x1b[0m"),
        };
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_with_what_restore_takes() {
        let version = Tree::map()
            .with("number", 12u64)
            .with("share", "main")
            .with("path", "dhcp")
            .with("time", 1_795_162_500i64)
            .with("node", "r2")
            .with("run", 7u64)
            .with("why", "conflict")
            .with("size", 1200u64)
            .with("mode", "0644");
        let look = Look { now: 1_795_162_530, ..Look::default() };

        assert_eq!(
            log(&Tree::map().with("versions", vec![version]), &look),
            "NO  TIME      NODE  RUN  WHY       SIZE     MODE  PATH\n\
             12  08:15:00  r2    7    conflict  1.1 KiB  0644  main:dhcp@12\n"
        );
        assert_eq!(log(&Tree::map(), &look), "no previous versions\n");

        let sent = Tree::map()
            .with("share", "main")
            .with("time", 1_795_162_500i64)
            .with("took_ms", 430u64)
            .with("files", 3u64)
            .with("paths", vec![Tree::from("dhcp"), Tree::from("firewall")])
            .with("peers", vec![Tree::from("r2"), Tree::from("r3")]);
        assert_eq!(
            log(&Tree::map().with("sent", vec![sent]), &look),
            "no previous versions\n\n\
             sent since owsync started:\n\
             TIME      TOOK   TO      PATHS\n\
             08:15:00  0.4 s  r2, r3  main:dhcp, main:firewall and 1 more\n"
        );

        let created = Tree::map().with("why", "created").with("kind", "deleted").with("mode", "0000");
        let text = log(&Tree::map().with("versions", vec![created]), &look);
        assert!(text.contains("created  -     -     "), "{text}");
    }

    #[test]
    fn options_that_differ_are_lines_and_a_text_that_says_the_same_is_named() {
        let one = |text: &str| Tree::map().with("section", "lan").with("text", text);
        let answer = |list: Vec<Tree>| Tree::map().with("options", list);
        let look = Look { colour: true, ..Look::default() };
        let some = answer(vec![one("dhcp.lan.limit: '1' -> '2'"), one("dhcp.@host[name=a]: moved")]);
        assert_eq!(diff(&some, &look), "dhcp.lan.limit: '1' -> '2'\ndhcp.@host[name=a]: moved\n");
        assert!(diff(&some.with("truncated", true), &look).ends_with("\nand more, which the answer has no room for\n"));
        assert_eq!(diff(&answer(Vec::new()).with("same_text", true), &look), "no difference\n");
        assert_eq!(
            diff(&answer(Vec::new()).with("same_text", false), &look),
            "no option differs: only comments, quotes or the order of options\n"
        );
    }

    #[test]
    fn a_diff_is_coloured_and_harmless_on_a_terminal_only() {
        let answer = Tree::map().with("diff", "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+\ty\u{1b}[2J\n z\n");
        let plain = Look::default();
        assert_eq!(diff(&answer, &plain), answer.text("diff"));
        assert_eq!(
            diff(&answer, &Look { colour: true, ..plain }),
            "\x1b[1m--- a\x1b[0m\n\x1b[1m+++ b\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n\x1b[31m-x\x1b[0m\n\x1b[32m+\ty\\x1b[2J\x1b[0m\n z\n"
        );
    }
}
