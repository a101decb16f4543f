//! The UCI reader and writer against what the real `uci` said of the same files, and against random input.
//!
//! The files and what `uci show` and `uci export` print for them are beside the project, in ../shared/data. Where that is
//! not there, the tests that need it name themselves on standard error and check nothing; the tables in src/uci say the
//! same in samples of their own.

#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::Write;
use std::path::{Path, PathBuf};

use owsync::uci::{Package, PackageName, delta, parse, write};
use proptest::prelude::*;

/// A directory of shared data; without it, says which test did not run.
fn shared(test: &str, name: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    // A test that could not run must not look like one that passed: past the harness, which would swallow the line, and
    // into the list that tests/run prints at its end.
    let line = format!("uci::{test}: {} is not there\n", dir.display());
    std::io::stderr().write_all(format!("NOT RUN: {line}").as_bytes()).unwrap();
    if let Some(list) = std::env::var_os("OWSYNC_TEST_SKIPPED") {
        std::fs::File::options().append(true).open(list).unwrap().write_all(line.as_bytes()).unwrap();
    }
    None
}

/// Every `NAME.conf` of a directory: the package's name, its text, and the path without its ending.
fn samples(dir: &Path) -> Vec<(PackageName, Vec<u8>, PathBuf)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
    paths.sort();
    let sample = |path: PathBuf| {
        let name = PackageName::parse(path.file_stem().unwrap().as_encoded_bytes()).unwrap();
        (name, std::fs::read(&path).unwrap(), path.with_extension(""))
    };
    paths.into_iter().map(sample).collect()
}

/// What was recorded beside a sample.
fn recorded(base: &Path, ending: &str) -> Option<Vec<u8>> {
    std::fs::read(base.with_extension(ending)).ok()
}

/// How a recording ends.
#[derive(Clone, Copy)]
enum End {
    /// As `uci` ended it.
    Kept,
    /// In one line end, whatever `uci` printed there: recorded through a shell.
    OneLineEnd,
}

fn one_line_end(mut text: Vec<u8>) -> Vec<u8> {
    while text.last() == Some(&b'\n') {
        text.pop();
    }
    text.push(b'\n');
    text
}

fn check(name: &PackageName, text: &[u8], base: &Path, end: End) {
    let told = base.display();
    let expected_error = recorded(base, "error");
    match parse(name, text) {
        Err(error) => {
            let ours = format!("uci: Parse error ({}) at line {}, byte {}\n", error.reason, error.line, error.byte)
                .into_bytes();
            let expected = expected_error.unwrap_or_else(|| panic!("{told}: refused: {error}"));
            assert_eq!(escaped(&ours), escaped(&one_line_end(expected)), "{told}");
        }
        Ok(package) => {
            assert_eq!(expected_error, None, "{told}: accepted");
            for (ending, ours) in [("show", write::show(&package)), ("export", write::export(&package))] {
                let expected = recorded(base, ending).unwrap_or_else(|| panic!("{told}.{ending} is missing"));
                let ours = match end {
                    End::Kept => ours,
                    End::OneLineEnd => one_line_end(ours),
                };
                assert_eq!(escaped(&ours), escaped(&expected), "{told}.{ending}");
            }
            reads_as_written(&package);
        }
    }
}

fn reads_as_written(package: &Package) {
    let text = write::committed(package);
    let again = parse(package.name(), &text).unwrap_or_else(|error| panic!("{error}: {}", escaped(&text)));
    assert_eq!(again, *package);
    // A second commit writes nothing new.
    assert_eq!(escaped(&write::committed(&again)), escaped(&text));
    assert_eq!(parse(package.name(), &write::export(package)).as_ref(), Ok(package));
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\n", "\n")
}

#[test]
fn every_tricky_file_is_read_and_written_as_by_uci() {
    let Some(dir) = shared("every_tricky_file_is_read_and_written_as_by_uci", "uci") else { return };
    let samples = samples(&dir);
    assert!(samples.len() >= 26, "only {} files", samples.len());
    for (name, text, base) in samples {
        check(&name, &text, &base, End::OneLineEnd);
    }
}

#[test]
fn every_real_file_is_read_and_written_as_by_uci() {
    let Some(dir) = shared("every_real_file_is_read_and_written_as_by_uci", "openwrt-config") else { return };
    let samples = samples(&dir);
    assert!(samples.len() >= 60, "only {} files", samples.len());
    for (name, text, base) in samples {
        check(&name, &text, &base, End::Kept);
    }
}

/// A value as users write it, or as no user would.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z0-9.]{1,12}".prop_map(String::into_bytes),
        "[ab'\"\\\\#; \t\r\n]{1,12}".prop_map(String::into_bytes),
        proptest::collection::vec(1..=255_u8, 1..12),
    ]
}

