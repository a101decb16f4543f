//! Tests shared and local forms: what is synced, what stays, and where it stays.

use std::path::Path;

use owsync::uci::form::{FormError, apply, local_values, says_the_same, shared};
use owsync::uci::local::Pattern;
use owsync::uci::{Package, PackageName, parse_shared, write};

use crate::dice::Dice;
use crate::edits;
use crate::notation::{name, notation, text};

fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect()
}

struct Case {
    claim: &'static str,
    patterns: &'static [&'static str],
    file: &'static str,
    /// The current shared form; the file's own where there is none yet.
    current: Option<&'static str>,
    new: &'static str,
    shared: &'static str,
    applied: &'static str,
    dropped: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        claim: "a pattern keeps the value here, in both directions",
        patterns: &["p.lan.ip"],
        file: "interface lan ip=1 m=1 / system s h=a",
        current: None,
        new: "interface lan m=2 ip! / system s h=a",
        shared: "interface lan m=1 ip! / system s h=a",
        applied: "interface lan m=2 ip=1 / system s h=a",
        dropped: &[],
    },
    Case {
        claim: "a marker keeps the value here without any pattern",
        patterns: &[],
        file: "interface lan ip=1 m=1",
        current: Some("interface lan m=1 ip!"),
        new: "interface lan m=2 ip!",
        shared: "interface lan m=1 ip!",
        applied: "interface lan m=2 ip=1",
        dropped: &[],
    },
    Case {
        claim: "a value comes from a peer where a pattern covers nothing yet",
        patterns: &["p.lan.ip"],
        file: "interface lan m=1",
        current: None,
        new: "interface lan m=1 ip=9",
        shared: "interface lan m=1",
        applied: "interface lan m=1 ip=9",
        dropped: &[],
    },
    Case {
        claim: "a later pattern excludes what an earlier one covers",
        patterns: &["p.*.ip", "!p.wan"],
        file: "interface lan ip=1 / interface wan ip=2",
        current: None,
        new: "interface lan ip! / interface wan ip=3",
        shared: "interface lan ip! / interface wan ip=2",
        applied: "interface lan ip=1 / interface wan ip=3",
        dropped: &[],
    },
    Case {
        claim: "only some sections of a package are synced",
        patterns: &["p.*", "!p.@rule[name=Allow-*]"],
        file: "zone - name=lan / rule - name=Allow-A p=1 / rule - name=Mine p=2",
        current: None,
        new: "rule - name=Allow-A p=9 / rule - name=Allow-B p=3",
        shared: "rule - name=Allow-A p=1",
        applied: "zone - name=lan / rule - name=Allow-A p=9 / rule - name=Mine p=2 / rule - name=Allow-B p=3",
        dropped: &[],
    },
    Case {
        claim: "a new pattern for a whole section removes it nowhere",
        patterns: &["p.iot"],
        file: "interface lan m=1 / interface iot p=2",
        current: Some("interface lan m=1 / interface iot p=1"),
        new: "interface lan m=2 / interface iot p=1",
        shared: "interface lan m=1 / interface iot p=1",
        applied: "interface lan m=2 / interface iot p=2",
        dropped: &[],
    },
    Case {
        claim: "a section that is removed here, where it is local as a whole, is not created again",
        patterns: &["p.iot"],
        file: "interface lan m=1",
        current: Some("interface lan m=1 / interface iot p=1"),
        new: "interface lan m=2 / interface iot p=3",
        shared: "interface lan m=1 / interface iot p=1",
        applied: "interface lan m=2",
        dropped: &[],
    },
    Case {
        claim: "a section with markers that was renamed here takes them along",
        patterns: &[],
        file: "interface lan2 ip=1 m=1",
        current: Some("interface lan m=1 ip!"),
        new: "interface lan2 m=2 ip!",
        shared: "interface lan2 m=1 ip!",
        applied: "interface lan2 m=2 ip=1",
        dropped: &[],
    },
    Case {
        claim: "of several new sections each may be the renamed one, so no value of any is sent",
        patterns: &[],
        file: "interface a ip=1 m=1 / interface b ip=2 m=5",
        current: Some("interface lan m=1 ip!"),
        new: "interface a m=1 ip! / interface b m=6 ip!",
        shared: "interface a m=1 ip! / interface b m=5 ip!",
        applied: "interface a m=1 ip=1 / interface b m=6 ip=2",
        dropped: &[],
    },
    Case {
        claim: "a section that a peer removed takes its local value to the history",
        patterns: &["p.lan.ip"],
        file: "interface lan ip=1 m=1 / system s h=a",
        current: Some("interface lan m=1 ip! / system s h=a"),
        new: "system s h=a",
        shared: "interface lan m=1 ip! / system s h=a",
        applied: "system s h=a",
        dropped: &["lan.ip = '1'"],
    },
    Case {
        claim: "an unnamed section with a local value is found by the rest of it",
        patterns: &["p.@host.ip"],
        file: "host - mac=1 ip=1 / host - mac=2 ip=2",
        current: Some("host - mac=1 ip! / host - mac=2 ip!"),
        new: "host - mac=0 ip! / host - mac=2 ip! / host - mac=1 ip!",
        shared: "host - mac=1 ip! / host - mac=2 ip!",
        applied: "host - mac=0 / host - mac=2 ip=2 / host - mac=1 ip=1",
        dropped: &[],
    },
];

