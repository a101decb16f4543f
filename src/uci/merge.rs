//! Merges UCI packages in three ways, by section and option.
//!
//! [`merge`] takes the common *base* and the texts of both sides. One of them is the *winner*: wherever both changed the
//! same thing, its value stays and the other side's is reported, option by option. What cannot be merged safely is not
//! merged at all: then the caller uses the winner's text as it is.
//!
//! # Guarantees
//! - The result depends on the three texts and on who wins, and on nothing else: every router that merges gets the same
//!   bytes.
//! - Every section of the result comes from a side, and every change of the loser is in the result or in the report.
//! - If a side is the base, or says the same, the result is the other side's bytes.
//! - A result that no user has seen makes sense: nothing in it names a section that the merge removed.
//!
//! # Identity of sections
//! A named section is the one with its name and type. Position (`@rule[3]`) and the name that libuci generates are no
//! identity, so an unnamed section is recognised by its content, by its option `name`, as the only one of its type, or by
//! similarity, in this order; never where there are two candidates. A section recognised only by similarity is never
//! mixed: where both sides changed it, the winner's stays.
//!
//! A known limit: a copy of an unnamed section can be taken for the original.
//!
//! Texts are shared forms: a line `local NAME` (a marker) stands for a value that every router has for itself. An option
//! that one side made local is local in the result, whichever side wins.
//!
//! Why not a merge by lines? On the same pairs of edits it gave four times as many needless conflicts, and texts that
//! neither side wrote: an address of one side with the netmask of the other.

mod list;
mod order;
mod report;
mod sense;

use std::collections::BTreeMap;

use crate::model::limits;
use crate::uci::model::Value;
use crate::uci::name::PackageName;
use crate::uci::pairs::{self, By, Pairs};
use crate::uci::parse::parse_shared;
use crate::uci::part::{self, Part, into_parts, package};
use crate::uci::write;

pub use crate::uci::part::Setting;
pub use report::{Fate, Loss, Note, Refusal, Side};

/// A text that holds the changes of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The text: one side's own bytes where the other changed nothing, else what `uci commit` would write.
    pub text: Vec<u8>,
    /// Changes of the loser that are not in the text.
    pub lost: Vec<Loss>,
    /// What a user may want to read again, though nothing is lost.
    pub notes: Vec<Note>,
}

/// Merges what two sides made of `base`.
///
/// The name only stands in the parsed packages. Takes the time of a few parses and memory in proportion to the texts;
/// only similar unnamed sections are compared with each other, at most 64 with 64 of a type.
///
/// # Errors
/// Why the texts cannot be merged safely.
pub fn merge(name: &PackageName, base: &[u8], winner: &[u8], loser: &[u8]) -> Result<Merged, Refusal> {
    let whole = |text: &[u8]| Ok(Merged { text: text.to_vec(), lost: Vec::new(), notes: Vec::new() });
    if winner == loser || loser == base {
        return whole(winner);
    }
    if winner == base {
        return whole(loser);
    }
    let read = |side, text| parse_shared(name, text).map(into_parts).map_err(|error| Refusal::NoPackage(side, error));
    let texts =
        Texts { base: read(Side::Base, base)?, winner: read(Side::Winner, winner)?, loser: read(Side::Loser, loser)? };
    if texts.says_the_same(Side::Base, Side::Loser) || texts.says_the_same(Side::Winner, Side::Loser) {
        return whole(winner);
    }
    if texts.says_the_same(Side::Base, Side::Winner) {
        return whole(loser);
    }
    if [&texts.base, &texts.winner, &texts.loser].iter().any(|text| text.len() > limits::MERGE_SECTIONS) {
        return Err(Refusal::TooManySections);
    }
    let mut merge = Merge::new(&texts);
    merge.sections()?;
    let sections = order::in_order(&mut merge);
    sense::check(&texts, &sections)?;
    let Merge { lost, notes, .. } = merge;
    // A merge happens on routers with little memory: what is not needed any more goes before more is made.
    drop(texts);
    let text = write::committed(&package(name, &sections));
    let again = read(Side::Merged, &text)?;
    if again != sections {
        return Err(Refusal::Unreadable);
    }
    Ok(Merged { text, lost, notes })
}

/// The three texts.
struct Texts {
    base: Vec<Part>,
    winner: Vec<Part>,
    loser: Vec<Part>,
}

impl Texts {
    fn of(&self, side: Side) -> &[Part] {
        match side {
            Side::Base | Side::Merged => &self.base,
            Side::Winner => &self.winner,
            Side::Loser => &self.loser,
        }
    }

    fn says_the_same(&self, one: Side, other: Side) -> bool {
        self.of(one) == self.of(other)
    }
}

/// Where a section of the result comes from: its index in the base, or in the side that added it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Base(usize),
    Winner(usize),
    Loser(usize),
}