#[derive(Debug, Clone)]
enum Edit {
    Named(String, String),
    Unnamed(String),
    Set(usize, String, Vec<u8>),
    SetList(usize, String, Vec<Vec<u8>>),
    AddToList(usize, String, Vec<u8>),
    Unset(usize, String),
    Remove(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let kind = "[a-c]|[!-~]{1,3}";
    let option = "[a-d]|[A-Za-z0-9_]{1,8}";
    let item = prop_oneof![4 => value(), 1 => Just(Vec::new())];
    prop_oneof![
        3 => (kind, "[a-f]|[A-Z0-9_]{1,5}").prop_map(|(kind, name)| Edit::Named(kind, name)),
        2 => kind.prop_map(Edit::Unnamed),
        6 => (any::<usize>(), option, value()).prop_map(|(at, option, value)| Edit::Set(at, option, value)),
        2 => (any::<usize>(), option, proptest::collection::vec(item, 0..4))
            .prop_map(|(at, option, items)| Edit::SetList(at, option, items)),
        3 => (any::<usize>(), option, value()).prop_map(|(at, option, value)| Edit::AddToList(at, option, value)),
        1 => (any::<usize>(), option).prop_map(|(at, option)| Edit::Unset(at, option)),
        1 => any::<usize>().prop_map(Edit::Remove),
    ]
}

fn make(edits: &[Edit]) -> Package {
    let mut package = Package::new(PackageName::parse(b"p").unwrap());
    for edit in edits {
        let count = package.sections().len();
        let at = |at: &usize| format!("@[{}]", at % count.max(1));
        let section = match edit {
            Edit::Named(kind, name) => {
                // The name may belong to a section of another type: then nothing changes.
                let _ = package.named(kind, name);
                continue;
            }
            Edit::Unnamed(kind) => {
                package.unnamed(kind).unwrap();
                continue;
            }
            Edit::Remove(index) => {
                package.remove(&at(index));
                continue;
            }
            Edit::Set(index, ..) | Edit::SetList(index, ..) | Edit::AddToList(index, ..) | Edit::Unset(index, _) => {
                at(index)
            }
        };
        let Some(section) = package.section_mut(&section) else { continue };
        match edit {
            Edit::Set(_, option, value) => section.set(option, value).unwrap(),
            Edit::SetList(_, option, items) => section.set_list(option, items).unwrap(),
            Edit::AddToList(_, option, item) => section.add_to_list(option, item).unwrap(),
            Edit::Unset(_, option) => section.set(option, b"").unwrap(),
            Edit::Named(..) | Edit::Unnamed(_) | Edit::Remove(_) => {}
        }
    }
    package
}

/// Text made of what has a meaning in UCI.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    // What makes a valid line stands there more often.
    let piece = proptest::sample::select(vec![
        "config ",
        "config ",
        "\toption ",
        "\toption ",
        "\toption ",
        "\tlist ",
        "\tlist ",
        "package ",
        "c a 'x'\n",
        "o ",
        "\n",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        "\r\n",
        "\t",
        "\u{b}",
        "'",
        "'",
        "\"",
        "\\",
        "\\\n",
        "#",
        ";",
        "''",
        "a",
        "a",
        "k",
        "k",
        "cfg01b606",
        "'v'",
        "'v'",
        "\u{e9}",
        "\0",
        ".",
        "p.x.o='v'\n",
        "-p.x",
        "=",
    ]);
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_models_are_read_as_they_were_written(edits in proptest::collection::vec(edit(), 0..30)) {
        reads_as_written(&make(&edits));
    }

    #[test]
    fn what_was_accepted_is_read_as_it_is_written(text in soup()) {
        let name = PackageName::parse(b"p").unwrap();
        if let Ok(package) = parse(&name, &text) {
            reads_as_written(&package);
        }
        delta::parse(&name, &text);
    }

    #[test]
    fn any_bytes_end_in_a_package_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let name = PackageName::parse(b"p").unwrap();
        let _ = parse(&name, &text);
        delta::parse(&name, &text);
    }
}

#[test]
fn very_many_names_do_not_take_the_square_of_their_time() {
    // 100,000 of each took minutes where every name was compared with every other.
    let name = PackageName::parse(b"p").unwrap();
    let mut text = String::new();
    for n in 0..100_000 {
        text.push_str(&format!("c a s{n}\n"));
    }
    for n in 0..100_000 {
        text.push_str(&format!("o k{n} v\nl m v\n"));
    }
    let package = parse(&name, text.as_bytes()).unwrap();
    assert_eq!(package.sections().len(), 100_000);
    assert_eq!(package.sections().last().unwrap().options().count(), 100_001);
}
