//! Checks that documentation, comments and string literals keep to the vocabulary of CONTRIBUTING.md.
//!
//! `tests/words/phrases` has the phrases that are not accepted, each with what to write instead. What was written before
//! the list stands in `tests/words/remaining`, with the number of findings for each file, which may only fall: a file with
//! more fails, and so does one with fewer, until its number is lowered. A line that ends with `/` is the sum of all files
//! below a directory that have no line of their own; it is only an upper bound, because files there are being moved.
//!
//! Names and code are not checked: fenced blocks and words in backticks are left out everywhere.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A phrase that is not accepted.
struct Phrase {
    words: String,
    instead: String,
}

/// A text without code, and the line on which each of its bytes stands.
#[derive(Default)]
struct Text {
    text: String,
    lines: Vec<usize>,
}

impl Text {
    /// Adds a character; white space is one blank, whatever it was.
    fn push(&mut self, c: char, line: usize) {
        let c = if c.is_whitespace() { ' ' } else { c.to_ascii_lowercase() };
        if c != ' ' || !self.text.ends_with(' ') {
            self.text.push(c);
            self.lines.resize(self.text.len(), line);
        }
    }

    /// Adds a line of prose, without what is in backticks.
    fn prose(&mut self, prose: &str, line: usize) {
        for (n, part) in prose.split('`').enumerate() {
            if n % 2 == 0 {
                part.chars().for_each(|c| self.push(c, line));
            } else {
                self.push('`', line);
            }
        }
        self.push(' ', line);
    }

    /// Ends a text: no phrase continues behind it.
    fn end(&mut self, line: usize) {
        self.push('\u{1f}', line);
    }
}

fn phrases() -> Vec<Phrase> {
    let lines = include_str!("words/phrases").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let phrase = |line: &str| {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(parts.len() == 3 && parts.iter().all(|part| !part.is_empty()), "phrase | instead | reason: {line}");
        Phrase { words: parts[0].to_lowercase(), instead: parts[1].into() }
    };
    lines.map(phrase).collect()
}

/// Everything in a file that a reader sees as language.
fn text_of(name: &str, source: &str) -> Text {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "rs" => in_source(source, &["//"], &['"']),
        "js" => in_source(source, &["//"], &['"', '\'']),
        "md" => in_markdown(source),
        "pot" => in_template(source),
        _ => in_script(source),
    }
}

/// Comments and string literals of Rust and JavaScript.
fn in_source(source: &str, comment: &[&str], quotes: &[char]) -> Text {
    let mut text = Text::default();
    let mut line = 1;
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        if comment.iter().any(|start| rest.starts_with(start)) {
            // Comments on lines that follow each other are one text.
            let body = rest.split('\n').next().unwrap_or_default();
            text.prose(body.trim_start_matches(['/', '!']), line);
            rest = &rest[body.len()..];
            let next = rest.trim_start();
            if !comment.iter().any(|start| next.starts_with(start)) {
                text.end(line);
            }
        } else if let Some(body) = rest.strip_prefix("/*") {
            let end = body.find("*/").map_or(body.len(), |end| end + 2);
            for part in body[..end].split_inclusive('\n') {
                text.prose(part.trim().trim_matches(['*', '/']), line);
                line += part.matches('\n').count();
            }
            text.end(line);
            rest = &body[end..];
        } else if quotes.contains(&c) && !is_char(rest, quotes) {
            let body = &rest[1..];
            let mut end = body.len();
            let mut escaped = false;
            for (at, inner) in body.char_indices() {
                if inner == c && !escaped {
                    end = at;
                    break;
                }
                escaped = inner == '\\' && !escaped;
            }
            for (n, part) in body[..end].split('\n').enumerate() {
                line += usize::from(n > 0);
                text.prose(part.trim_end_matches('\\').trim_start_matches('\\'), line);
            }
            text.end(line);
            rest = body.get(end + 1..).unwrap_or_default();
        } else {
            // A character literal may be a quotation mark.
            let skip =
                if c == '\'' && is_char(rest, quotes) { 2 + usize::from(rest[1..].starts_with('\\')) } else { 0 };
            line += usize::from(c == '\n');
            rest = &rest[c.len_utf8()..];
            for _ in 1..skip {
                rest = rest.chars().next().map_or(rest, |c| &rest[c.len_utf8()..]);
            }
        }
    }
    text
}

/// Whether a Rust character literal begins here: `'"'` and `'\''` must not open a string.
fn is_char(rest: &str, quotes: &[char]) -> bool {
    !quotes.contains(&'\'') && (rest.starts_with("'\"'") || rest.starts_with("'\\''") || rest.starts_with("'\\\"'"))
}

fn in_markdown(source: &str) -> Text {
    let mut text = Text::default();
    let mut is_code = false;
    for (line, prose) in source.lines().enumerate() {
        if prose.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            text.prose(prose, line + 1);
            if prose.trim().is_empty() || prose.starts_with('|') {
                text.end(line + 1);
            }
        }
    }
    text
}