/// A merge under way.
struct Merge<'a> {
    texts: &'a Texts,
    winner: Pairs,
    loser: Pairs,
    /// Sections that the loser added and the winner has too, by their indexes.
    added_by_both: BTreeMap<usize, usize>,
    result: BTreeMap<Origin, Part>,
    lost: Vec<Loss>,
    notes: Vec<Note>,
}

/// What a side did to a section of the base.
enum Change<'a> {
    Removed,
    Kept(&'a Part),
    Changed(&'a Part, By),
}

impl<'a> Change<'a> {
    fn of(base: &Part, pair: Option<(usize, By)>, side: &'a [Part]) -> Change<'a> {
        match pair {
            None => Change::Removed,
            Some((other, _)) if side[other] == *base => Change::Kept(&side[other]),
            Some((other, by)) => Change::Changed(&side[other], by),
        }
    }
}

impl<'a> Merge<'a> {
    fn new(texts: &'a Texts) -> Merge<'a> {
        let mut winner = Pairs::find(&texts.base, &texts.winner);
        let mut loser = Pairs::find(&texts.base, &texts.loser);
        // A section that the other side added beside the one it was taken for is that section, not a change.
        let undone = (
            winner.added_elsewhere(&texts.winner, &loser, &texts.loser),
            loser.added_elsewhere(&texts.loser, &winner, &texts.winner),
        );
        winner.drop_pairs(&undone.0);
        loser.drop_pairs(&undone.1);
        Merge {
            texts,
            winner,
            loser,
            added_by_both: BTreeMap::new(),
            result: BTreeMap::new(),
            lost: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn sections(&mut self) -> Result<(), Refusal> {
        self.pair_additions();
        for index in 0..self.texts.base.len() {
            self.section(index)?;
        }
        for (index, part) in self.texts.winner.iter().enumerate().filter(|(index, _)| self.winner.is_added(*index)) {
            self.result.insert(Origin::Winner(index), part.clone());
        }
        for (index, part) in self.texts.loser.iter().enumerate().filter(|(index, _)| self.loser.is_added(*index)) {
            if !self.added_by_both.contains_key(&index) {
                self.result.insert(Origin::Loser(index), part.clone());
            }
        }
        let both: Vec<(usize, usize)> = self.added_by_both.iter().map(|(loser, winner)| (*loser, *winner)).collect();
        for (loser, winner) in both {
            let (mine, theirs) = (&self.texts.winner[winner], &self.texts.loser[loser]);
            let place = part::place(&self.texts.winner, winner);
            let part = self.winners(&place, None, mine, theirs);
            self.result.insert(Origin::Winner(winner), part);
        }
        Ok(())
    }

    /// Finds the sections that both sides added: the same content, name or option `name`.
    fn pair_additions(&mut self) {
        let winner = self.winner.added(&self.texts.winner);
        let loser = self.loser.added(&self.texts.loser);
        self.added_by_both = pairs::additions(&self.texts.winner, &winner, &self.texts.loser, &loser);
    }

    /// Sections of a type that a side added and the other did not.
    fn added_alone(&self, side: Side, kind: &str) -> Vec<usize> {
        let (pairs, both): (&Pairs, Vec<usize>) = match side {
            Side::Loser => (&self.loser, self.same_additions().map(|(loser, _)| loser).collect()),
            _ => (&self.winner, self.same_additions().map(|(_, winner)| winner).collect()),
        };
        let texts = self.texts.of(side);
        pairs.added(texts).into_iter().filter(|index| texts[*index].kind == kind && !both.contains(index)).collect()
    }

    fn same_additions(&self) -> impl Iterator<Item = (usize, usize)> {
        let both = self.added_by_both.iter().map(|(loser, winner)| (*loser, *winner));
        both.filter(|(loser, winner)| self.texts.loser[*loser] == self.texts.winner[*winner])
    }

    fn section(&mut self, index: usize) -> Result<(), Refusal> {
        let texts = self.texts;
        let base = &texts.base[index];
        // Only where it is reported: to call a section by its option `name` all of its type are read.
        let place = || part::place(&texts.base, index);
        let mine = Change::of(base, self.winner.other(index), &texts.winner);
        let theirs = Change::of(base, self.loser.other(index), &texts.loser);
        let part = match (mine, theirs) {
            (Change::Removed, Change::Removed) => return self.removed_by_both(base, place()),
            (Change::Removed, Change::Kept(_)) | (Change::Kept(_), Change::Removed) => return Ok(()),
            (Change::Removed, Change::Changed(..)) => {
                self.refuse_a_rewrite(Side::Winner, base, &place())?;
                self.lost.push(Loss::Section { section: place(), kept: Fate::Removed, lost: Fate::Changed });
                return Ok(());
            }
            (Change::Changed(mine, _), Change::Removed) => {
                self.refuse_a_rewrite(Side::Loser, base, &place())?;
                self.lost.push(Loss::Section { section: place(), kept: Fate::Changed, lost: Fate::Removed });
                mine.clone()
            }
            (Change::Kept(_), Change::Kept(part) | Change::Changed(part, _))
            | (Change::Changed(part, _), Change::Kept(_)) => part.clone(),
            (Change::Changed(mine, _), Change::Changed(theirs, _)) if mine == theirs => mine.clone(),
            (Change::Changed(mine, by), Change::Changed(theirs, also_by)) => {
                let mixes = by.is_certain(base, mine) && also_by.is_certain(base, theirs);
                match mixes.then(|| mix(base, mine, theirs)).flatten() {
                    Some(part) => {
                        self.notes.push(Note::ChangedByBoth(place()));
                        part
                    }
                    None => self.winners(&place(), Some(base), mine, theirs),
                }
            }
        };
        self.result.insert(Origin::Base(index), part);
        Ok(())
    }

    /// A side that removed a section which the other changed, and added one of its type, may have renamed or rewritten it.
    fn refuse_a_rewrite(&self, removed_by: Side, base: &Part, place: &str) -> Result<(), Refusal> {
        if self.added_alone(removed_by, &base.kind).is_empty() {
            Ok(())
        } else {
            Err(Refusal::PerhapsRewritten(place.to_string()))
        }
    }

    /// Neither side has the section any more: it may be that one of them has it in another shape.
    fn removed_by_both(&mut self, base: &Part, place: String) -> Result<(), Refusal> {
        let mine = self.added_alone(Side::Winner, &base.kind);
        let theirs = self.added_alone(Side::Loser, &base.kind);
        if !mine.is_empty() && !theirs.is_empty() {
            return Err(Refusal::PerhapsRewritten(place));
        }
        let alike = |part: &Part| part.in_common(base) > 0;
        let rewritten = mine.iter().any(|index| alike(&self.texts.winner[*index]))
            || theirs.iter().any(|index| alike(&self.texts.loser[*index]));
        if rewritten {
            self.lost.push(Loss::Section { section: place, kept: Fate::Rewritten, lost: Fate::Removed });
        }
        Ok(())
    }

    /// The winner's section, with what the loser made local; the loser's other changes are reported.
    fn winners(&mut self, place: &str, base: Option<&Part>, mine: &Part, theirs: &Part) -> Part {
        let mut part = mine.clone();
        let was = |name: &str| base.and_then(|base| base.option(name));
        for (name, _) in theirs.options.iter().filter(|(_, setting)| *setting == Setting::Local) {
            if was(name) != Some(&Setting::Local) {
                part.options.retain(|(known, _)| known != name);
                part.options.push((name.clone(), Setting::Local));
            }
        }
        let names = theirs.options.iter().map(|(name, _)| name);
        let gone = base.unwrap_or(mine).options.iter().map(|(name, _)| name);
        let gone = gone.filter(|name| theirs.option(name).is_none());
        for name in names.chain(gone) {
            let (kept, lost) = (part.option(name), theirs.option(name));
            // Where there was no base, a difference in either direction counts.
            let changed = base.is_none() || lost != was(name);
            if changed && kept != lost && kept != Some(&Setting::Local) {
                let (kept, lost) = (kept.cloned(), lost.cloned());
                self.lost.push(Loss::Option { section: place.to_string(), option: name.clone(), kept, lost });
            }
        }
        if mine.kind != theirs.kind {
            self.lost.push(Loss::Type {
                section: place.to_string(),
                kept: mine.kind.clone(),
                lost: theirs.kind.clone(),
            });
        }
        part
    }
}

/// A section with the changes of both sides: the winner's options in their order, then what the loser added. `None` where
/// they gave one option two values.
fn mix(base: &Part, mine: &Part, theirs: &Part) -> Option<Part> {
    let mut options = Vec::new();
    let added = theirs.options.iter().map(|(name, _)| name).filter(|name| mine.option(name).is_none());
    for name in mine.options.iter().map(|(name, _)| name).chain(added) {
        let was = base.option(name);
        let setting = match (mine.option(name), theirs.option(name)) {
            (one, other) if one == other => one.cloned(),
            (one, other) if other == was => one.cloned(),
            (one, other) if one == was => other.cloned(),
            (Some(Setting::Local), _) | (_, Some(Setting::Local)) if was != Some(&Setting::Local) => {
                Some(Setting::Local)
            }
            (Some(Setting::Value(Value::List(one))), Some(Setting::Value(Value::List(other)))) => {
                let was = match was {
                    Some(Setting::Value(value)) => value.items(),
                    Some(Setting::Local) | None => &[],
                };
                Some(Setting::Value(Value::List(list::merge(was, one, other)?)))
            }
            _ => return None,
        };
        options.extend(setting.map(|setting| (name.clone(), setting)));
    }
    Some(Part { kind: mine.kind.clone(), name: mine.name.clone(), options })
}
