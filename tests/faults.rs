//! Checks that every fault of docs/faults.md has a test.
//!
//! A test names the fault that it makes impossible in its doc comment (`/// F4`, or `/// F2, F3: ...`; `# /// F60` in a
//! script) or in its name (`..._f22`). A row without a test fails here, and so does a number without a row.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

/// The faults of docs/faults.md: number, and what must be impossible.
fn faults() -> Vec<(u8, &'static str)> {
    let rows = include_str!("../docs/faults.md").lines().filter_map(|line| line.strip_prefix("| F")?.split_once(" | "));
    rows.filter_map(|(number, rest)| Some((number.parse().ok()?, rest.split(" | ").next()?))).collect()
}

#[test]
fn every_fault_has_a_test_and_every_number_a_fault() {
    let faults = faults();
    // A table in another form would have no rows, and every check below would pass.
    assert!(faults.len() > 90, "docs/faults.md has {} rows", faults.len());
    let tested = tested();
    let missing = faults.iter().filter(|(number, _)| !tested.contains_key(number));
    let missing = missing.map(|(number, what)| format!("F{number} has no test: {what}"));
    let unknown = tested.iter().filter(|(number, _)| !faults.iter().any(|(fault, _)| fault == *number));
    let unknown = unknown.map(|(number, at)| format!("F{number} has no row in docs/faults.md: {at}"));
    let doubled = faults.windows(2).filter(|pair| pair[0].0 >= pair[1].0);
    let doubled = doubled.map(|pair| format!("F{} follows F{} in docs/faults.md", pair[1].0, pair[0].0));
    let complaints: Vec<String> = missing.chain(unknown).chain(doubled).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The numbers that tests carry, each with one place where it stands.
fn tested() -> BTreeMap<u8, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo = vec![root.join("src"), root.join("tests")];
    let mut tested = BTreeMap::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let skip = path.file_name().is_some_and(|name| name == "target" || name == "node_modules");
            let inside = std::fs::read_dir(&path).expect("a directory");
            todo.extend(inside.filter(|_| !skip).map(|entry| entry.expect("a name").path()));
            continue;
        }
        // What is no text is no test.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        let found = if name.ends_with(".rs") { in_source(&text) } else { in_script(&text) };
        tested.extend(found.into_iter().map(|(number, line)| (number, format!("{name}:{line}"))));
    }
    tested
}

/// The numbers that the tests of a source carry, with their lines.
fn in_source(text: &str) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    let mut doc = Vec::new();
    for (line, code) in text.lines().map(str::trim).enumerate() {
        if let Some(comment) = code.strip_prefix("///") {
            doc.extend(numbers(comment).into_iter().map(|number| (number, line + 1)));
        } else if code == "#[test]" {
            found.append(&mut doc);
        } else if let Some(name) = code.strip_prefix("fn ") {
            let name = name.split(['(', '<']).next().unwrap_or_default();
            let parts = name.split('_').filter_map(|part| part.strip_prefix('f')?.parse().ok());
            found.extend(parts.map(|number| (number, line + 1)));
            doc.clear();
        } else if !code.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// The numbers that the parts of a script carry, with their lines.
fn in_script(text: &str) -> Vec<(u8, usize)> {
    let comments = text.lines().enumerate().filter_map(|(line, code)| Some((line, code.trim().strip_prefix("# ///")?)));
    comments.flat_map(|(line, comment)| numbers(comment).into_iter().map(move |number| (number, line + 1))).collect()
}

/// The numbers that a doc comment begins with: `F2, F3: why` says 2 and 3.
fn numbers(comment: &str) -> Vec<u8> {
    let words = comment.split([' ', ',', ':', ';']).filter(|word| !word.is_empty());
    words.map_while(|word| word.strip_prefix('F')?.parse().ok()).collect()
}

#[test]
fn a_number_counts_only_where_a_test_carries_it() {
    let source = "/// F4\n#[test]\n#[cfg(unix)]\nfn a() {}\n\n/// F2, F3: both\n#[test]\nfn b() {}\n\n/// F7\nfn c() {}\n// F8\n\
                  #[test]\nfn d() {}\n/// Found\n/// in F9\n#[test]\nfn e_f10<M>(m: M) {}\n";
    assert_eq!(in_source(source), [(4, 1), (2, 6), (3, 6), (10, 18)]);
    assert_eq!(in_script("# /// F60: why\n# F61\necho F62\n"), [(60, 1)]);
}
