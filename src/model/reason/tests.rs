//! Checks that docs/troubleshooting.md has every reason that status can show.

use std::collections::BTreeSet;

use super::{Hold, JoinText, Reason, Trouble};
use crate::model::{RelPath, Release};

/// Codes without a text of their own: the peer's, or one that the end of a session carries.
const FREE: [&str; 2] = ["ended_here", "other"];

fn troubles() -> Vec<Trouble> {
    let text = || "x".to_string();
    vec![
        Trouble::Unreachable(text()),
        Trouble::Unresolved(text()),
        Trouble::KeyRefusedThere,
        Trouble::KeyRefusedHere,
        Trouble::PlainThere,
        Trouble::PlainHere,
        Trouble::ClockSkew(90_000),
        Trouble::ClockSkew(-90_000),
        Trouble::Version { min: 2, max: 2 },
        Trouble::Version { min: 2, max: 3 },
        Trouble::Predecessor,
        Trouble::NotAcceptedThere(JoinText::None),
        Trouble::NotAcceptedHere(JoinText::None),
        Trouble::NotAcceptedThere(JoinText::Used),
        Trouble::NotAcceptedHere(JoinText::Expired),
        Trouble::NotAcceptedHere(JoinText::Unknown),
        Trouble::IdentityRefusedHere,
        Trouble::IdentityRefusedThere,
        Trouble::SameIdentity,
        Trouble::NoAnswer,
        Trouble::ThisNode,
        Trouble::TwoMachines,
        Trouble::Silent,
        Trouble::PausedHere("paused by the user: x".into()),
        Trouble::PausedThere("paused by the user: x".into()),
        Trouble::Closed,
        Trouble::Misbehaved(text()),
        Trouble::Accuses(text()),
        Trouble::TooManySessions,
        Trouble::DisabledHere,
        Trouble::DisabledThere,
        Trouble::NotConfiguredHere,
        Trouble::Leaving,
        Trouble::Duplicate,
    ]
}

fn holds() -> Vec<Hold> {
    vec![
        Hold::RootMissing("x".into()),
        Hold::Interrupted("x".into()),
        Hold::NotMounted,
        Hold::Emptied { known: 9 },
        Hold::Replaced { changed: 9, known: 9 },
        Hold::SetBack { changed: 9, known: 9 },
        Hold::MassDeletion { gone: 9, known: 9 },
    ]
}

fn reasons() -> Vec<Reason> {
    let text = || "x".to_string();
    let release = |text| Release::parse(text).unwrap();
    vec![
        Reason::Special("fifo"),
        Reason::SymlinkIgnored,
        Reason::SymlinkOutside,
        Reason::TooLarge { size: 9, max: 1 },
        Reason::Unreadable(text()),
        Reason::OtherFilesystem,
        Reason::InTheWay("fifo"),
        Reason::DirNotEmpty,
        Reason::NoRoom { need: 9, free: 1 },
        Reason::HistoryFull,
        Reason::Unwritable(text()),
        Reason::Busy,
        Reason::NotSupplied(text()),
        Reason::WaitsFor(RelPath::parse(b"x").unwrap()),
        Reason::ShareHeld,
        Reason::FirstContact,
        Reason::MassDeletion { gone: 9, known: 9 },
        Reason::LongAway,
        Reason::Flapping,
        Reason::SectionsLost { had: 9, has: 1 },
        Reason::Unconfirmed,
        Reason::Refused(text()),
        Reason::Uncommitted(text()),
        Reason::Manual,
        Reason::KeepsDeleted,
        Reason::OnlySends,
        Reason::OnlyObserves,
        Reason::UnknownOwner(text()),
        Reason::ReleaseDiffers { from: release("25.12.1"), to: release("24.10.4") },
    ]
}

fn said() -> Vec<(&'static str, String)> {
    let troubles = troubles().into_iter().map(|trouble| (trouble.code(), trouble.to_string()));
    let holds = holds().into_iter().map(|hold| (hold.code(), hold.to_string()));
    let reasons = reasons().into_iter().map(|reason| (reason.code(), reason.to_string()));
    troubles.chain(holds).chain(reasons).collect()
}

/// Whether all parts of a row, which `...` separates, are in the text, in this order.
fn fits(row: &str, mut text: &str) -> bool {
    row.split("...").map(str::trim).all(|part| match text.find(part) {
        Some(at) => {
            text = &text[at + part.len()..];
            true
        }
        None => false,
    })
}

#[test]
fn the_documentation_has_a_row_for_every_reason_there_is() {
    let page = include_str!("../../../docs/troubleshooting.md");
    let cells = page.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.split('|').nth(1));
    let rows: Vec<&str> = cells.map(str::trim).filter(|cell| !cell.is_empty() && !cell.starts_with("---")).collect();
    let has_row = |text: &str| rows.iter().any(|cell| cell.split(", ").any(|row| fits(row, text)));

    let missing: Vec<String> = said().into_iter().map(|(_, text)| text).filter(|text| !has_row(text)).collect();

    assert_eq!(missing, [] as [&str; 0]);
}

#[test]
fn no_reason_is_left_out_here() {
    let source = [include_str!("../reason.rs"), include_str!("hold.rs")].concat();
    let arms =
        source.lines().filter_map(|line| line.trim().strip_suffix("\",")).filter_map(|arm| arm.split_once("=> \""));
    let there: BTreeSet<&str> = arms.map(|(_, code)| code).filter(|code| !FREE.contains(code)).collect();

    let here: BTreeSet<&str> = said().into_iter().map(|(code, _)| code).collect();

    assert_eq!(here, there);
}
