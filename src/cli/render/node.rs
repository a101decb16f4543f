//! Renders who a node is, and what it counts.

use crate::cli::render::{Look, Row, size, table};
use crate::daemon::status::DaemonStatus;
use crate::node::api::Tree;
use crate::node::api::status::Identity;

/// Who this node is, what was put in force, the counters, and the latest events.
pub fn details(status: &DaemonStatus, look: &Look) -> String {
    let node = &status.node;
    let mut text = format!("\n{}", identity(&node.identity));
    let config = status.config.as_deref().unwrap_or_default();
    for (word, value) in [
        ("version", node.version.as_str()),
        ("config", config),
        ("database", &status.database),
        ("listening on", &status.listen.join(", ")),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{word:<14} {value}\n"));
        }
    }
    let in_force: Vec<Row> = status
        .in_force
        .iter()
        .map(|(name, notice)| {
            let time = look.since(notice.notified.as_secs());
            Row::Cells(vec![name.clone(), time, notice.failed.clone().unwrap_or_default()])
        })
        .collect();
    if !in_force.is_empty() {
        text.push_str(&format!("\n{}\n", table(&["RELOAD", "NOTIFIED", "FAILED"], &in_force)));
    }
    if let Tree::Map(counters) = Tree::from(&node.counters) {
        for (name, value) in counters {
            let Tree::Int(number) = value else { continue };
            let number = u64::try_from(number).unwrap_or(0);
            let shown = if name.ends_with("_bytes") { size(number) } else { number.to_string() };
            text.push_str(&format!("{:<14} {shown}\n", name.trim_end_matches("_bytes")));
        }
    }
    let events: Vec<Row> = node
        .events
        .iter()
        .map(|event| Row::Cells(vec![look.moment(event.time.as_secs()), event.event.clone(), event.text.clone()]))
        .collect();
    if !events.is_empty() {
        text.push_str(&format!("\n{}", table(&["TIME", "EVENT", "WHAT"], &events)));
    }
    text
}

/// Who this node is.
pub fn identity(identity: &Identity) -> String {
    let mut text = String::new();
    let mut line = |word: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{word:<14} {value}\n"));
        }
    };
    line("name", &identity.name);
    line("node", &identity.node);
    line("public key", identity.public_key.as_deref().unwrap_or_default());
    line("key", &fingerprint(identity));
    line("reference", identity.reference.map_or("", |is| if is { "yes" } else { "no" }));
    text
}

fn fingerprint(identity: &Identity) -> String {
    match (&identity.key_fingerprint, identity.encryption) {
        (Some(fingerprint), _) => format!("fingerprint {fingerprint} (compare it on every node)"),
        (None, Some(false)) => "none: plain mode".into(),
        (None, _) => String::new(),
    }
}
