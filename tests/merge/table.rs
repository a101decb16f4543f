//! What a merge decides, case by case.

use std::path::Path;

use owsync::uci::merge::{Merged, merge};

use crate::notation::{name, notation, text};

/// What happens: the report of a merge, or why there is none.
fn outcome(base: &[u8], winner: &[u8], loser: &[u8]) -> (Option<Vec<u8>>, Vec<String>, Vec<String>) {
    match merge(&name(), base, winner, loser) {
        Ok(Merged { text, lost, notes }) => (
            Some(text),
            lost.iter().map(ToString::to_string).collect(),
            notes.iter().map(ToString::to_string).collect(),
        ),
        Err(refusal) => (None, vec![refusal.to_string()], Vec::new()),
    }
}

struct Case {
    /// What is claimed.
    claim: &'static str,
    base: &'static str,
    winner: &'static str,
    loser: &'static str,
    /// The result; `None`: not merged.
    merged: Option<&'static str>,
    /// What was lost, or why there is no result.
    report: &'static [&'static str],
}

const fn case(
    claim: &'static str,
    [base, winner, loser]: [&'static str; 3],
    merged: &'static str,
    report: &'static [&'static str],
) -> Case {
    Case { claim, base, winner, loser, merged: Some(merged), report }
}

const fn refused(
    claim: &'static str,
    [base, winner, loser]: [&'static str; 3],
    report: &'static [&'static str],
) -> Case {
    Case { claim, base, winner, loser, merged: None, report }
}

