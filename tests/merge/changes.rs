//! What holds for the list of changes between two texts, over edits from seeds.

use std::collections::BTreeMap;

use owsync::model::escape;
use owsync::uci::changes::{What, changes};
use owsync::uci::merge::Setting;
use owsync::uci::{Package, Value, parse_shared, write};

use crate::dice::Dice;
use crate::edits;
use crate::notation::name;

/// A section as it is compared here: an option's items with whether it is a list; `None` for a marker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    kind: String,
    name: Option<String>,
    options: BTreeMap<String, Option<Plain>>,
}

/// Whether a value is a list, and its items.
type Plain = (bool, Vec<Vec<u8>>);

fn said(text: &[u8]) -> Vec<Said> {
    let package = parse_shared(&name(), text).unwrap();
    let sections = package.sections().iter().map(|section| {
        let options = section.options().map(|(option, value)| (option.to_string(), Some(plain(value))));
        let markers = section.markers().map(|option| (option.to_string(), None));
        Said {
            kind: section.kind().into(),
            name: section.given_name().map(Into::into),
            options: options.chain(markers).collect(),
        }
    });
    sections.collect()
}

fn plain(value: &Value) -> Plain {
    (matches!(value, Value::List(_)), value.items().to_vec())
}

/// Where the section is that a change names.
fn find(sections: &[Said], place: &str) -> usize {
    let found = match place.strip_prefix('@').and_then(|rest| rest.split_once('[')) {
        None => sections.iter().position(|section| section.name.as_deref() == Some(place)),
        Some((kind, rest)) => {
            let of_kind = || sections.iter().enumerate().filter(|(_, section)| section.kind == kind);
            let rest = rest.strip_suffix(']').unwrap();
            match rest.strip_prefix("name=") {
                Some(label) => {
                    let is = |section: &Said| match section.options.get("name") {
                        Some(Some((false, items))) => escape::escape(&items[0]) == label,
                        _ => false,
                    };
                    of_kind().find(|(_, section)| is(section)).map(|(index, _)| index)
                }
                None => of_kind().nth(rest.parse().unwrap()).map(|(index, _)| index),
            }
        }
    };
    found.unwrap_or_else(|| panic!("no section {place}"))
}

/// Items of lists in one order: the list of changes does not say where an item was added.
fn sorted(mut sections: Vec<Said>) -> Vec<Said> {
    for section in &mut sections {
        section.options.values_mut().flatten().for_each(|(_, items)| items.sort());
    }
    sections
}

/// The text of a package with some of its sections elsewhere.
fn reordered(package: &Package, dice: &mut Dice) -> Vec<u8> {
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    for section in package.sections() {
        let mut alone = Package::new(name());
        let made = match section.given_name() {
            Some(given) => alone.named(section.kind(), given),
            None => alone.unnamed(section.kind()),
        };
        let made = made.unwrap();
        for (option, value) in section.options() {
            match value {
                Value::One(value) => made.set(option, value).unwrap(),
                Value::List(items) => made.set_list(option, items).unwrap(),
            }
        }
        chunks.push(write::committed(&alone));
    }
    for _ in 0..1 + dice.below(3) {
        if !chunks.is_empty() {
            let chunk = chunks.remove(dice.below(chunks.len() as u64) as usize);
            chunks.insert(dice.below(chunks.len() as u64 + 1) as usize, chunk);
        }
    }
    chunks.concat()
}

