//! Renders what belongs to this router in UCI packages.

use crate::cli::render::{Fields, Look, Row, said, table};
use crate::node::api::Tree;

/// The list, or what was shared, and its exit code.
pub fn local(answer: &Tree, look: &Look) -> (String, u8) {
    if answer.get("would_share").is_some() {
        let text = format!(
            "the values of this node would replace those of all others:\n{}run it again with --yes to share them\n",
            shared(answer.list("would_share"))
        );
        return (text, 0);
    }
    if answer.get("shared").is_some() {
        let text = format!("shared with all nodes:\n{}", shared(answer.list("shared")));
        return (if look.quiet { String::new() } else { text }, 0);
    }
    let rows: Vec<Row> = answer.list("local").iter().map(row).collect();
    let mut text = match rows.is_empty() {
        true if look.quiet => String::new(),
        true => "nothing is local\n".to_string(),
        false => table(&["OPTION", "VALUE HERE", "WHY"], &rows),
    };
    for pattern in answer.list("without_match").iter().filter_map(said) {
        text.push_str(&format!("nothing matches local '{pattern}'\n"));
    }
    (text, 0)
}

fn row(one: &Tree) -> Row {
    let value = match one.text("value") {
        _ if !one.text("message").is_empty() => String::new(),
        _ if one.flag("missing") => "none".to_string(),
        value => value.to_string(),
    };
    let why = match (one.text("message"), one.text("pattern")) {
        ("", "") if one.flag("shared") => "shared".to_string(),
        ("", "") => "local on all nodes".to_string(),
        ("", pattern) => format!("local '{pattern}'"),
        (message, _) => message.to_string(),
    };
    Row::Cells(vec![one.text("option").into(), value, why])
}

fn shared(rows: &[Tree]) -> String {
    rows.iter().map(|one| format!("  {} = {}\n", one.text("option"), value(one))).collect()
}

fn value(one: &Tree) -> &str {
    match one.text("value") {
        "" => "nothing",
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_listed_with_its_reason() {
        let row = |option: &str| Tree::map().with("option", option);
        let answer = Tree::map()
            .with(
                "local",
                vec![
                    row("network.lan.ipaddr").with("value", "'10.0.0.1'").with("pattern", "network.lan.ip*"),
                    row("network.wan.macaddr").with("missing", true),
                    row("network.vpn").with("pattern", "network.vpn"),
                    row("network.lan.mtu").with("value", "'1400'").with("shared", true),
                ],
            )
            .with("without_match", vec![Tree::Text("dhcp.lan.x".into())]);
        let text = "OPTION               VALUE HERE  WHY\n\
                    network.lan.ipaddr   '10.0.0.1'  local 'network.lan.ip*'\n\
                    network.wan.macaddr  none        local on all nodes\n\
                    network.vpn                      local 'network.vpn'\n\
                    network.lan.mtu      '1400'      shared\n\
                    nothing matches local 'dhcp.lan.x'\n";
        assert_eq!(local(&answer, &Look::default()), (text.to_string(), 0));
    }
}
