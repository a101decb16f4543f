//! The rules of the house that no compiler knows: who may import whom, what the core may not touch, how long a file is.
//!
//! Each rule is a function from text to complaints, tried below on a planted line that breaks it; then all of them run
//! over every source file there is. Why not a lint? clippy's disallowed lists hold for the whole crate, and none of them
//! knows a layer; where they do overlap, this also sees the code that some feature or platform leaves out.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "layers/scan.rs"]
mod scan;

/// Modules by height: each may import what is strictly below it, and itself. Siblings do not know each other.
const HEIGHTS: &[(u8, &[&str])] = &[
    (0, &["model"]),
    (1, &["reconcile", "commit", "proto", "uci"]),
    (2, &["fs"]),
    (3, &["store"]),
    (4, &["node"]),
    (5, &["ops"]),
    (6, &["config", "daemon", "cli", "main", "lib"]),
];

/// The parts of the node by height: each may import what is strictly below it, and itself. The rest of `src/node` is above
/// them: only there is a `Node`.
const NODE_HEIGHTS: &[(u8, &[&str])] = &[(0, &["api", "parts"]), (1, &["context"]), (2, &["peers"]), (3, &["share"])];

/// The top of the node: its modules know each other.
const NODE_EDGE: u8 = 4;

/// What `src/node/mod.rs` names of its own that everything below may use.
const NODE_NAMES: &[&str] = &["CommandId", "LinkId"];

/// The top: its modules know each other.
const EDGE: u8 = 6;

/// What pure code must not use, with what it is.
const ACTS: &[(&str, &str)] = &[
    ("std::time::SystemTime", "a clock"),
    ("std::time::Instant", "a clock"),
    ("std::time::UNIX_EPOCH", "a clock"),
    ("std::thread", "a thread"),
    ("std::sync", "something shared between threads"),
    ("std::process", "a process"),
    ("std::env", "the environment"),
    ("std::fs", "a file"),
    ("std::io::stdin", "a stream"),
    ("std::io::stdout", "a stream"),
    ("std::io::stderr", "a stream"),
    ("std::os::fd", "a file"),
    ("std::os::unix::fs", "a file"),
    ("std::os::unix::io", "a file"),
    ("std::os::unix::net", "a socket"),
    ("std::os::unix::process", "a process"),
    ("std::net::TcpStream", "a socket"),
    ("std::net::TcpListener", "a socket"),
    ("std::net::UdpSocket", "a socket"),
    ("std::net::ToSocketAddrs", "name resolution"),
    ("std::collections::HashMap", "a map without an order"),
    ("std::collections::HashSet", "a set without an order"),
    ("std::collections::hash_map", "a map without an order"),
    ("std::collections::hash_set", "a set without an order"),
    ("std::hash::RandomState", "randomness"),
    ("std::hash::DefaultHasher", "randomness"),
    ("getrandom", "randomness"),
    ("rand", "randomness"),
    ("nix", "a system call"),
];

/// The real disk: the files below the edge that act.
const DISK: &[&str] = &["src/fs/unix.rs", "src/fs/unix/root.rs", "src/fs/uci_file.rs", "src/fs/local.rs"];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["src/fs/unix.rs", "src/daemon/memory.rs"];

/// The only place that may sleep: between two checks of a condition, with a deadline.
const SLEEPERS: &[&str] = &["tests/e2e/wait.rs"];

#[test]
fn every_file_keeps_the_rules() {
    let mut complaints = Vec::new();
    let mut names = BTreeSet::new();
    for (name, text) in sources() {
        complaints.extend(imports_upward(&name, &text));
        complaints.extend(imports_upward_in_node(&name, &text));
        complaints.extend(acts_in_the_core(&name, &text));
        complaints.extend(unsafe_code(&name, &text));
        complaints.extend(sleeps(&name, &text));
        complaints.extend(opens(&name, &text));
        names.insert(name);
    }
    assert!(names.contains("src/reconcile/mod.rs") && names.contains("tests/layers.rs"), "{names:?}");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Every Rust file of the package, by its path from the package's root.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo = vec![root.join("src"), root.join("tests")];
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let skip = path.file_name().is_some_and(|name| name == "target" || name == "node_modules");
            let inside = std::fs::read_dir(&path).expect("a directory of sources");
            todo.extend(inside.filter(|_| !skip).map(|entry| entry.expect("a name").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).expect("a source")));
        }
    }
    found.sort();
    found
}

