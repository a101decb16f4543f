//! Renders a preview: what would change, path by path.

use crate::cli::render::{Fields, Row, said, size, table};
use crate::node::api::Tree;

/// What would change, here and on peers; below it what is pending, and what is not known.
pub fn preview(answer: &Tree) -> String {
    let (waiting, going): (Vec<&Tree>, Vec<&Tree>) = answer.list("preview").iter().partition(|one| one.flag("waits"));
    let mut text = match (&going[..], &waiting[..]) {
        ([], []) => "nothing would change\n".to_string(),
        ([], _) => "nothing would change at once\n".to_string(),
        _ => rows(&going),
    };
    if !waiting.is_empty() {
        text.push_str(&format!("\npending, for the reason under WHY:\n{}", rows(&waiting)));
    }
    let listed = i64::try_from(going.len() + waiting.len()).unwrap_or(i64::MAX);
    let rest = answer.number("count").unwrap_or(0).saturating_sub(listed);
    if rest > 0 {
        text.push_str(&format!("and {rest} more\n"));
    }
    let deviations = answer.list("deviations");
    if !deviations.is_empty() {
        text.push('\n');
    }
    for one in deviations {
        let (share, path) = (one.text("share"), one.text("path"));
        text.push_str(&format!("local deviation: {share}:{path}: {}\n", one.text("message")));
    }
    let listed = i64::try_from(deviations.len()).unwrap_or(i64::MAX);
    let rest = answer.number("deviations_count").unwrap_or(0).saturating_sub(listed);
    if rest > 0 {
        text.push_str(&format!("local deviation: and {rest} more\n"));
    }
    let unknown = answer.list("unknown");
    if !unknown.is_empty() {
        text.push('\n');
    }
    for one in unknown {
        text.push_str(&format!("{}, share {}: {}\n", one.text("peer"), one.text("share"), one.text("message")));
    }
    text
}

fn rows(list: &[&Tree]) -> String {
    let rows: Vec<Row> = list
        .iter()
        .flat_map(|one| {
            let cells = Row::Cells(vec![
                one.text("where").into(),
                one.text("what").into(),
                size(one.number("size").unwrap_or(0).unsigned_abs()),
                one.text("peer").into(),
                format!("{}:{}", one.text("share"), one.text("path")),
                one.text("why").into(),
            ]);
            std::iter::once(cells).chain(options(one).into_iter().map(Row::Note))
        })
        .collect();
    table(&["WHERE", "WHAT", "SIZE", "PEER", "PATH", "WHY"], &rows)
}

/// The options that would change in a package, a line each.
fn options(one: &Tree) -> Vec<String> {
    let list = one.list("options");
    let mut lines: Vec<String> = list.iter().filter_map(said).map(str::to_string).collect();
    if lines.is_empty() && one.get("options").is_some() {
        lines.push("no option changes: only comments, quotes or the order of options".into());
    }
    let listed = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let rest = one.number("options_count").unwrap_or(0).saturating_sub(listed);
    if rest > 0 {
        lines.push(format!("and {rest} more options"));
    }
    match one.text("options_unknown") {
        "" => {}
        why => lines.push(format!("options not compared: {why}")),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, place: &str, what: &str, why: &str) -> Tree {
        Tree::map()
            .with("share", "main")
            .with("peer", "r2")
            .with("path", path)
            .with("where", place)
            .with("what", what)
            .with("size", 900u64)
            .with("why", why)
    }

    #[test]
    fn options_that_would_change_are_listed_below_their_package() {
        let options = |texts: &[&str]| texts.iter().map(|text| Tree::from(*text)).collect::<Vec<_>>();
        let list = vec![
            one("dhcp", "there", "changed", "changed here")
                .with("options", options(&["dhcp.lan.limit: '150' -> '200'", "dhcp.lan.start: added '9'"]))
                .with("options_count", 5u64),
            one("system", "here", "changed", "changed there").with("options", options(&[])),
            one("network", "here", "changed", "changed there").with("options_unknown", "too many packages differ"),
        ];
        assert_eq!(
            preview(&Tree::map().with("preview", list).with("count", 3u64)),
            "WHERE  WHAT     SIZE   PEER  PATH          WHY\n\
             there  changed  900 B  r2    main:dhcp     changed here\n    \
             dhcp.lan.limit: '150' -> '200'\n    \
             dhcp.lan.start: added '9'\n    \
             and 3 more options\n\
             here   changed  900 B  r2    main:system   changed there\n    \
             no option changes: only comments, quotes or the order of options\n\
             here   changed  900 B  r2    main:network  changed there\n    \
             options not compared: too many packages differ\n"
        );
    }

    #[test]
    fn changes_come_before_what_is_pending_and_what_is_not_known() {
        let list = vec![
            one("dhcp", "there", "changed", "changed here"),
            one("system", "here", "deleted", "deleted there"),
            one("network", "here", "changed", "the share is held there").with("waits", true),
        ];
        let unknown = Tree::map().with("share", "main").with("peer", "r3").with("message", "not connected");
        let answer = Tree::map().with("preview", list).with("count", 5u64).with("unknown", vec![unknown]);

        assert_eq!(
            preview(&answer),
            "WHERE  WHAT     SIZE   PEER  PATH         WHY\n\
             there  changed  900 B  r2    main:dhcp    changed here\n\
             here   deleted  900 B  r2    main:system  deleted there\n\
             \n\
             pending, for the reason under WHY:\n\
             WHERE  WHAT     SIZE   PEER  PATH          WHY\n\
             here   changed  900 B  r2    main:network  the share is held there\n\
             and 2 more\n\
             \n\
             r3, share main: not connected\n"
        );
        assert_eq!(preview(&Tree::map().with("preview", Vec::new())), "nothing would change\n");
        let deviation = Tree::map().with("share", "main").with("path", "own").with("message", "changed here");
        let answer = Tree::map().with("preview", Vec::new()).with("deviations", vec![deviation]);
        assert_eq!(
            preview(&answer.with("deviations_count", 3u64)),
            "nothing would change\n\nlocal deviation: main:own: changed here\nlocal deviation: and 2 more\n"
        );
        let waits =
            Tree::map().with("preview", vec![one("dhcp", "there", "sent", "not connected").with("waits", true)]);
        assert!(preview(&waits).starts_with("nothing would change at once\n\npending, for the reason under WHY:\n"));
    }
}
