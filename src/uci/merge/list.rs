//! Merges the items of a list that both sides changed.

use std::collections::BTreeSet;

/// The merged items: what either side added stays, what either removed goes; the winner's additions come first. `None`
/// where an item stands twice, where the sides have two different orders, or where nothing would be left.
pub(super) fn merge(base: &[Vec<u8>], winner: &[Vec<u8>], loser: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let sets = [base, winner, loser].map(|items| items.iter().collect::<BTreeSet<_>>());
    let [in_base, in_winner, in_loser] = &sets;
    // Items that cannot be distinguished have no identity to follow.
    if [(base, in_base), (winner, in_winner), (loser, in_loser)].iter().any(|(items, set)| items.len() != set.len()) {
        return None;
    }
    let common = |item: &&Vec<u8>| in_base.contains(item) && in_winner.contains(item) && in_loser.contains(item);
    let order = |items: &'_ [Vec<u8>]| items.iter().filter(common).cloned().collect::<Vec<_>>();
    let (was, mine, theirs) = (order(base), order(winner), order(loser));
    if mine != was && theirs != was && mine != theirs {
        return None;
    }
    let mut ordered = if mine == was { theirs } else { mine }.into_iter();
    let mut merged = Vec::new();
    for item in winner {
        if common(&item) {
            merged.extend(ordered.next());
        } else if !in_base.contains(item) {
            merged.push(item.clone());
        }
    }
    merged.extend(loser.iter().filter(|item| !in_base.contains(item) && !in_winner.contains(item)).cloned());
    (!merged.is_empty()).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, winner: &str, loser: &str) -> Option<String> {
        let items = |text: &str| text.split_whitespace().map(|item| item.as_bytes().to_vec()).collect::<Vec<_>>();
        let items = merge(&items(base), &items(winner), &items(loser))?;
        Some(items.iter().map(|item| String::from_utf8(item.clone()).unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn additions_stay_and_removals_go() {
        for (base, winner, loser, result) in [
            ("a b", "a b c", "a b d", Some("a b c d")),
            ("a b", "a", "a b d", Some("a d")),
            ("a b", "b", "a", None),
            ("a b c", "c a b", "a b c d", Some("c a b d")),
            ("a b c", "a b c d", "c a b", Some("c a b d")),
            ("a b c", "c a b", "c a b d", Some("c a b d")),
            ("a b c", "b a c", "c b a", None),
            ("a a", "a a b", "a a c", None),
            ("", "a b", "b c", Some("a b c")),
            ("a", "b", "c", Some("b c")),
        ] {
            assert_eq!(merged(base, winner, loser).as_deref(), result, "{base} | {winner} | {loser}");
        }
    }
}