/// The module path of a file of src: `["node", "land"]` for src/node/land.rs.
fn home(name: &str) -> Option<Vec<String>> {
    let path = PathBuf::from(name.strip_prefix("src/")?).with_extension("");
    let mut parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    Some(parts)
}

fn named(name: &str, text: &str) -> Vec<scan::Named> {
    let home = home(name).unwrap_or_default();
    scan::paths(text, &home.iter().map(String::as_str).collect::<Vec<_>>())
}

fn height(module: &str) -> Option<u8> {
    HEIGHTS.iter().find(|(_, modules)| modules.contains(&module)).map(|(height, _)| *height)
}

fn imports_upward(name: &str, text: &str) -> Vec<String> {
    let Some(home) = home(name) else { return Vec::new() };
    let Some(mine) = height(&home[0]) else {
        return vec![format!("{name}: the module {} has no layer; give it one in tests/layers.rs", home[0])];
    };
    let mut complaints = Vec::new();
    for named in named(name, text) {
        let module = match named.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["crate" | "owsync", module, ..] => module,
            // The whole crate under another name would hide whatever is taken from it.
            ["crate" | "owsync"] => "everything",
            _ => continue,
        };
        let lower = match height(module) {
            Some(theirs) => module == home[0] || theirs < mine || mine == EDGE,
            None => mine == EDGE,
        };
        if !lower {
            complaints.push(format!("{name}:{}: {} does not lie below {}", named.line, named.text(), home[0]));
        }
    }
    complaints
}

/// The height of a part of the node; what `parts` defines is named as `crate::node::Output`, too.
fn node_height(part: &str) -> u8 {
    if part.chars().next().is_some_and(char::is_uppercase) {
        let low =
            NODE_NAMES.contains(&part) || ["Candidate", "DeltaChange", "Identity", "Output", "Parts"].contains(&part);
        return if low { 0 } else { NODE_EDGE };
    }
    NODE_HEIGHTS.iter().find(|(_, parts)| parts.contains(&part)).map_or(NODE_EDGE, |(height, _)| *height)
}

fn imports_upward_in_node(name: &str, text: &str) -> Vec<String> {
    let Some(part) = home(name).filter(|home| home[0] == "node").and_then(|home| home.get(1).cloned()) else {
        return Vec::new();
    };
    let mine = node_height(&part);
    let mut complaints = Vec::new();
    for named in named(name, text) {
        let ["crate" | "owsync", "node", theirs, ..] = named.path.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        if mine < NODE_EDGE && theirs != part && node_height(theirs) >= mine && node_height(theirs) > 0 {
            complaints.push(format!("{name}:{}: {} is not below node::{part}", named.line, named.text()));
        }
    }
    complaints
}

/// L0 to L3, the real disk excepted, take time, chance and input as arguments.
fn acts_in_the_core(name: &str, text: &str) -> Vec<String> {
    let core = home(name).and_then(|home| height(&home[0])).is_some_and(|height| height < EDGE);
    if !core || DISK.contains(&name) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for named in named(name, text) {
        let core_text = named.text().replacen("core::", "std::", usize::from(named.path[0] == "core"));
        let touched = ACTS.iter().find(|(what, _)| {
            named.touches(what)
                || core_text.split("::").collect::<Vec<_>>().starts_with(&what.split("::").collect::<Vec<_>>())
        });
        if let Some((_, what)) = touched {
            complaints.push(format!("{name}:{}: {} is {what}", named.line, named.text()));
        }
        // Of libc, only names of errors: constants are written in capitals.
        let call =
            named.path[0] == "libc" && named.path.iter().skip(1).any(|part| part.chars().any(char::is_lowercase));
        if call || named.text() == "libc::*" {
            complaints.push(format!("{name}:{}: {} is a system call", named.line, named.text()));
        }
    }
    // Paths as values are welcome; asking the disk about one is not, and what there is to say is returned.
    for (line, word) in scan::words(text) {
        if ["canonicalize", "symlink_metadata", "try_exists", "println", "eprintln"].contains(&word) {
            complaints.push(format!("{name}:{line}: {word} reaches outside"));
        }
    }
    complaints
}

fn unsafe_code(name: &str, text: &str) -> Vec<String> {
    if UNSAFE.contains(&name) {
        return Vec::new();
    }
    let found = scan::words(text).into_iter().filter(|(_, word)| *word == "unsafe");
    found.map(|(line, _)| format!("{name}:{line}: unsafe outside {}", UNSAFE.join(" and "))).collect()
}

