//! Matches the sections of one text with those of another: of the base of a merge, or of a previous form.

use std::collections::{BTreeMap, VecDeque};

use crate::model::limits;
use crate::uci::part::Part;

/// How a section was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Name and type.
    Name,
    /// The same content.
    Content,
    /// The same option `name`, which no other section of the type has.
    Label,
    /// The only section of its type, before and after.
    Only,
    /// At least half of its options, with no second candidate as near.
    Similarity,
}

impl By {
    /// Whether changes of both sides may be mixed into the section.
    pub(super) fn is_certain(self, base: &Part, side: &Part) -> bool {
        match self {
            By::Name | By::Content | By::Label => true,
            By::Only => base.in_common(side) > 0,
            By::Similarity => false,
        }
    }

    /// Whether the section may as well be a different one.
    fn is_a_guess(self) -> bool {
        matches!(self, By::Only | By::Similarity)
    }
}

/// The sections of a side that were recognised, by index.
#[derive(Debug)]
pub(super) struct Pairs {
    of_base: Vec<Option<(usize, By)>>,
    taken: Vec<bool>,
}

impl Pairs {
    /// Recognises the sections of `base` in `side`.
    pub(super) fn find(base: &[Part], side: &[Part]) -> Pairs {
        let mut pairs = Pairs { of_base: vec![None; base.len()], taken: vec![false; side.len()] };
        pairs.by_name(base, side);
        pairs.by_content(base, side);
        let mut kinds: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        let unnamed = |part: &Part| part.name.is_none();
        for (index, part) in base.iter().enumerate().filter(|(_, part)| unnamed(part)) {
            kinds.entry(&part.kind).or_default().0.push(index);
        }
        for (index, part) in side.iter().enumerate().filter(|(_, part)| unnamed(part)) {
            kinds.entry(&part.kind).or_default().1.push(index);
        }
        for (kind, (before, after)) in kinds {
            pairs.by_label(base, &before, side, &after);
            let of_kind = |parts: &[Part]| parts.iter().filter(|part| part.kind == kind).count();
            if let ([one], [other]) = (before.as_slice(), after.as_slice()) {
                if of_kind(base) == 1 && of_kind(side) == 1 && pairs.is_open(*one, *other) {
                    pairs.pair(*one, *other, By::Only);
                }
            }
            pairs.by_similarity(base, &before, side, &after);
        }
        pairs
    }

    /// The section of the side that a section of the base became, and how it was recognised.
    pub(super) fn other(&self, base: usize) -> Option<(usize, By)> {
        self.of_base[base]
    }

    /// Whether a section of the side is new.
    pub(super) fn is_added(&self, side: usize) -> bool {
        !self.taken[side]
    }

    /// The new sections of the side.
    pub(super) fn added(&self, side: &[Part]) -> Vec<usize> {
        (0..side.len()).filter(|index| self.is_added(*index)).collect()
    }

    /// Sections of the base whose guessed counterpart the other side has as a new section, beside the one it recognised.
    pub(super) fn added_elsewhere(&self, side: &[Part], other: &Pairs, there: &[Part]) -> Vec<usize> {
        let added = other.added(there);
        let guessed = self
            .of_base
            .iter()
            .enumerate()
            .filter_map(|(base, pair)| pair.filter(|(_, by)| by.is_a_guess()).map(|(index, _)| (base, index)));
        let twin = |index: usize| added.iter().any(|added| there[*added] == side[index]);
        guessed.filter(|(base, index)| other.of_base[*base].is_some() && twin(*index)).map(|(base, _)| base).collect()
    }

    /// Takes these sections of the base for removed.
    pub(super) fn drop_pairs(&mut self, bases: &[usize]) {
        for base in bases {
            if let Some((index, _)) = self.of_base[*base].take() {
                self.taken[index] = false;
            }
        }
    }

    fn pair(&mut self, base: usize, side: usize, by: By) {
        self.of_base[base] = Some((side, by));
        self.taken[side] = true;
    }

    fn is_open(&self, base: usize, side: usize) -> bool {
        self.of_base[base].is_none() && !self.taken[side]
    }

    fn by_name(&mut self, base: &[Part], side: &[Part]) {
        let named = side.iter().enumerate().filter_map(|(index, part)| Some((part.name.as_deref()?, index)));
        let named: BTreeMap<&str, usize> = named.collect();
        for (index, part) in base.iter().enumerate() {
            let Some(other) = part.name.as_deref().and_then(|name| named.get(name)).copied() else { continue };
            if side[other].kind == part.kind && self.is_open(index, other) {
                self.pair(index, other, By::Name);
            }
        }
    }

