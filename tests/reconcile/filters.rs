//! The laws of filters: what does not pass never appears, and nothing that passes is overlooked.

use proptest::prelude::*;

use owsync::model::RelPath;
use owsync::model::reserved::Reserved;
use owsync::reconcile::filter::{Filter, matches};

/// A pattern's meaning said once more, without regard to what it costs: the shell's, with stars that cross slashes.
fn means(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|taken| means(rest, &text[taken..])),
        [b'?', rest @ ..] => !text.is_empty() && means(rest, &text[1..]),
        [b'\\', literal, rest @ ..] => text.first() == Some(literal) && means(rest, &text[1..]),
        [b'[', b'!', a, b']', rest @ ..] if *a != b']' => {
            text.first().is_some_and(|b| b != a) && means(rest, &text[1..])
        }
        [b'[', a, b']', rest @ ..] if *a != b'!' => text.first() == Some(a) && means(rest, &text[1..]),
        [b'[', a, b'-', z, b']', rest @ ..] if *a != b'!' => {
            text.first().is_some_and(|b| (a..=z).contains(&b)) && means(rest, &text[1..])
        }
        [literal, rest @ ..] => text.first() == Some(literal) && means(rest, &text[1..]),
    }
}

/// Patterns over few letters, so that they often match.
fn any_pattern() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        6 => "[ab/.]".prop_map(String::into_bytes),
        3 => Just(b"*".to_vec()),
        2 => Just(b"?".to_vec()),
        1 => Just(b"[a]".to_vec()),
        1 => Just(b"[!a]".to_vec()),
        1 => Just(b"[a-c]".to_vec()),
        1 => Just(b"\\*".to_vec()),
    ];
    proptest::collection::vec(part, 1..7).prop_map(|parts| parts.concat())
}

fn any_path() -> impl Strategy<Value = RelPath> {
    "[abc.*]{1,3}(/[abc]{1,2}){0,3}".prop_filter_map("a path", |text| RelPath::parse(text.as_bytes()).ok())
}

fn patterns() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(any_pattern(), 0..4)
}

/// As [`Filter`] promises: a slash at either end is ignored.
fn trimmed(pattern: &[u8]) -> &[u8] {
    let pattern = &pattern[pattern.iter().take_while(|b| **b == b'/').count()..];
    let mut end = pattern.len();
    while end > 1 && pattern[end - 1] == b'/' && pattern[end - 2] != b'\\' {
        end -= 1;
    }
    &pattern[..end]
}

/// Whether a pattern covers a path: it matches it, or a directory above it.
fn covers(pattern: &[u8], path: &RelPath) -> bool {
    std::iter::once(path.clone()).chain(path.ancestors()).any(|p| means(trimmed(pattern), p.as_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pattern_matches_what_it_means(pattern in any_pattern(), text in "[abc/.*]{0,8}") {
        prop_assert_eq!(matches(&pattern, text.as_bytes()), means(&pattern, text.as_bytes()));
    }

    #[test]
    fn a_share_holds_what_is_included_and_not_excluded(include in patterns(), exclude in patterns(), path in any_path()) {
        let filter = Filter::new(&include, &exclude, &[]);
        let wanted = include.iter().any(|p| covers(p, &path)) && !exclude.iter().any(|p| covers(p, &path));
        prop_assert_eq!(filter.holds(&path), wanted);
    }

    #[test]
    fn a_scan_enters_every_directory_above_what_is_held(include in patterns(), exclude in patterns(), path in any_path()) {
        let filter = Filter::new(&include, &exclude, &[]);
        if filter.holds(&path) {
            for dir in path.ancestors() {
                prop_assert!(filter.may_hold_below(&dir), "{} above {}", dir, path);
            }
        }
    }

    #[test]
    fn what_is_reserved_is_never_held(include in patterns(), exclude in patterns(), own in any_path(), path in any_path()) {
        let reserved = [Reserved::Path(own.clone()), Reserved::Database(own.clone())];
        let filter = Filter::new(&include, &exclude, &reserved);
        let journal = RelPath::parse(&[own.as_bytes(), b"-journal"].concat());
        for hidden in [Ok(own.clone()), own.join(b"x"), journal].into_iter().flatten() {
            prop_assert!(!filter.holds(&hidden) && filter.is_reserved(&hidden));
        }
        // And a reserved name takes nothing else away.
        let bare = Filter::new(&include, &exclude, &[]);
        if !filter.is_reserved(&path) {
            prop_assert_eq!(filter.holds(&path), bare.holds(&path));
        }
    }

    #[test]
    fn equal_digests_hold_the_same_paths(
        one in (patterns(), patterns()), two in (patterns(), patterns()), path in any_path(),
    ) {
        let (one, two) = (Filter::new(&one.0, &one.1, &[]), Filter::new(&two.0, &two.1, &[]));
        if one.digest() == two.digest() {
            prop_assert_eq!(one.holds(&path), two.holds(&path));
        }
        if one.holds(&path) != two.holds(&path) {
            prop_assert_ne!(one.digest(), two.digest());
        }
    }
}