const CASES: &[Case] = &[
    case(
        "a removal is a change, and one of the same option by the other side is a conflict",
        ["interface lan a=1 b=2", "interface lan b=2", "interface lan a=3 b=2"],
        "interface lan b=2",
        &["lan.a: kept nothing, not '3'"],
    ),
    case(
        "of a list, one side removes an item and the other adds one",
        ["dnsmasq - server+1+2 d=lan", "dnsmasq - server+2 d=lan", "dnsmasq - server+1+2+3 d=lan"],
        "dnsmasq - server+2+3 d=lan",
        &[],
    ),
    case(
        "a list that one side reordered takes the other side's addition",
        ["a x l+1+2+3", "a x l+1+2+3+4", "a x l+3+1+2"],
        "a x l+3+1+2+4",
        &[],
    ),
    case(
        "a list of which nothing would be left is one value",
        ["a x l+1+2", "a x l+2", "a x l+1"],
        "a x l+2",
        &["x.l: kept '2', not '1'"],
    ),
    case(
        "an option that became a list on both sides has the items of both",
        ["a x l=1", "a x l+1+2", "a x l+1+3"],
        "a x l+1+2+3",
        &[],
    ),
    case(
        "a section that the winner changed and the loser removed stays",
        ["interface lan a=1 / interface wan p=1", "interface lan a=1 / interface wan p=2", "interface lan a=1"],
        "interface lan a=1 / interface wan p=2",
        &["wan: kept changed, not removed"],
    ),
    refused(
        "a section that one side renamed and the other changed may be the same",
        [
            "interface lan a=1 / interface wan p=dhcp m=1",
            "interface lan a=1 / interface up p=dhcp m=1",
            "interface lan a=1 / interface wan p=dhcp m=2",
        ],
        &["wan was changed on one side; on the other it was removed or replaced"],
    ),
    refused(
        "both sides renamed a section",
        [
            "interface wan p=dhcp / system s h=a",
            "interface up p=dhcp / system s h=b",
            "interface out p=dhcp / system s h=a",
        ],
        &["wan was changed on one side; on the other it was removed or replaced"],
    ),
    case(
        "removing a rule on both sides is no reason against an unrelated new one",
        [
            "rule - name=A src=wan / rule - name=B src=lan / system s h=a",
            "rule - name=B src=lan / rule - name=Z dest=dmz / system s h=a",
            "rule - name=B src=lan / system s h=b",
        ],
        "rule - name=B src=lan / rule - name=Z dest=dmz / system s h=b",
        &[],
    ),
    case(
        "an unnamed section that both changed is the winner's, because its identity is only likely",
        [
            "host - mac=1 ip=1 / host - mac=2 ip=2",
            "host - mac=1 ip=9 / host - mac=2 ip=2",
            "host - mac=1 ip=8 / host - mac=2 ip=2",
        ],
        "host - mac=1 ip=9 / host - mac=2 ip=2",
        &["@host[0].ip: kept '9', not '8'"],
    ),
    case(
        "the only section of its type, rewritten by one side, is not mixed",
        ["defaults - a=1 b=2", "defaults - x=1", "defaults - a=1 b=3"],
        "defaults - x=1",
        &["@defaults[0].b: kept nothing, not '3'"],
    ),
    case(
        "two candidates as near as each other are none",
        ["rule - a=1 b=2 c=3", "rule - a=1 b=2 c=4 / rule - a=1 b=2 c=5", "rule - a=1 b=2 c=3 / system s h=1"],
        "rule - a=1 b=2 c=4 / rule - a=1 b=2 c=5 / system s h=1",
        &[],
    ),
    case(
        "two names are two sections, however similar",
        [
            "rule - name=A a=1 b=2 c=3 / rule - name=C a=1",
            "rule - name=B a=1 b=2 c=3 / rule - name=C a=1",
            "rule - name=A a=1 b=2 c=3 / rule - name=C a=2",
        ],
        "rule - name=B a=1 b=2 c=3 / rule - name=C a=2",
        &[],
    ),
    case(
        "a section that the other side added beside the one it looks like is that section",
        [
            "rule - a=1 b=2 / system s h=1",
            "rule - a=1 b=3 / system s h=1",
            "rule - a=1 b=2 / rule - a=1 b=3 / system s h=2",
        ],
        "rule - a=1 b=3 / system s h=2",
        &[],
    ),
    case(
        "two orders of one type: the winner's",
        [
            "rule - name=A / rule - name=B / rule - name=C",
            "rule - name=B / rule - name=A / rule - name=C",
            "rule - name=C / rule - name=A / rule - name=B",
        ],
        "rule - name=B / rule - name=A / rule - name=C",
        &["order of the rule sections: kept one side's, both changed it"],
    ),
    case(
        "each side reordered another type",
        [
            "rule - name=A / rule - name=B / zone - name=x / zone - name=y",
            "rule - name=B / rule - name=A / zone - name=x / zone - name=y",
            "rule - name=A / rule - name=B / zone - name=y / zone - name=x",
        ],
        "rule - name=B / rule - name=A / zone - name=y / zone - name=x",
        &[],
    ),
    case(
        "a zone renamed with all that names it",
        [
            "zone - name=guest input=DROP / rule - name=A src=guest",
            "zone - name=visitors input=DROP / rule - name=A src=visitors",
            "zone - name=guest input=DROP / rule - name=A src=guest / rule - name=N src=lan",
        ],
        "zone - name=visitors input=DROP / rule - name=A src=visitors / rule - name=N src=lan",
        &[],
    ),
    refused(
        "a zone removed while the other side uses it in a list and negated",
        [
            "zone - name=guest input=DROP / rule - name=A src=lan",
            "rule - name=A src=lan",
            "zone - name=guest input=DROP / rule - name=A src=lan / rule - name=N z+!guest_lan",
        ],
        &["guest is still named, and would be gone"],
    ),
    refused(
        "two sections would have one `name`",
        [
            "zone - name=lan input=DROP / rule - name=A src=wan p=1",
            "zone - name=lan input=DROP / zone z name=iot / rule - name=A src=wan p=1",
            "zone - name=iot input=DROP / rule - name=A src=wan p=1",
        ],
        &["two sections would be named iot"],
    ),
    refused(
        "a section of which the loser changed the type and the winner an option",
        ["a x o=1", "a x o=2", "b x o=1"],
        &["two sections would be named x"],
    ),
    case(
        "values with quotes and blanks stay as they are",
        ["a x o=it's n=1", "a x o=it's_\\ n=1", "a x o=it's n=2"],
        "a x o=it's_\\ n=2",
        &[],
    ),
    case(
        "what one side made local is local, whichever side wins",
        ["interface lan ip=1 m=1", "interface lan ip=2 m=1", "interface lan m=1 ip!"],
        "interface lan m=1 ip!",
        &[],
    ),
    case(
        "what the loser made local is local also where the section is the winner's",
        ["interface lan ip=1 m=1", "interface lan ip=2 m=2", "interface lan m=3 ip!"],
        "interface lan m=2 ip!",
        &["lan.m: kept '2', not '3'"],
    ),
    case(
        "a marker that one side gave up is given up",
        ["interface lan m=1 ip!", "interface lan m=1 ip=1", "interface lan m=2 ip!"],
        "interface lan m=2 ip=1",
        &[],
    ),
    case(
        "a section of one name that both added differently is the winner's",
        ["system s h=1", "system s h=1 / interface g p=static a!", "system s h=1 / interface g p=dhcp b!"],
        "system s h=1 / interface g p=static a! b!",
        &["g.p: kept 'static', not 'dhcp'"],
    ),
    case(
        "a section behind one that the other side removed keeps the next predecessor",
        [
            "rule - name=A / rule - name=B / rule - name=C",
            "rule - name=A / rule - name=C",
            "rule - name=A / rule - name=B / rule - name=N / rule - name=C",
        ],
        "rule - name=A / rule - name=N / rule - name=C",
        &[],
    ),
];

