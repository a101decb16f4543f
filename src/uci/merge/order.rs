//! Puts the sections of a merge in order.
//!
//! Sections of the base keep the order of the side that changed it; new ones keep their predecessor. In UCI the order
//! among sections of one type can matter (firewall rules are tried in turn), so orders are compared within a type.

use std::collections::BTreeMap;

use crate::uci::merge::report::{Loss, Note};
use crate::uci::merge::{Merge, Origin};
use crate::uci::pairs::Pairs;
use crate::uci::part::Part;

/// The sections of the result, in order. What was lost or is worth a note is added to the merge.
pub(super) fn in_order(merge: &mut Merge<'_>) -> Vec<Part> {
    let mut order: Vec<Origin> = of_the_base(merge).into_iter().map(Origin::Base).collect();
    let winner: Vec<Option<Origin>> = origins(merge, true);
    let mut previous = None;
    let mut put = Vec::new();
    for origin in winner.into_iter().flatten() {
        if !order.contains(&origin) {
            order.insert(behind(&order, previous), origin);
            put.push(origin);
        }
        previous = Some(origin);
    }
    let loser: Vec<Option<Origin>> = origins(merge, false);
    previous = None;
    let mut noted: Vec<String> = Vec::new();
    for origin in loser.into_iter().flatten() {
        if !order.contains(&origin) {
            let mut at = behind(&order, previous);
            while let Some(other) = order.get(at).filter(|other| put.contains(other)) {
                let kind = merge.result[&origin].kind.clone();
                let added = matches!((other, origin), (Origin::Winner(_), Origin::Loser(_)));
                if added && merge.result[other].kind == kind && !noted.contains(&kind) {
                    merge.notes.push(Note::SamePlace(kind.clone()));
                    noted.push(kind);
                }
                at += 1;
            }
            order.insert(at, origin);
        }
        previous = Some(origin);
    }
    order.into_iter().filter_map(|origin| merge.result.get(&origin).cloned()).collect()
}

fn behind(order: &[Origin], previous: Option<Origin>) -> usize {
    previous.and_then(|previous| order.iter().position(|origin| *origin == previous)).map_or(0, |at| at + 1)
}

/// The sections of a side that are in the result, in the side's order, by where they come from.
fn origins(merge: &Merge<'_>, winner: bool) -> Vec<Option<Origin>> {
    let (pairs, len) =
        if winner { (&merge.winner, merge.texts.winner.len()) } else { (&merge.loser, merge.texts.loser.len()) };
    let mut origins: Vec<Option<Origin>> = (0..len)
        .map(|index| match (winner, merge.added_by_both.get(&index)) {
            (true, _) => Some(Origin::Winner(index)),
            (false, Some(other)) => Some(Origin::Winner(*other)),
            (false, None) => Some(Origin::Loser(index)),
        })
        .collect();
    for base in 0..merge.texts.base.len() {
        if let Some((index, _)) = pairs.other(base) {
            origins[index] = Some(Origin::Base(base));
        }
    }
    origins.into_iter().map(|origin| origin.filter(|origin| merge.result.contains_key(origin))).collect()
}

/// The sections of the base that both sides have, in the order of the side that changed it, type by type.
fn of_the_base(merge: &mut Merge<'_>) -> Vec<usize> {
    let both = |index: &usize| {
        let there = merge.winner.other(*index).is_some() && merge.loser.other(*index).is_some();
        there && merge.result.contains_key(&Origin::Base(*index))
    };
    let was: Vec<usize> = (0..merge.texts.base.len()).filter(both).collect();
    let by = |pairs: &Pairs| {
        let mut order = was.clone();
        order.sort_by_key(|index| pairs.other(*index).map(|(other, _)| other));
        order
    };
    let (mine, theirs) = (by(&merge.winner), by(&merge.loser));
    let kind = |index: usize| merge.texts.base[index].kind.as_str();
    let mut kinds: BTreeMap<&str, std::vec::IntoIter<usize>> = BTreeMap::new();
    let mut lost = Vec::new();
    for &index in &was {
        let of = kind(index);
        if kinds.contains_key(of) {
            continue;
        }
        let only = |order: &[usize]| order.iter().copied().filter(|index| kind(*index) == of).collect::<Vec<_>>();
        let (was, mine, theirs) = (only(&was), only(&mine), only(&theirs));
        if mine != was && theirs != was && mine != theirs {
            lost.push(Loss::Order { kind: of.to_string() });
        }
        kinds.insert(of, if mine == was { theirs } else { mine }.into_iter());
    }
    let places = if mine == was { &theirs } else { &mine };
    let order = places.iter().filter_map(|index| kinds.get_mut(kind(*index))?.next()).collect();
    merge.lost.extend(lost);
    order
}
