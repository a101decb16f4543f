//! Rust text to the paths it names: enough of a reader for the rules, and nothing more.
//!
//! Comments, strings and characters are dropped, `use` trees are spread out, and what a path begins with is replaced by
//! what the file imported under that name. A path made inside a foreign macro from parts stays unseen: no rule here is
//! worth a compiler.

use std::collections::BTreeMap;

/// A word or a punctuation mark, with its line.
#[derive(Debug, Clone, PartialEq)]
struct Token<'a> {
    line: usize,
    text: &'a str,
}

/// A path that the text names, in full as far as the file tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub line: usize,
    /// `["crate", "model", "Digest"]`; a glob ends in `*`.
    pub path: Vec<String>,
}

impl Named {
    /// The path as text.
    pub fn text(&self) -> String {
        self.path.join("::")
    }

    /// Whether it names `what`, something in it, or everything where `what` is.
    pub fn touches(&self, what: &str) -> bool {
        let what: Vec<&str> = what.split("::").collect();
        match self.path.split_last() {
            Some((last, base)) if last == "*" => {
                what.len() > base.len() && base == &what[..base.len()] || base.starts_with(&to_strings(&what))
            }
            _ => self.path.starts_with(&to_strings(&what)),
        }
    }
}

fn to_strings(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_string()).collect()
}

/// Every word of `source` outside comments and strings, with its line.
pub fn words(source: &str) -> Vec<(usize, &str)> {
    tokens(source).into_iter().filter(|t| is_word(t.text)).map(|t| (t.line, t.text)).collect()
}

/// Every path that `source` names. `home` is the module that the file is: `["node", "land"]` for src/node/land.rs.
pub fn paths(source: &str, home: &[&str]) -> Vec<Named> {
    let tokens = tokens(source);
    let mut imports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut found = Vec::new();
    // Inline modules that are open, with the depth of their braces.
    let mut inline: Vec<(usize, String)> = Vec::new();
    let mut depth = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|(opened, _)| *opened < depth + 1);
            }
            "mod" if tokens.get(at + 2).is_some_and(|t| t.text == "{") => {
                inline.push((depth + 1, tokens[at + 1].text.into()));
            }
            "use" => {
                let here: Vec<String> =
                    to_strings(home).into_iter().chain(inline.iter().map(|(_, name)| name.clone())).collect();
                at += 1;
                let mut leaves = Vec::new();
                spread(&tokens, &mut at, &[], &mut leaves);
                for (line, name, path) in leaves {
                    let path = absolute(path, &here);
                    if name != path[0] {
                        imports.insert(name, path.clone());
                    }
                    found.push(Named { line, path });
                }
                continue;
            }
            text if is_word(text) && (at == 0 || tokens[at - 1].text != "::") => {
                let mut path = vec![text.to_string()];
                let line = token.line;
                while tokens.get(at + 1).is_some_and(|t| t.text == "::")
                    && tokens.get(at + 2).is_some_and(|t| is_word(t.text))
                {
                    path.push(tokens[at + 2].text.into());
                    at += 2;
                }
                if path.len() > 1 {
                    let here: Vec<String> =
                        to_strings(home).into_iter().chain(inline.iter().map(|(_, name)| name.clone())).collect();
                    found.push(Named { line, path: absolute(path, &here) });
                }
            }
            _ => {}
        }
        at += 1;
    }
    // An import may stand below its use.
    for named in &mut found {
        if let Some(full) = imports.get(&named.path[0]).filter(|full| full[0] != named.path[0]) {
            named.path.splice(..1, full.iter().cloned());
        }
    }
    found
}

/// One branch of a `use` tree: line, the name it gets here, the path.
fn spread(tokens: &[Token<'_>], at: &mut usize, base: &[String], leaves: &mut Vec<(usize, String, Vec<String>)>) {
    let mut path = base.to_vec();
    let mut alias = None;
    let line = tokens.get(*at).map_or(0, |t| t.line);
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.text {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|t| t.text != "}" && t.text != ";") {
                    spread(tokens, at, &path, leaves);
                    if tokens.get(*at).is_some_and(|t| t.text == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "," | "}" | ";" => {
                *at -= 1;
                break;
            }
            "as" => {
                alias = tokens.get(*at).map(|t| t.text.to_string());
                *at += 1;
            }
            "self" if path.len() > base.len() || !base.is_empty() => {}
            word => path.push(word.into()),
        }
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((line, alias.unwrap_or(last), path));
    }
}

/// A path from the crate's root, where it begins with `self`, `super` or `crate`.
fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let mut home = here.to_vec();
    let mut rest = path.as_slice();
    match rest.first().map(String::as_str) {
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while rest.first().is_some_and(|part| part == "super") {
                home.pop();
                rest = &rest[1..];
            }
        }
        _ => return path,
    }
    let root = std::iter::once("crate".to_string());
    root.chain(home).chain(rest.iter().cloned()).collect()
}

fn is_word(text: &str) -> bool {
    text == "*" || text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            length
        } else if c == '\'' {
            character(rest)
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token { line, text: &rest[..length] });
            length
        } else if rest.starts_with("::") {
            tokens.push(Token { line, text: "::" });
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(Token { line, text: &rest[..c.len_utf8()] });
            }
            c.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += here.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || at >= rest.len() {
            return at.min(rest.len());
        }
    }
}

/// The length of the string that `rest` begins with, if it does: plain, raw, of bytes or for C.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|tail| {
            tail.starts_with('"')
                || prefix.ends_with('r') && tail.trim_start_matches('#').starts_with('"') && tail.starts_with('#')
        })
    })?;
    let tail = &rest[prefix.len()..];
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let body = &tail[hashes + 1..];
    let start = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(start + body.find(&end).map_or(body.len(), |found| found + end.len()));
    }
    let mut escaped = false;
    for (found, c) in body.char_indices() {
        match c {
            '"' if !escaped => return Some(start + found + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of the character, or the lifetime's quote, that `rest` begins with.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].char_indices();
    match (inside.next(), inside.next()) {
        (Some((_, '\\')), Some(_)) => rest[3..].find('\'').map_or(rest.len(), |end| 3 + end + 1),
        (Some(_), Some((end, '\''))) => 1 + end + 1,
        _ => 1,
    }
}