#[test]
fn every_decision_of_the_table() {
    for case in CASES {
        let (base, winner, loser) = (text(case.base), text(case.winner), text(case.loser));
        let (merged, report, _) = outcome(&base, &winner, &loser);
        let merged = merged.as_deref().map(notation);
        let report: Vec<&str> = report.iter().map(String::as_str).collect();
        assert_eq!((merged.as_deref(), report.as_slice()), (case.merged, case.report), "{}", case.claim);
    }
}

#[test]
fn a_side_that_says_what_the_base_says_leaves_the_other_sides_bytes() {
    let base = text("a x o=1 p=2 / b y q=1");
    let said_otherwise: &[u8] =
        b"# a comment\nconfig a x\n  option p 2\n  option o \"1\"\nconfig b 'y'\n\toption q 1\n";
    let other: &[u8] = b"config a x\noption o 9 # new\nconfig b y\n";
    for (winner, loser) in [(said_otherwise, other), (other, said_otherwise)] {
        assert_eq!(outcome(&base, winner, loser), (Some(other.to_vec()), vec![], vec![]));
    }
    assert_eq!(outcome(&base, said_otherwise, &base).0, Some(said_otherwise.to_vec()));
    assert_eq!(outcome(b"no package", b"same", b"same").0, Some(b"same".to_vec()));
}

#[test]
fn what_is_no_package_is_not_merged() {
    let (base, other) = (text("a x o=1"), text("a x o=2"));
    let (merged, report, _) = outcome(&base, &other, b"config a 'x'\n\toption o '1");
    assert_eq!((merged, report), (None, vec!["no UCI package: EOF with unterminated '".to_string()]));
    for bad in
        ["config a x\nlocal o\nlocal o\n", "config a x\noption o 1\nlocal o\n", "config a x\nlocal o\nlist o 1\n"]
    {
        let (merged, report, _) = outcome(&base, &other, bad.as_bytes());
        assert_eq!(
            (merged, report),
            (None, vec!["no UCI package: option marked as local twice, or beside a value".to_string()])
        );
    }
    let many = "a - / ".repeat(5000);
    let (merged, report, _) = outcome(&base, &text(&many), &text("a x o=3"));
    assert_eq!((merged, report), (None, vec!["too many sections".to_string()]));
}

#[test]
fn a_place_where_both_added_is_noted() {
    let (base, winner, loser) = (text("host - m=1"), text("host - m=1 / host - m=2"), text("host - m=1 / host - m=3"));
    let (merged, report, notes) = outcome(&base, &winner, &loser);
    assert_eq!(notation(&merged.unwrap()), "host - m=1 / host - m=2 / host - m=3");
    assert_eq!(report, [""; 0]);
    assert_eq!(notes, ["both sides put a host in the same place: the winner's comes first"]);
}

/// The cases beside the project, where it has them: `base`, `winner`, `loser`, `merged` and `expect`.
#[test]
fn the_cases_beside_the_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/merge-cases/merge");
    let Ok(cases) = std::fs::read_dir(&root) else { return };
    for case in cases.map(|case| case.unwrap().path()) {
        let read = |file: &str| std::fs::read(case.join(file)).ok();
        let (merged, report, notes) =
            outcome(&read("base").unwrap(), &read("winner").unwrap(), &read("loser").unwrap());
        let expected: serde_json::Value = serde_json::from_slice(&read("expect").unwrap()).unwrap();
        let result = match (&merged, report.is_empty()) {
            (Some(_), true) => "merged",
            (Some(_), false) => "lost",
            (None, _) => "whole",
        };
        let lines = |key: &str| {
            expected[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        let wanted = (expected["result"].as_str().unwrap(), read("merged"), lines("report"), lines("notes"));
        assert_eq!((result, merged, report, notes), wanted, "{}", case.display());
    }
}
