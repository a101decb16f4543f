//! Matches shell globs over bytes: `*` (also across `/`), `?`, sets in brackets; a backslash makes the next byte literal.
//!
//! Takes `O(pattern * text)` at worst, without recursion, so that no pattern can make a scan hang.
//!
//! Why not the crate `glob`? `Pattern` matches texts, so each byte would have to become a character, in pattern and path,
//! for every path of a scan. It takes 4 KB in a stripped binary (x86-64, "z", version 0.3.4), this 0.1. And it has another
//! syntax than shells and patterns of owsync 1.x: no `[^a]`, no backslash, `[` without an end never matches, and `**x` is
//! an error.

/// Whether `pattern` matches all of `text`.
///
/// On a mismatch only the latest `*` takes one more byte: earlier ones never need to, because the latest can take
/// whatever they could.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len() {
            if let Some(next) = match_one(pattern, p, text[t]) {
                p = next;
                t += 1;
                continue;
            }
        }
        match retry {
            Some((after_star, taken)) if taken < text.len() => {
                retry = Some((after_star, taken + 1));
                p = after_star;
                t = taken + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one byte at `pattern[p]`, which is not `*`; returns the position after it if it matches.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        b'[' => match match_set(pattern, p + 1, byte) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // No closing bracket: the bracket is a literal byte.
            None => (byte == b'[').then_some(p + 1),
        },
        literal => (literal == byte).then_some(p + 1),
    }
}

/// Whether `byte` is in the set that starts at `pattern[p]`, and the position after its `]`; `None` if it is not closed.
pub fn match_set(pattern: &[u8], mut p: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some(b'!' | b'^'));
    if negated {
        p += 1;
    }
    let mut found = false;
    let mut first = true;
    loop {
        let mut low = *pattern.get(p)?;
        // A bracket right at the start is a member of the set (POSIX 2.13.1).
        if low == b']' && !first {
            return Some((found != negated, p + 1));
        }
        first = false;
        if low == b'\\' {
            p += 1;
            low = *pattern.get(p)?;
        }
        p += 1;
        let mut high = low;
        if pattern.get(p) == Some(&b'-') && pattern.get(p + 1).is_some_and(|&b| b != b']') {
            high = pattern[p + 1];
            p += 2;
            if high == b'\\' {
                high = *pattern.get(p)?;
                p += 1;
            }
        }
        found |= (low..=high).contains(&byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_a_shell_with_stars_that_cross_slashes() {
        for (pattern, text, hit) in [
            ("*", "a/.b/c", true),
            ("dhcp", "dhcp", true),
            ("dhcp", "dhcp.bak", false),
            ("*.conf", "a/b.conf", true),
            ("a*b*c", "a/x/b/y/c", true),
            ("a*b*c", "a/x/b/y/d", false),
            ("?hcp", "dhcp", true),
            ("[a-d]hcp", "dhcp", true),
            ("[!a-d]hcp", "dhcp", false),
            ("[^x]hcp", "dhcp", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]x", "]x", true),
            ("", "", true),
            ("**", "", true),
            ("d[0-9]*", "d1", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), hit, "{pattern} {text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_match() {
        assert!(matches(b"a?c", b"a\xffc"));
        assert!(matches(b"[\x80-\xff]", b"\xfe"));
    }

    #[test]
    fn many_stars_do_not_hang() {
        let pattern = b"*a".repeat(500);
        let text = b"a".repeat(4000);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text));
    }
}
