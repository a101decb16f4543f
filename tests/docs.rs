//! Checks that the documentation can be followed: its links lead somewhere, every page can be found from README, and README
//! stays short.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Bytes of README: what a visitor reads before deciding.
const README_MAX: usize = 10 * 1024;

/// Every page, by its path from the package's root.
fn pages() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let inside =
        |dir: &str| std::fs::read_dir(root.join(dir)).expect("a directory").map(|entry| entry.expect("a name").path());
    let pages =
        inside("").chain(inside("docs")).filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .map(|path| {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a page"))
        })
        .collect()
}

/// The targets of the links in a page, without those to other hosts. Code is left out.
fn links(page: &str) -> Vec<&str> {
    let text = page.split("```").step_by(2);
    let targets = text.flat_map(|text| text.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchor that a heading gets, as the hosts of repositories make it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The path from the package's root that a link in a page means.
fn resolved(page: &str, link: &str) -> String {
    let mut path = PathBuf::from(page);
    if !link.is_empty() {
        path.pop();
        path.push(link);
    }
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let mut complaints = Vec::new();
    for (name, page) in &pages {
        for link in links(page) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = resolved(name, file);
            if !Path::new(env!("CARGO_MANIFEST_DIR")).join(&target).exists() {
                complaints.push(format!("{name}: {link}: no such file"));
            } else if !fragment.is_empty() {
                let headings = pages
                    .get(&target)
                    .into_iter()
                    .flat_map(|page| page.lines().filter_map(|line| line.strip_prefix('#')));
                let found = headings
                    .map(|heading| anchor(heading.trim_start_matches('#').trim()))
                    .any(|anchor| anchor == fragment);
                if !found {
                    complaints.push(format!("{name}: {link}: no such heading"));
                }
            }
        }
    }
    assert!(pages.contains_key("README.md") && pages.contains_key("docs/protocol.md"));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn readme_fits_on_a_page_and_leads_to_every_other() {
    let pages = pages();
    let readme = &pages["README.md"];
    assert!(readme.len() <= README_MAX, "README.md has {} bytes, at most {README_MAX}", readme.len());
    let linked: BTreeSet<String> =
        links(readme).into_iter().map(|link| resolved("README.md", link.split('#').next().unwrap_or(link))).collect();
    let lost: Vec<&String> = pages.keys().filter(|page| *page != "README.md" && !linked.contains(*page)).collect();
    assert!(lost.is_empty(), "README.md links to none of these: {lost:?}");
}