fn sleeps(name: &str, text: &str) -> Vec<String> {
    if SLEEPERS.contains(&name) {
        return Vec::new();
    }
    let sleep = |named: &scan::Named| {
        [
            "std::thread::sleep",
            "std::thread::sleep_ms",
            "std::thread::park_timeout",
            "nix::unistd::sleep",
            "libc::sleep",
        ]
        .iter()
        .any(|what| named.text() == *what)
    };
    let found = named(name, text).into_iter().filter(sleep);
    found.map(|named| format!("{name}:{}: {} instead of waiting for a condition", named.line, named.text())).collect()
}

/// Where files are opened by their names, besides `fs::Root` and `fs::local`, which never wait at a fifo: names that no
/// share holds, and why.
const OPENERS: &[(&str, &str)] = &[
    ("src/daemon/env.rs", "/proc"),
    ("src/daemon/joining/addresses.rs", "/proc"),
    ("src/daemon/joining/keys.rs", "a new file, and the directory it is in"),
    ("src/daemon/place.rs", "the lock, opened for reading and writing; a new identity"),
    ("src/daemon/metrics.rs", "a new file"),
    ("src/daemon/skipped.rs", "only in tests of packages"),
    ("src/cli/join.rs", "the join text, which may come through a pipe"),
    ("src/cli/merge_file.rs", "files of a command, which git or a shell may give it as pipes"),
];

fn opens(name: &str, text: &str) -> Vec<String> {
    let known = OPENERS.iter().any(|(known, _)| *known == name) || DISK.contains(&name);
    if known || !name.starts_with("src/") || name.ends_with("/tests.rs") {
        return Vec::new();
    }
    // What tests open is their own.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    const CALLS: [&str; 7] = [
        "std::fs::read",
        "std::fs::read_to_string",
        "std::fs::File::open",
        "std::fs::File::create",
        "std::fs::File::options",
        "std::fs::OpenOptions",
        "std::fs::copy",
    ];
    let open = |named: &scan::Named| {
        let text = named.text();
        CALLS.iter().any(|call| text == *call || text.starts_with(&format!("{call}::")))
    };
    let found = named(name, text).into_iter().filter(open);
    found.map(|named| format!("{name}:{}: {} may wait at a fifo: fs::local::read", named.line, named.text())).collect()
}

/// F68: the reload code read names in a share by `std::fs::read`, which waits at a fifo.
#[test]
fn a_file_that_is_opened_by_its_name_is_seen() {
    for text in [
        "fn f() { std::fs::read(path) }",
        "use std::fs; fn f() { fs::read_to_string(path) }",
        "use std::fs::File; fn f() { File::open(path) }",
        "use std::fs::OpenOptions;",
    ] {
        assert!(!opens("src/daemon/inforce.rs", text).is_empty(), "{text}");
        assert_eq!(opens("src/fs/unix.rs", text), [""; 0]);
    }
    let fine = "use std::fs::File; fn f(f: File) { std::fs::read_dir(d) }\n#[cfg(test)]\nmod tests { fn f() { std::fs::read(x) } }";
    assert_eq!(opens("src/daemon/runner.rs", fine), [""; 0]);
}

#[test]
fn an_import_upward_is_seen_however_it_is_written() {
    for (name, text) in [
        ("src/model/path.rs", "use crate::fs::Root;"),
        ("src/model/path.rs", "use crate::{model::{self, Digest}, fs::{Root}};"),
        ("src/model/path.rs", "fn f() { crate::node::api::x() }"),
        ("src/model/path.rs", "use super::super::store::Store;"),
        ("src/model/mod.rs", "mod tests { use super::super::reconcile; }"),
        ("src/model/path.rs", "use crate::*;"),
        ("src/model/path.rs", "use crate as all;"),
        ("src/model/path.rs", "use crate::brand_new::X;"),
        ("src/reconcile/mod.rs", "use crate::proto::Message;"),
        ("src/proto/frame.rs", "use crate::uci::Package;"),
        ("src/uci/parse.rs", "use crate::reconcile::filter;"),
        ("src/fs/scan.rs", "use crate::store::Store;"),
        ("src/store/mod.rs", "use crate::node;"),
        ("src/node/land.rs", "use crate::config::Told;"),
        ("src/brand_new/mod.rs", ""),
    ] {
        assert_eq!(imports_upward(name, text).len(), 1, "{name}: {text} {:?}", imports_upward(name, text));
    }
    for (name, text) in [
        ("src/model/path.rs", "use crate::model::{Digest, limits}; use super::*; // use crate::fs::Root;"),
        ("src/model/path.rs", "mod tests { use super::*; const TEXT: &str = \"crate::fs::Root\"; }"),
        ("src/model/mod.rs", "mod tests { use super::*; } pub mod path;"),
        ("src/fs/apply.rs", "use crate::reconcile::filter; use crate::model::RelPath;"),
        ("src/store/mod.rs", "use crate::fs::Root; /* crate::node */"),
        ("src/daemon/mod.rs", "use crate::config::Told; use crate::node::Node;"),
        ("src/main.rs", "use owsync::daemon;"),
    ] {
        assert_eq!(imports_upward(name, text), [""; 0], "{name}: {text}");
    }
}

