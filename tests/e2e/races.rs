//! Users and peers at the same file in the same moment.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use owsync::model::Reason;
use owsync::proto::Message;
use owsync::proto::message::{Chunk, Offer, Piece};
use serde_json::json;

use crate::cluster::Cluster;
use crate::proxy::{Proxy, Way};
use crate::skip::{has_program, not_run};
use crate::stranger::{Stranger, offer, path};
use crate::wait::{pause, until};

/// F7
#[test]
fn an_edit_of_a_file_that_is_being_sent_is_not_lost() {
    let cluster = Cluster::apart(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    let wire = Proxy::between(b, a);
    cluster.start();
    wire.allow(Way::Back, 3_000_000);

    let mut content = vec![b'1'; 12 * 1024 * 1024];
    a.write("big", &content);
    until("a part is under way", || wire.is_stopped(Way::Back));
    // In the part that has not been sent, without changing its size.
    let file = fs::File::options().write(true).open(a.path("big")).unwrap();
    file.write_all_at(b"edited", 10_000_000).unwrap();
    content[10_000_000..10_000_006].copy_from_slice(b"edited");
    wire.open();

    until("the edit arrives", || b.read_bytes("big").as_deref() == Some(&content[..]));
    assert_eq!(a.read_bytes("big").as_deref(), Some(&content[..]));
    cluster.until_equal();
}

/// How the user's program replaces a file.
#[derive(Clone, Copy)]
enum Writing {
    /// A new file, renamed over the old one, as most editors and `uci commit` do.
    Rename,
    /// In place, under the lock that libuci takes, for as long as a slow program needs.
    Locked,
}

/// F8
#[test]
fn what_is_renamed_into_place_while_a_peer_writes_is_never_lost() {
    nothing_of_the_writers_is_lost(Writing::Rename, 60, Duration::from_millis(4), None);
}

/// F8
#[test]
fn what_is_written_under_a_lock_while_a_peer_writes_is_never_lost() {
    nothing_of_the_writers_is_lost(Writing::Locked, 12, Duration::from_millis(4), None);
}

/// F8: the same with the moment between the last look and the exchange made so long that the user always writes in it.
#[test]
fn what_is_written_between_the_last_look_and_the_exchange_is_put_back() {
    if !has_program("strace") {
        return not_run("needs strace, which delays system calls");
    }
    nothing_of_the_writers_is_lost(Writing::Rename, 4, Duration::from_millis(25), Some(Duration::from_millis(300)));
}

/// A user edits files on `b` without an end, `pause` after `pause`, while `a` sends versions of the same files. Whatever
/// the user wrote and did not replace is current or in a history. With `delay`, every exchange on `b` takes so long.
fn nothing_of_the_writers_is_lost(writing: Writing, files: usize, time: Duration, delay: Option<Duration>) {
    // A path that changes back and forth more than ten times a minute waits for the user.
    const ROUNDS: usize = 4;
    let cluster = Cluster::idle(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    // Everything is kept, so that everything can be checked; and peers are notified at once, so that both meet often.
    cluster.set("history_size", "64M");
    cluster.set("history_versions", "1000");
    cluster.set("settle_ms", "5");
    cluster.set("log_level", "2");
    a.spawn();
    if let Some(delay) = delay {
        let (share, output) = (b.share().display().to_string(), b.home().join("trace").display().to_string());
        let inject = format!("inject=renameat2:delay_enter={}", delay.as_micros());
        let words = ["strace", "-D", "-f", "-P", &share, "-e", "trace=renameat2", "-e", &inject, "-o", &output];
        b.launch_by(words.map(String::from).to_vec());
    }
    b.spawn();
    until("it answers, or strace cannot trace here", || b.try_status().is_some() || !b.is_running());
    if delay.is_some() && !b.is_running() {
        return not_run(&format!("strace cannot trace here: {}", b.log().lines().last().unwrap_or_default()));
    }
    cluster.until_in_sync();
    let names: Vec<String> = (0..files).map(|n| format!("f{n}")).collect();
    names.iter().for_each(|name| a.write(name, "0"));
    cluster.until_equal();

    let done = AtomicBool::new(false);
    let share = b.share();
    let replaced = std::thread::scope(|scope| {
        let user = scope.spawn(|| write_without_end(&share, &names, writing, time, &done));
        // Also when this test fails, or the scope would wait for ever.
        let end = SetOnDrop(&done);
        for round in 0..ROUNDS {
            for name in &names {
                a.write(name, format!("a, round {round} of {name}"));
            }
            let last = &names[files - 1];
            let seen = format!("a, round {round} of {last}");
            match delay {
                // The user is so much faster that nothing else may ever be seen of it.
                Some(delay) => pause(3 * delay),
                None => until("b has met this round", || {
                    b.read(last).as_deref() == Some(&seen)
                        || b.history(last).contains(&seen)
                        || a.history(last).contains(&seen)
                }),
            }
        }
        drop(end);
        user.join().unwrap()
    });

    cluster.until_equal();
    for (name, contents) in names.iter().zip(replaced) {
        let mut kept: BTreeSet<String> = [a, b].iter().flat_map(|node| node.history(name)).collect();
        kept.insert(b.read(name).unwrap());
        for content in contents {
            assert!(kept.contains(&content), "{name}: {content:?} is lost; there are {kept:#?}");
        }
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes file after file until stopped; per file, what another process replaced, and what came last.
fn write_without_end(
    share: &Path,
    names: &[String],
    writing: Writing,
    time: Duration,
    done: &AtomicBool,
) -> Vec<Vec<String>> {
    let mut replaced = vec![Vec::new(); names.len()];
    let mut last: Vec<Option<String>> = vec![None; names.len()];
    let mut round = 0;
    while !done.load(Ordering::Relaxed) {
        for (n, name) in names.iter().enumerate() {
            let path = share.join(name);
            let content = format!("b, round {round} of {name}");
            let before = match writing {
                Writing::Rename => {
                    pause(time);
                    rename_into_place(&path, &content)
                }
                Writing::Locked => write_locked(&path, &content, time),
            };
            if let Some(own) = last[n].replace(content) {
                if own != before {
                    // What was put back after that, and was there now, the user has replaced himself.
                    replaced[n].retain(|content| *content != before);
                    replaced[n].push(own);
                }
            }
        }
        round += 1;
    }
    for (all, last) in replaced.iter_mut().zip(last) {
        all.extend(last);
    }
    replaced
}

/// What it replaced. Exchanged, not renamed: so the test knows exactly what was there.
fn rename_into_place(path: &Path, content: &str) -> String {
    // A name that libuci makes, so that it is not synced itself.
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let new: PathBuf = path.with_file_name(format!(".{name}.uci-ABCDEF"));
    fs::write(&new, content).unwrap();
    let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
    let cwd = nix::fcntl::AT_FDCWD;
    nix::fcntl::renameat2(cwd, &new, cwd, path, flags).unwrap();
    let before = fs::read_to_string(&new).unwrap();
    fs::remove_file(&new).unwrap();
    before
}

/// What it replaced.
fn write_locked(path: &Path, content: &str, time: Duration) -> String {
    loop {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
        let same = |a: &fs::Metadata, b: &fs::Metadata| {
            use std::os::unix::fs::MetadataExt;
            (a.dev(), a.ino()) == (b.dev(), b.ino())
        };
        // As libuci: a process that got the lock of a file that is no longer there starts over.
        if !fs::metadata(path).is_ok_and(|there| same(&there, &file.metadata().unwrap())) {
            continue;
        }
        let mut before = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut before, 0).unwrap();
        pause(time);
        file.set_len(0).unwrap();
        file.write_all_at(content.as_bytes(), 0).unwrap();
        file.sync_all().unwrap();
        return String::from_utf8(before).unwrap();
    }
}

/// The same replacement from the other side: the file that a user's program moved away while the peer's was being applied.
#[test]
fn an_edit_of_both_at_once_is_current_or_in_history() {
    let cluster = Cluster::running(&["a", "b"]);
    let (a, b) = (&cluster["a"], &cluster["b"]);
    a.write("f", "0");
    cluster.until_equal();

    std::thread::scope(|scope| {
        let (from_a, from_b) = (a.path("f"), b.path("f"));
        scope.spawn(move || fs::write(from_a, "by a").unwrap());
        scope.spawn(move || fs::write(from_b, "by b").unwrap());
    });

    cluster.until_equal();
    let winner = a.read("f").unwrap();
    let loser = if winner == "by a" { "by b" } else { "by a" };
    until("the loser is in a history", || {
        cluster.nodes().iter().any(|node| node.history("f").iter().any(|one| one == loser))
    });
    until("both report the conflict", || {
        cluster.nodes().iter().all(|node| node.status()["counters"]["conflicts"] != json!(0))
    });
}

/// The rest of a batch waits for a path that its author changed again; and then for another one.
#[test]
fn what_waits_for_another_path_goes_on_when_that_one_has_changed() {
    let cluster = Cluster::apart(&["a"]);
    let a = &cluster["a"];
    Stranger::expected_by(a);
    a.start();
    let mut stranger = Stranger::meet(a, |hello| hello.rank = 1);
    let together: Vec<Offer> = ["x", "y", "z"]
        .iter()
        .zip(11..)
        // Each has another content: what is here already is not asked for.
        .map(|(name, seq)| Offer { batch: 11, ..offer(name, name.as_bytes(), 0o644, seq) })
        .collect();
    let changed = |stranger: &mut Stranger, pieces: &[Piece], name: &str| {
        let piece = pieces.iter().find(|piece| piece.path == path(name)).expect("it was asked for");
        stranger.say(&Message::Unavailable { id: piece.id, reason: Reason::NotSupplied("it changed".into()) });
    };
    let supplied = |stranger: &mut Stranger, pieces: &[Piece], name: &str| {
        let piece = pieces.iter().find(|piece| piece.path == path(name)).expect("it was asked for");
        stranger.say(&Message::Data(vec![Chunk { id: piece.id, offset: 0, bytes: name.as_bytes().to_vec() }]));
    };
    let waits_for = |other: &str| {
        a.main()["pending"].as_array().is_some_and(|all| {
            all.iter().any(|one| {
                one["path"] == json!("z") && one["message"].as_str().unwrap().contains(&format!("waits for {other}"))
            })
        })
    };

    stranger.offers(together);
    let pieces = stranger.until_asked();
    changed(&mut stranger, &pieces, "y");
    until("z waits for y", || waits_for("y"));
    stranger.offers_more(vec![offer("y", b"y", 0o600, 21)]);
    let mut pieces = stranger.until_asked();
    while !["x", "y", "z"].iter().all(|name| pieces.iter().any(|piece| piece.path == path(name))) {
        pieces.extend(stranger.until_asked());
    }
    supplied(&mut stranger, &pieces, "y");
    changed(&mut stranger, &pieces, "x");
    until("z waits for x", || waits_for("x"));
    stranger.offers_more(vec![offer("x", b"x", 0o600, 31)]);
    let mut pieces = stranger.until_asked();
    while !["x", "z"].iter().all(|name| pieces.iter().any(|piece| piece.path == path(name))) {
        pieces.extend(stranger.until_asked());
    }
    supplied(&mut stranger, &pieces, "x");
    supplied(&mut stranger, &pieces, "z");

    for name in ["x", "y", "z"] {
        a.until_holds(name, name);
    }
    assert!(a.main()["pending"].is_null());
}
