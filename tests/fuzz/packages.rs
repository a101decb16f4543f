//! Merges and forms of UCI packages.

use owsync::uci::form::{self, FormError};
use owsync::uci::local::Pattern;
use owsync::uci::merge::{Loss, merge as merged};
use owsync::uci::{self as packages, PackageName, Section};

use super::is_printable;

/// The line between two texts of an input.
const BETWEEN: &[u8] = b"\n====\n";

/// So many texts; what is missing is empty.
fn texts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data;
    std::array::from_fn(|at| {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN).filter(|_| at + 1 < N);
        let text = end.map_or(rest, |end| &rest[..end]);
        rest = end.map_or(&[], |end| &rest[end + BETWEEN.len()..]);
        text
    })
}

fn name() -> PackageName {
    PackageName::parse(b"p").expect("a name")
}

fn sections(text: &[u8]) -> Vec<Section> {
    packages::parse_shared(&name(), text).expect("it was read before").sections().to_vec()
}

/// Every option with each of its values.
fn values(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for section in sections(text) {
        for (option, value) in section.options() {
            all.extend(value.items().iter().map(|item| (option.to_string(), item.clone())));
        }
    }
    all
}

/// Three texts: the base, the winner and the loser.
pub fn merge(data: &[u8]) -> bool {
    let [base, winner, loser] = texts(data);
    for same in [winner, loser] {
        for three in [[base, same, same], [base, base, same], [base, same, base]] {
            let outcome = merged(&name(), three[0], three[1], three[2]);
            assert_eq!(outcome.expect("one side changed nothing").text, same);
        }
    }
    let outcome = match merged(&name(), base, winner, loser) {
        Ok(outcome) => outcome,
        Err(refusal) => {
            assert!(is_printable(&refusal.to_string()), "{refusal}");
            return false;
        }
    };
    assert!(outcome.lost.iter().all(|loss| is_printable(&loss.to_string())));
    assert!(outcome.notes.iter().all(|note| is_printable(&note.to_string())));
    assert_eq!(merged(&name(), base, winner, loser).as_ref(), Ok(&outcome), "the same every time");
    if [base, winner, loser].iter().any(|text| packages::parse_shared(&name(), text).is_err()) {
        // Two of them were the same.
        return false;
    }
    let (in_base, in_winner, in_loser, in_text) = (values(base), values(winner), values(loser), values(&outcome.text));
    for value in &in_text {
        assert!([&in_base, &in_winner, &in_loser].iter().any(|side| side.contains(value)), "{value:?} is of no side");
    }
    for (option, item) in in_loser.iter().filter(|value| !in_base.contains(value) && !in_text.contains(value)) {
        let named = outcome.lost.iter().any(|loss| match loss {
            Loss::Option { option: lost, .. } => lost == option,
            Loss::Section { .. } | Loss::Type { .. } | Loss::Order { .. } => true,
        });
        let is_local = sections(&outcome.text).iter().any(|section| section.is_local(option));
        assert!(named || is_local, "{option} {item:?} is gone: {:?}", outcome.lost);
    }
    true
}

/// Patterns, a line each; a file; its current shared form, or nothing; a shared form that a peer has.
pub fn form(data: &[u8]) -> bool {
    let [lines, file, current, new] = texts(data);
    let lines = lines.split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let patterns: Vec<Pattern> = lines.take(8).filter_map(|line| Pattern::parse(line).ok()).collect();
    let current = Some(current).filter(|text| !text.is_empty());
    let shared = match form::shared(&name(), file, &patterns, current) {
        Ok(shared) => shared,
        Err(error) => {
            assert!(is_printable(&error.to_string()), "{error}");
            return false;
        }
    };
    if packages::parse_shared(&name(), &shared.text).is_err() {
        assert!(!shared.is_local && shared.text == file, "what is no package stays as it is, or waits");
        return false;
    }
    let same = |one: &[u8], other: &[u8]| form::says_the_same(&name(), one, other).expect("both can be read");
    let again = form::shared(&name(), file, &patterns, Some(&shared.text)).expect("the same file again");
    assert!(same(&again.text, &shared.text), "a form of a file changes though the file does not");
    none_is_sent(file, &patterns, current, &shared.text);
    // What says the same as the file has nothing to apply.
    let unchanged = form::apply(&name(), &patterns, Some(file), Some(&shared.text), &shared.text);
    let unchanged = unchanged.expect("the form of a file can be applied to it").text;
    assert!(same(&unchanged, file), "{}", String::from_utf8_lossy(&unchanged));
    let applied = match form::apply(&name(), &patterns, Some(file), Some(&shared.text), new) {
        Ok(applied) => applied,
        Err(error) => {
            assert!(is_printable(&error.to_string()), "{error}");
            return false;
        }
    };
    let after = match form::shared(&name(), &applied.text, &patterns, Some(new)) {
        Ok(after) => after,
        // It waits: without what is local here two sections are the same.
        Err(FormError::Ambiguous) => return false,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&applied.text)),
    };
    // A pattern here may keep what a peer gave a value.
    assert!(!patterns.is_empty() || same(&after.text, new), "{}", String::from_utf8_lossy(&after.text));
    true
}

/// A value that belongs to this router, and that the file has once, is not in the form.
fn none_is_sent(file: &[u8], patterns: &[Pattern], current: Option<&[u8]>, form: &[u8]) {
    let count = |text: &[u8], item: &[u8]| text.windows(item.len()).filter(|window| *window == item).count();
    for value in form::local_values(&name(), file, patterns, current).expect("the form has it too") {
        let Some(owsync::uci::merge::Setting::Value(known)) = &value.value else { continue };
        for item in known.items().iter().filter(|item| item.len() > 5 && count(file, item) == 1) {
            // Something else may be called the same.
            let before = current.map_or(0, |current| count(current, item));
            assert!(count(form, item) <= before, "{value} is sent");
        }
    }
}
