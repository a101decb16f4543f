//! Who a node is, and what it counts.

use crate::cli::render::{Fields, Look, Row, said, size, table};
use crate::node::api::Tree;

/// Who this node is, what was put in force, the counters, and what happened lately.
pub fn details(status: &Tree, look: &Look) -> String {
    let mut text = format!("\n{}", identity(status));
    let listening: Vec<&str> = status.list("listen").iter().filter_map(said).collect();
    let texts = ["version", "config", "database"].map(|key| (key, status.text(key).to_string()));
    for (word, value) in texts.into_iter().chain([("listening on", listening.join(", "))]) {
        if !value.is_empty() {
            text.push_str(&format!("{word:<14} {value}\n"));
        }
    }
    let in_force: Vec<Row> = status
        .table("in_force")
        .iter()
        .map(|(name, notice)| {
            let time = notice.number("notified").map(|at| look.since(at)).unwrap_or_default();
            Row::Cells(vec![name.clone(), time, notice.text("failed").into()])
        })
        .collect();
    if !in_force.is_empty() {
        text.push_str(&format!("\n{}\n", table(&["IN FORCE", "NOTIFIED", "FAILED"], &in_force)));
    }
    for (name, value) in status.table("counters") {
        if let Tree::Int(number) = value {
            let shown = if name.ends_with("_bytes") { size(*number) } else { number.to_string() };
            text.push_str(&format!("{:<14} {shown}\n", name.trim_end_matches("_bytes")));
        }
    }
    let events: Vec<Row> = status
        .list("events")
        .iter()
        .map(|event| {
            let time = event.number("time").map(|at| look.moment(at)).unwrap_or_default();
            Row::Cells(vec![time, event.text("event").into(), event.text("text").into()])
        })
        .collect();
    if !events.is_empty() {
        text.push_str(&format!("\n{}", table(&["TIME", "EVENT", "WHAT"], &events)));
    }
    text
}

/// Who this node is.
pub fn identity(identity: &Tree) -> String {
    let mut text = String::new();
    let mut line = |word: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{word:<14} {value}\n"));
        }
    };
    line("name", identity.text("name"));
    line("node", identity.text("node"));
    line("public key", identity.text("public_key"));
    line("key", &fingerprint(identity));
    let reference = if identity.flag("reference") { "yes" } else { "no" };
    line("reference", if identity.get("reference").is_some() { reference } else { "" });
    text
}

fn fingerprint(identity: &Tree) -> String {
    match (identity.text("key_fingerprint"), identity.get("encryption")) {
        ("", Some(Tree::Bool(false))) => "none: plain mode".into(),
        ("", _) => String::new(),
        (fingerprint, _) => format!("fingerprint {fingerprint} (compare it on every node)"),
    }
}