#[test]
fn every_case_of_the_table() {
    for case in CASES {
        let patterns = patterns(case.patterns);
        let (file, new) = (text(case.file), text(case.new));
        let current = case.current.map(text);
        let form = shared(&name(), &file, &patterns, current.as_deref()).unwrap();
        assert_eq!(notation(&form.text), case.shared, "{}", case.claim);

        let applied = apply(&name(), &patterns, Some(&file), Some(&form.text), &new).unwrap();
        let dropped: Vec<String> = applied.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            (notation(&applied.text).as_str(), dropped.as_slice()),
            (case.applied, &case.dropped.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{}",
            case.claim
        );
    }
}

#[test]
fn a_package_with_nothing_local_keeps_its_bytes() {
    let file = b"# mine\nconfig interface lan\n  option m 1\n";
    let new = b"# theirs\nconfig interface lan\n  option m 2\n";
    let form = shared(&name(), file, &[], None).unwrap();
    assert_eq!((form.text.as_slice(), form.is_local), (&file[..], false));
    assert_eq!(apply(&name(), &[], Some(file), Some(&form.text), new).unwrap().text, new);
}

#[test]
fn a_comment_or_a_local_value_changed_here_is_no_edit() {
    let patterns = patterns(&["p.lan.ip"]);
    let form = |file: &[u8]| shared(&name(), file, &patterns, None).unwrap().text;
    let before = form(b"config interface lan\n option ip 1\n option m 1\n");
    let after = form(b"# a comment\nconfig interface 'lan'\n\toption m '1'\n\toption ip '2'\n");
    assert!(says_the_same(&name(), &before, &after).unwrap());
    let edited = form(b"config interface lan\n option ip 1\n option m 2\n");
    assert!(!says_the_same(&name(), &before, &edited).unwrap());
}

#[test]
fn sections_that_are_the_same_without_their_local_options_are_refused() {
    let patterns = patterns(&["p.@host.ip"]);
    let file = text("host - mac=1 ip=1 / host - mac=1 ip=2");
    assert_eq!(shared(&name(), &file, &patterns, None), Err(FormError::Ambiguous));
    let new = text("host - mac=1 ip! / host - mac=1 ip!");
    assert_eq!(apply(&name(), &[], Some(&text("host - mac=1")), None, &new), Err(FormError::Ambiguous));
}

#[test]
fn an_own_section_with_the_name_of_a_different_one_is_refused() {
    let (file, old, new) = (text("a lan m=1"), text(""), text("b lan m=2"));
    let refused = apply(&name(), &patterns(&["p.@a"]), Some(&file), Some(&old), &new);
    assert_eq!(refused, Err(FormError::NameTaken));
    // The same for what is sent: the form keeps the own section of another router, whose name is used here.
    let (file, current) = (text("b lan m=2"), text("a lan m=1"));
    let refused = shared(&name(), &file, &patterns(&["p.@a"]), Some(&current));
    assert_eq!(refused, Err(FormError::NameTaken));
}

#[test]
fn what_is_local_is_listed_with_its_reason() {
    let patterns = patterns(&["p.lan.ip", "p.iot", "p.gone.x", "p.@rule[0].p"]);
    let file = text("interface lan ip=1 m=1 mac=5 / interface iot p=2 / rule - p=1 / rule - p=2");
    let current = text("interface lan m=1 ip! mac! v! / rule - p! / rule - p=2");
    let values = local_values(&name(), &file, &patterns, Some(&current)).unwrap();
    let listed: Vec<String> =
        values.iter().map(|value| format!("{value} ({})", value.pattern.as_deref().unwrap_or("-"))).collect();
    assert_eq!(
        listed,
        ["lan.ip = '1' (p.lan.ip)", "lan.mac = '5' (-)", "iot (p.iot)", "@rule[0].p = '1' (p.@rule[0].p)"]
    );
    let form = shared(&name(), &file, &patterns, Some(&current)).unwrap();
    assert_eq!(
        (form.missing.as_slice(), form.idle.as_slice()),
        (&["lan.v".to_string()][..], &["p.gone.x".to_string()][..])
    );
    assert_eq!(form.unsteady, ["p.@rule[0].p"]);
}