#[test]
fn the_core_cannot_reach_the_world_unseen() {
    for text in [
        "fn f() { std::time::SystemTime::now(); }",
        "use std::time::{Duration, Instant};",
        "use core::time; use std::time as t; fn f() { t::Instant::now() }",
        "use std::collections::{BTreeMap, HashMap};",
        "use std::collections::*;",
        "use std::collections; fn f() -> collections::HashSet<u8> { todo() }",
        "use std::net::{IpAddr, TcpStream};",
        "use std::thread;",
        "use std::fs::File;",
        "use std::os::unix::net::UnixStream;",
        "fn f() { let mut b = [0]; getrandom::fill(&mut b); }",
        "fn f(p: &Path) { p.canonicalize(); }",
        "fn f() { libc::time(x) }",
        "use nix::unistd;",
    ] {
        for name in ["src/model/time.rs", "src/proto/session.rs", "src/node/mod.rs", "src/store/mod.rs"] {
            assert_eq!(acts_in_the_core(name, text).len(), 1, "{name}: {text} {:?}", acts_in_the_core(name, text));
        }
        assert_eq!(acts_in_the_core("src/daemon/env.rs", text), [""; 0]);
        assert_eq!(acts_in_the_core(DISK[0], text), [""; 0]);
    }
    let fine =
        "use std::net::IpAddr; use std::time::Duration; fn f() { libc::EBUSY; crate::fs::open(); r#\"std::fs\"#; 'x' }";
    assert_eq!(acts_in_the_core("src/node/mod.rs", fine), [""; 0]);
}

#[test]
fn unsafe_stands_only_where_it_is_needed() {
    assert_eq!(
        unsafe_code("src/fs/scan.rs", "fn f() {\n unsafe { g() } }"),
        ["src/fs/scan.rs:2: unsafe outside src/fs/unix.rs and src/daemon/memory.rs"]
    );
    assert_eq!(unsafe_code("tests/e2e/main.rs", "unsafe fn f() {}").len(), 1);
    assert_eq!(unsafe_code(UNSAFE[0], "unsafe fn f() {}"), [""; 0]);
    assert_eq!(unsafe_code("src/fs/mod.rs", "#[allow(unsafe_code)] // unsafe\nconst X: &str = \"unsafe\";"), [""; 0]);
}

#[test]
fn a_test_that_sleeps_is_seen() {
    for text in [
        "fn f() { std::thread::sleep(d) }",
        "use std::thread; fn f() { thread::sleep(d) }",
        "use std::thread::sleep;",
        "use std::{thread::{self as t}}; fn f() { t::sleep(d) }",
    ] {
        assert_eq!(sleeps("tests/e2e/main.rs", text).len(), 1, "{text}");
        assert_eq!(sleeps("src/node/mod.rs", text).len(), 1, "{text}");
    }
    assert_eq!(sleeps("tests/x.rs", "fn f() { record.sleep = None; thread_of::sleep_well() }"), [""; 0]);
}

#[test]
fn an_import_upward_inside_the_node_is_found() {
    let share = |text: &str| imports_upward_in_node("src/node/share/inbox/pending.rs", text);
    assert!(share("use crate::node::context::Context;\nuse crate::node::peers::Peers;").is_empty());
    assert!(share("use crate::node::{LinkId, Output};\nuse crate::node::share::Share;").is_empty());
    assert_eq!(share("use crate::node::Node;").len(), 1);
    assert_eq!(share("use crate::node::requests::sync;").len(), 1);
    assert_eq!(imports_upward_in_node("src/node/peers/link.rs", "use crate::node::share::Share;").len(), 1);
    assert_eq!(imports_upward_in_node("src/node/context/log.rs", "fn f() { crate::node::peers::g() }").len(), 1);
    assert!(imports_upward_in_node("src/node/requests/sync.rs", "use crate::node::Node;").is_empty());
}
