//! Refuses results that make no sense although every part of them does.

use std::collections::{BTreeMap, BTreeSet};

use crate::uci::merge::Texts;
use crate::uci::merge::report::Refusal;
use crate::uci::model::Value;
use crate::uci::part::{Part, Setting};

/// Checks what no side has checked: names that are used and belong to no section any more, and names that two sections
/// would have.
pub(super) fn check(texts: &Texts, merged: &[Part]) -> Result<(), Refusal> {
    let sides = [texts.winner.as_slice(), texts.loser.as_slice()];
    let mut names = BTreeSet::new();
    for part in merged {
        if let Some(name) = part.name.as_deref() {
            if !names.insert(name) {
                return Err(Refusal::TwoOfOneName(name.as_bytes().to_vec()));
            }
        }
    }
    let counts = sides.map(labels);
    for (label, count) in labels(merged) {
        if counts.iter().all(|side| side.get(&label).is_none_or(|there| *there < count)) {
            return Err(Refusal::TwoOfOneName(label.1.to_vec()));
        }
    }
    let known: BTreeSet<&[u8]> = [texts.base.as_slice()].iter().chain(&sides).flat_map(|text| named(text)).collect();
    let dangling = |text: &[Part]| -> BTreeSet<Vec<u8>> {
        let named: BTreeSet<&[u8]> = named(text).collect();
        let gone = |word: &&[u8]| known.contains(word) && !named.contains(word);
        text.iter().flat_map(words).filter(gone).map(<[u8]>::to_vec).collect()
    };
    let [mine, theirs] = sides.map(dangling);
    match dangling(merged).into_iter().find(|word| !mine.contains(word) && !theirs.contains(word)) {
        Some(word) => Err(Refusal::StillNamed(word)),
        None => Ok(()),
    }
}

/// How many sections have a type and an option `name`.
fn labels(text: &[Part]) -> BTreeMap<(&str, &[u8]), usize> {
    let mut counts = BTreeMap::new();
    for part in text {
        if let Some(label) = part.label() {
            *counts.entry((part.kind.as_str(), label)).or_default() += 1;
        }
    }
    counts
}

/// The words that name a section.
fn named(text: &[Part]) -> impl Iterator<Item = &[u8]> {
    text.iter().flat_map(|part| part.name.as_deref().map(str::as_bytes).into_iter().chain(part.label()))
}

/// The words in a section's values that may name a section.
fn words(part: &Part) -> impl Iterator<Item = &[u8]> {
    let values = part.options.iter().filter(|(name, _)| name != "name");
    let items = values.flat_map(|(_, setting)| match setting {
        Setting::Value(value) => Value::items(value),
        Setting::Local => &[],
    });
    items
        .flat_map(|item| item.split(u8::is_ascii_whitespace))
        .map(|word| word.strip_prefix(b"!").unwrap_or(word))
        .filter(|word| !word.is_empty())
}