/// The cases beside the project, where it has them.
#[test]
fn the_cases_beside_the_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/merge-cases/forms");
    let Ok(cases) = std::fs::read_dir(&root) else { return };
    for case in cases.map(|case| case.unwrap().path()) {
        let read = |file: &str| std::fs::read(case.join(file)).ok();
        let local = String::from_utf8(read("local").unwrap()).unwrap();
        let patterns: Vec<Pattern> = local.lines().map(|line| Pattern::parse(line).unwrap()).collect();
        let package = patterns.first().map_or(PackageName::parse(b"network").unwrap(), |first| first.package().clone());
        let file = read("file").unwrap();
        let form = shared(&package, &file, &patterns, read("current").as_deref()).unwrap();
        assert_eq!(Some(&form.text), read("shared").as_ref(), "{}", case.display());
        let Some(new) = read("new") else { continue };
        let applied = apply(&package, &patterns, Some(&file), Some(&form.text), &new).unwrap();
        assert_eq!(Some(&applied.text), read("landed").as_ref(), "{}", case.display());
        let after = shared(&package, &applied.text, &patterns, Some(&new)).unwrap();
        assert_eq!(Some(&after.text), read("shared-after").as_ref(), "{}", case.display());
        let expected: serde_json::Value = serde_json::from_slice(&read("expect").unwrap()).unwrap();
        let dropped: Vec<String> = applied.dropped.iter().map(ToString::to_string).collect();
        assert_eq!(serde_json::json!(dropped), expected["dropped"], "{}", case.display());
    }
}

/// A package, patterns that make some of it local, and an edit of its shared form by another router.
fn random(dice: &mut Dice, package: &Package) -> (Vec<Pattern>, Vec<u8>) {
    let mut patterns = Vec::new();
    for (place, section) in package.referenced() {
        let options: Vec<String> = section.options().map(|(option, _)| option.to_string()).collect();
        if section.given_name().is_some() && dice.chance(30) && !options.is_empty() {
            let option = dice.pick::<String>(&options);
            patterns.push(Pattern::parse(&format!("p.{place}.{option}")).unwrap());
        }
    }
    (patterns, write::committed(package))
}

#[test]
fn the_laws_of_forms_hold() {
    let mut applied_values = 0;
    for seed in 0..600 {
        let mut dice = Dice::new(seed);
        let package = edits::package(&mut dice);
        let (patterns, file) = random(&mut dice, &package);
        let form = shared(&name(), &file, &patterns, None).unwrap();
        // Nothing new changes nothing.
        assert_eq!(
            apply(&name(), &patterns, Some(&file), Some(&form.text), &form.text).unwrap().text,
            file,
            "seed {seed}"
        );

        let mut there = parse_shared(&name(), &form.text).unwrap();
        for _ in 0..1 + dice.below(4) {
            edits::edit(&mut there, &mut dice);
        }
        let new = write::committed(&there);
        let Ok(applied) = apply(&name(), &patterns, Some(&file), Some(&form.text), &new) else { continue };
        let after = shared(&name(), &applied.text, &patterns, Some(&new)).unwrap();
        // What a pattern here keeps though the other router gave it a value is no part of the law.
        let overruled = patterns.iter().any(|pattern| {
            let mut parts = pattern.as_str().splitn(3, '.').skip(1);
            let (section, option) = (parts.next().unwrap(), parts.next().unwrap());
            there.section(section).is_some_and(|section| section.option(option).is_some())
        });
        if !overruled {
            assert!(says_the_same(&name(), &after.text, &new).unwrap(), "seed {seed}");
        }
        // Local values of sections that stay are as they were.
        let landed = parse_shared(&name(), &applied.text).unwrap();
        for pattern in &patterns {
            let mut parts = pattern.as_str().splitn(3, '.').skip(1);
            let (section, option) = (parts.next().unwrap(), parts.next().unwrap());
            if let Some(landed) = landed.section(section) {
                assert_eq!(landed.option(option), package.section(section).unwrap().option(option), "seed {seed}");
                applied_values += 1;
            }
        }
    }
    assert!(applied_values > 500, "{applied_values}");
}