/// Messages of a template for translations; their places are comments.
fn in_template(source: &str) -> Text {
    let mut text = Text::default();
    for (line, prose) in source.lines().enumerate().filter(|(_, prose)| prose.starts_with("msgid")) {
        text.prose(prose, line + 1);
        text.end(line + 1);
    }
    text
}

/// Scripts and configuration: comments that follow each other are one text, every other line is its own.
fn in_script(source: &str) -> Text {
    let mut text = Text::default();
    let lines: Vec<&str> = source.lines().collect();
    for (line, prose) in lines.iter().enumerate() {
        text.prose(prose.trim_start().trim_start_matches('#'), line + 1);
        let continues = |prose: &str| prose.trim_start().starts_with('#');
        if !(continues(prose) && lines.get(line + 1).is_some_and(|next| continues(next))) {
            text.end(line + 1);
        }
    }
    text
}

/// Where phrases stand in a text: line, phrase, and what to write instead.
fn findings<'a>(text: &Text, phrases: &'a [Phrase]) -> Vec<(usize, &'a Phrase)> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut found = Vec::new();
    for phrase in phrases {
        for (at, _) in text.text.match_indices(&phrase.words) {
            let before = text.text[..at].chars().next_back();
            let after = text.text[at + phrase.words.len()..].chars().next();
            if !is_word(before) && !is_word(after) {
                found.push((text.lines[at], phrase));
            }
        }
    }
    found.sort_by_key(|(line, _)| *line);
    found
}

/// The files that are checked, by their paths from the package's root.
fn checked_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "Makefile",
        "docs",
        "src",
        "tests",
        "files",
        "luci-app-owsync",
    ];
    let mut todo: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
    let mut files = Vec::new();
    while let Some(path) = todo.pop() {
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
        // Recorded data of other programs, what tests write, and the list itself.
        let skip =
            ["tests/words", "tests/words.rs", "tests/fuzz/corpus", "tests/luci/node_modules", "tests/luci/shots"]
                .contains(&&*name)
                || name.ends_with("package-lock.json")
                || name.ends_with("target");
        if skip {
            continue;
        }
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("a name").path()));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            files.push((name, text));
        }
    }
    files.sort();
    files
}

/// Findings that may remain, by file or directory.
fn remaining() -> BTreeMap<&'static str, usize> {
    let lines = include_str!("words/remaining").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let line = |line: &'static str| {
        let (name, count) = line.split_once(' ').unwrap_or_else(|| panic!("file count: {line}"));
        (name, count.parse().unwrap_or_else(|_| panic!("no number: {line}")))
    };
    lines.map(line).collect()
}

#[test]
fn no_file_has_more_private_phrases_than_remain_to_be_cleaned() {
    let phrases = phrases();
    let remaining = remaining();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let files = checked_files();
    assert!(files.iter().any(|(name, _)| name == "src/lib.rs") && files.iter().any(|(name, _)| name == "README.md"));
    for (name, source) in &files {
        // The innermost directory with a number, where the file has none.
        let key = if remaining.contains_key(&**name) {
            name
        } else {
            let above = remaining.keys().filter(|key| key.ends_with('/') && name.starts_with(**key));
            above.max_by_key(|key| key.len()).copied().unwrap_or(name)
        };
        for (line, phrase) in findings(&text_of(name, source), &phrases) {
            *counts.entry(key).or_default() += 1;
            let text = format!("{name}:{line}: \"{}\": write {}", phrase.words, phrase.instead);
            lines.entry(key).or_default().push(text);
        }
    }
    let mut complaints = Vec::new();
    for key in counts.keys().chain(remaining.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (found, most) = (counts.get(key).copied().unwrap_or(0), remaining.get(key).copied().unwrap_or(0));
        if found > most {
            complaints.extend(lines.remove(key).unwrap_or_default());
            if most > 0 {
                complaints.push(format!("{key}: {found} findings, {most} remained: the new ones are among these"));
            }
        } else if found < most && !key.ends_with('/') {
            complaints
                .push(format!("{key}: {found} findings, no longer {most}: lower the number in tests/words/remaining"));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn phrases_are_found_in_language_only() {
    let phrases = [Phrase { words: "by itself".into(), instead: String::new() }];
    let lines = |name: &str, source: &str| {
        let found = findings(&text_of(name, source), &phrases);
        found.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
    };
    assert_eq!(lines("a.rs", "// It ends By\n    // itself.\nlet by = itself; // `by itself`\n"), [1]);
    assert_eq!(lines("a.rs", "f('\"', \"it \\\n    ends by \\\n  itself\");\ng('\\'', \"x\"); // by itself"), [2, 4]);
    assert_eq!(lines("a.rs", "f(\"a\\\"by itself\"); let by: itself;"), [1]);
    assert_eq!(lines("a.js", "/* by\n * itself */\nf('by itself', \"by itself\");"), [1, 3, 3]);
    assert_eq!(lines("a.md", "by\nitself\n```\nby itself\n```\n`by itself` nearby itself\n| by |\n| itself |\n"), [1]);
    assert_eq!(lines("a.pot", "#: by itself\nmsgid \"by itself\"\n"), [2]);
    assert_eq!(lines("run", "# by\n# itself\necho by\n"), [1]);
}