/// Checks the changes between two texts; how many there are, and how many sections moved.
fn check(old: &[u8], new: &[u8], what: &str) -> (usize, usize) {
    let found = changes(&name(), old, new).unwrap();
    let (before, after) = (said(old), said(new));
    assert_eq!(found.is_empty(), before == after, "{what}\n{found:?}");
    assert_eq!(found.lines().count(), found.list.len());

    // What the changes say, done to the old text, gives the new one.
    let mut made: Vec<Option<Said>> = before.iter().cloned().map(Some).collect();
    let (mut moved, mut added) = (Vec::new(), Vec::new());
    let mut adding = false;
    for change in &found.list {
        if let What::SectionAdded { kind } = &change.what {
            adding = true;
            let name = Some(change.section.clone()).filter(|name| !name.starts_with('@'));
            added.push(Said { kind: kind.clone(), name, options: BTreeMap::new() });
            continue;
        }
        let at = if adding { 0 } else { find(&before, &change.section) };
        let section = if adding { added.last_mut() } else { made[at].as_mut() };
        match (&change.what, section) {
            (What::SectionAdded { .. }, _) => unreachable!("handled above"),
            (What::SectionRemoved { kind }, _) => assert_eq!(*kind, before[at].kind),
            (What::Moved, _) => moved.push(at),
            (_, None) => panic!("{what}: {change}"),
            (What::Option { option, from, to }, Some(section)) => {
                let plain = |setting: &Setting| match setting {
                    Setting::Value(value) => Some(plain(value)),
                    Setting::Local => None,
                };
                assert_eq!(section.options.remove(option), from.as_ref().map(plain), "{what}: {change}");
                section.options.extend(to.as_ref().map(|to| (option.clone(), plain(to))));
            }
            (What::ItemAdded { option, item }, Some(section)) => {
                section.options.get_mut(option).unwrap().as_mut().unwrap().1.push(item.clone());
            }
            (What::ItemRemoved { option, item }, Some(section)) => {
                let items = &mut section.options.get_mut(option).unwrap().as_mut().unwrap().1;
                let at = items.iter().position(|known| known == item).unwrap();
                items.remove(at);
            }
        }
    }
    for change in &found.list {
        if let What::SectionRemoved { .. } = change.what {
            let gone = made[find(&before, &change.section)].take().unwrap();
            assert!(gone.options.is_empty(), "{what}: {change}: {gone:?}");
        }
    }
    let stayed = made.iter().enumerate().filter(|(index, _)| !moved.contains(index));
    let stayed: Vec<Said> = sorted(stayed.filter_map(|(_, section)| section.clone()).collect());
    let mut all = sorted(made.into_iter().flatten().chain(added).collect());
    let after = sorted(after);
    // Those that did not move come in the new text in the same order.
    let mut rest = after.iter();
    for section in &stayed {
        assert!(rest.any(|other| other == section), "{what}: the order of {section:?}\n{found:?}");
    }
    let mut after = after;
    all.sort();
    after.sort();
    assert_eq!(all, after, "{what}\n{found:?}");
    (found.list.len(), moved.len())
}

#[test]
fn the_changes_of_edits_make_the_new_text_of_the_old() {
    let mut total = 0;
    for seed in 0..2000 {
        let mut dice = Dice::new(seed);
        let package = edits::package(&mut dice);
        let (old, new) = (write::committed(&package), edits::edited(&package, &mut dice));
        total += check(&old, &new, &format!("seed {seed}")).0;
        check(&new, &old, &format!("seed {seed}, backwards"));
    }
    assert!(total > 4000, "{total} changes");
}

#[test]
fn the_changes_of_real_packages_make_the_new_text_of_the_old() {
    let packages = edits::packages();
    let (mut checked, mut moved) = (0, 0);
    for (n, package) in packages.iter().enumerate() {
        let old = write::committed(package);
        let mut commented = b"# a comment\n".to_vec();
        commented.extend(write::export(package).iter().map(|&b| if b == b'\t' { b' ' } else { b }));
        let has_tab = package
            .sections()
            .iter()
            .any(|section| section.options().any(|(_, value)| value.items().iter().any(|item| item.contains(&b'\t'))));
        if !has_tab {
            assert_eq!(check(&old, &commented, &format!("package {n}, commented")), (0, 0));
        }
        for seed in 0..30 {
            let mut dice = Dice::new(seed * 1000 + n as u64);
            let mut side = package.clone();
            for _ in 0..1 + dice.below(6) {
                edits::mangle(&mut side, &mut dice);
            }
            let mut new = write::committed(&side);
            if seed % 2 == 0 {
                new = reordered(&side, &mut dice);
            }
            // An edit may set an option that another one made local, which no shared text does.
            if parse_shared(&name(), &new).is_ok() {
                checked += 1;
                moved += check(&old, &new, &format!("package {n}, seed {seed}")).1;
            }
        }
    }
    assert!(checked > packages.len() * 20, "{checked} of {} checked", packages.len() * 30);
    assert!(moved > packages.len(), "{moved} sections moved");
}
