//! The faults of the C program that this one replaces (F1-F65) and of the first version of this one (F66-F140), by their
//! numbers, and that each has a test.
//!
//! A test says which fault it makes impossible in its doc comment (`/// F4`, or `/// F2, F3: ...`; `# /// F60` in a script)
//! or in its name (`..._f22`). This file holds the list of all numbers: one without a test fails here, and so does a
//! number that no fault has.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

/// What a user could meet, by number.
const FAULTS: &[(u8, &str)] = &[
    (1, "a new node's factory default replaces a file in production"),
    (2, "a full disk truncates the file that is received"),
    (3, "the truncated copy destroys the original too"),
    (4, "a directory that is not mounted for a while is taken for emptied"),
    (5, "an edit is lost because its node's clock is behind"),
    (6, "a relayed older edit wins over a newer one"),
    (7, "an edit of a file that is being sent is lost on both sides"),
    (8, "a file that changes between decision and rename is lost"),
    (9, "an unreadable file is taken for deleted"),
    (10, "three nodes that edit at once never agree"),
    (11, "the end of a chain never hears of a change"),
    (12, "a change while the peer is down is never sent"),
    (13, "deleted files come back from a concurrent session"),
    (14, "deleted files come back after the loss of the state file"),
    (15, "a deletion wins over a later edit"),
    (16, "a directory that becomes a file never lands, nor the reverse"),
    (17, "mode and owner never travel"),
    (18, "some names never travel, nor do empty directories"),
    (19, "a deletion of 30 days ago ends the daemon at every start"),
    (20, "a file from the future can be neither edited nor deleted by others"),
    (21, "temporary files of a killed receiver stay for ever"),
    (22, "a power cut after `synced` leaves an empty or old file"),
    (23, "an edit of the same size within a second is missed, or everything is read again"),
    (30, "a port scan ends the daemon"),
    (31, "a peer that says nothing stops all others"),
    (32, "fifty idle connections stop everything"),
    (33, "two sides that both have much to send wait for ever"),
    (34, "malformed frames end the daemon or empty a file"),
    (35, "announced lengths cost memory before anybody has authenticated"),
    (36, "a fifo in the directory stops everything"),
    (37, "a bad key is accepted and nothing works"),
    (38, "the daemon runs without a server when its port is taken"),
    (39, "long paths and many entries are read past the end of buffers"),
    (50, "recorded frames are accepted again"),
    (51, "content that nobody asked for is written, set-user-id"),
    (52, "the key and the database are served to whoever asks"),
    (53, "a symlink inside the directory leads writes outside"),
    (54, "without a key everything is sent in clear"),
    (55, "wrong key, wrong mode, clock skew and network faults look alike"),
    (60, "a build without encryption does not link"),
    (61, "a pattern in UCI is expanded by the shell"),
    (62, "the ubus object reports a dead daemon as running"),
    (63, "nothing reloads what was received"),
    (64, "deletions are forgotten at every reboot of a router"),
    (65, "`connect host:port` does not work as documented"),
    (66, "an edit that has seen everything loses a conflict, because its stamp was based on a provisional one"),
    (67, "an approval of one hold disables the guards for a later hold"),
    (68, "a fifo in a share with `reload uci` stops the daemon"),
    (69, "a Progress message that is too long ends the program"),
    (70, "a deletion or a symlink at a blocked path stops the whole share"),
    (71, "a missing staging directory is reported as trouble with the database"),
    (72, "a directory that is replaced by a copied symlink is undone where it was replaced"),
    (73, "a sleeping file that is deleted stays on the peer, with both nodes in sync"),
    (74, "a program that keeps a replaced file open changes what the history holds"),
    (75, "a swapped root deletes everything on the peer"),
    (76, "an empty file as the only change waits for the next event"),
    (77, "an emptied UCI package replaces the good one on the peer"),
    (78, "a first sync of more files than descriptors never completes"),
    (79, "a directory without write permission blocks its batch for an ordinary user"),
    (80, "a share is scanned while an interrupted transaction is open"),
    (81, "a full history disk blocks the share without a reason in status"),
    (82, "what a peer is believed to have outlives its database"),
    (85, "nodes without a common share are in sync"),
    (86, "nodes behind a held relay or a full hub are in sync"),
    (87, "local changes in a share that only receives are in sync"),
    (88, "two addresses of one peer, or one's own address, are never in sync"),
    (89, "a dead cable is in sync for more than a minute"),
    (90, "a retry after an idle minute drops a healthy session"),
    (91, "a renamed directory is held as mass deletion and sent again"),
    (92, "a rejection or a rollback is reported as conflicts"),
    (93, "every held path is an event and a mail"),
    (94, "an approved deletion is asked again on every node"),
    (95, "status shows which path waits, and not why"),
    (97, "a hold that approve or reject would end does not say that it needs the user"),
    (98, "shares inside each other are accepted"),
    (99, "patterns that can never match are accepted"),
    (100, "a version vector at its limit makes honest peers refuse each other"),
    (101, "one peer fills memory, journal and time of the others"),
    (102, "a newline in a file name forges a path for the reload program"),
    (103, "a directory that no pattern names loses its mode at the receiver"),
    (104, "every attempt with a wrong key is a line in the log"),
    (106, "a service that a reload program started is killed"),
    (110, "a version of another path is restored"),
    (111, "a peer that dialled in has no name in commands, and equal names are ambiguous"),
    (112, "`status` exits with 0 when it is not in sync, and prints no JSON without a daemon"),
    (113, "three nodes that were joined do not sync without the hub"),
    (114, "a used or expired join text waits to be accepted"),
    (115, "the stated minimum Rust does not build"),
    (116, "make demo and make test fail on a machine that lacks something, without a word"),
    (117, "a link-local address with a zone cannot be bound"),
    (120, "a package that an upgrade migrated replaces that of the router on the old release"),
    (121, "large former versions are not kept, and nobody is told"),
    (122, "ACLs and extended attributes of a replaced file are lost"),
    (130, "an empty key file leads to plain mode"),
    (131, "an upgrade from 1.2.0 leaves the service disabled"),
    (132, "a committed firewall rule is not in force"),
    (133, "the firewall rule opens the port to the WAN"),
    (134, "what was sent is not visible where it was made"),
    (135, "a change that the peer has not confirmed is in sync"),
    (136, "a rollback is called a conflict, and a joining router a reference"),
    (137, "a first join looks like an alarm"),
    (140, "a settle time above 2 s is cut without a word"),
];

#[test]
fn every_fault_has_a_test_and_every_number_a_fault() {
    let tested = tested();
    let missing: Vec<String> = FAULTS
        .iter()
        .filter(|(number, _)| !tested.contains_key(number))
        .map(|(number, what)| format!("F{number}: no test says that it is impossible that {what}"))
        .collect();
    let known = |number: &u8| FAULTS.iter().any(|(fault, _)| fault == number);
    let unknown =
        tested.iter().filter(|(number, _)| !known(number)).map(|(n, at)| format!("F{n}: no such fault: {at}"));
    let complaints: Vec<String> = missing.into_iter().chain(unknown).collect();
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