    fn by_content(&mut self, base: &[Part], side: &[Part]) {
        let mut same: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
        for (index, part) in side.iter().enumerate().filter(|(_, part)| part.name.is_none()) {
            same.entry(part.key()).or_default().push_back(index);
        }
        for (index, part) in base.iter().enumerate().filter(|(_, part)| part.name.is_none()) {
            if let Some(other) = same.get_mut(&part.key()).and_then(VecDeque::pop_front) {
                self.pair(index, other, By::Content);
            }
        }
    }

    fn by_label(&mut self, base: &[Part], before: &[usize], side: &[Part], after: &[usize]) {
        let after = unique_labels(side, after);
        for (label, index) in unique_labels(base, before) {
            if let Some(other) = after.get(label).copied().filter(|other| self.is_open(index, *other)) {
                self.pair(index, other, By::Label);
            }
        }
    }

    fn by_similarity(&mut self, base: &[Part], before: &[usize], side: &[Part], after: &[usize]) {
        let before: Vec<usize> = before.iter().copied().filter(|index| self.of_base[*index].is_none()).collect();
        let after: Vec<usize> = after.iter().copied().filter(|index| !self.taken[*index]).collect();
        if before.len() > limits::MERGE_CANDIDATES || after.len() > limits::MERGE_CANDIDATES {
            return;
        }
        let mut candidates = Vec::new();
        for &one in &before {
            for &other in &after {
                candidates.extend(Nearness::of(&base[one], &side[other]).map(|near| (one, other, near)));
            }
        }
        for &(one, other, near) in &candidates {
            let rival =
                |&(a, b, rival): &(usize, usize, Nearness)| (a == one) != (b == other) && !rival.is_farther_than(near);
            if !candidates.iter().any(rival) {
                self.pair(one, other, By::Similarity);
            }
        }
    }
}

/// Pairs the sections that both sides added: by equal content, by name, by the option `name`. The loser's index with the
/// winner's.
pub(super) fn additions(
    winner: &[Part],
    by_winner: &[usize],
    loser: &[Part],
    by_loser: &[usize],
) -> BTreeMap<usize, usize> {
    let mut pairs: BTreeMap<usize, usize> = BTreeMap::new();
    let mut same: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
    for &index in by_winner {
        same.entry(winner[index].key()).or_default().push_back(index);
    }
    for &index in by_loser {
        if let Some(other) = same.get_mut(&loser[index].key()).and_then(VecDeque::pop_front) {
            pairs.insert(index, other);
        }
    }
    let taken: Vec<usize> = pairs.values().copied().collect();
    let open: Vec<usize> = by_winner.iter().copied().filter(|index| !taken.contains(index)).collect();
    let names = open.iter().filter_map(|index| Some((winner[*index].name.as_deref()?, *index)));
    let names: BTreeMap<&str, usize> = names.collect();
    let mut kinds: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    let rest: Vec<usize> = by_loser.iter().copied().filter(|index| !pairs.contains_key(index)).collect();
    let mut named = Vec::new();
    for &index in &rest {
        if let Some(other) = loser[index].name.as_deref().and_then(|name| names.get(name)) {
            pairs.insert(index, *other);
            named.push(*other);
        } else {
            kinds.entry(&loser[index].kind).or_default().1.push(index);
        }
    }
    for &index in open.iter().filter(|index| !named.contains(index)) {
        kinds.entry(&winner[index].kind).or_default().0.push(index);
    }
    for (mine, theirs) in kinds.into_values() {
        let mine = unique_labels(winner, &mine);
        let theirs = unique_labels(loser, &theirs);
        pairs.extend(theirs.into_iter().filter_map(|(label, index)| Some((index, *mine.get(label)?))));
    }
    pairs
}

/// The sections among these whose option `name` no other of them has.
fn unique_labels<'a>(parts: &'a [Part], among: &[usize]) -> BTreeMap<&'a [u8], usize> {
    let mut labels: BTreeMap<&[u8], Option<usize>> = BTreeMap::new();
    for &index in among {
        if let Some(label) = parts[index].label() {
            labels.entry(label).and_modify(|known| *known = None).or_insert(Some(index));
        }
    }
    labels.into_iter().filter_map(|(label, index)| Some((label, index?))).collect()
}

/// How many options of two sections are the same, of how many.
#[derive(Debug, Clone, Copy)]
struct Nearness {
    same: usize,
    of: usize,
}

impl Nearness {
    /// `None` where less than half is the same, or where the option `name` says that they are two.
    fn of(one: &Part, other: &Part) -> Option<Nearness> {
        if one.label().is_some() && other.label().is_some() {
            return None;
        }
        let near = Nearness { same: one.in_common(other), of: one.options.len().max(other.options.len()) };
        (near.same > 0 && 2 * near.same >= near.of).then_some(near)
    }

    fn is_farther_than(self, other: Nearness) -> bool {
        self.same * other.of < other.same * self.of
    }
}
