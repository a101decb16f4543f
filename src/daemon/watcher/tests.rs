//! On real directories: the kernel queues an event before the call that caused it returns, so nothing here waits.

use crate::model::Set;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::daemon::{env, skipped};

/// A share in a directory of its own, with a watcher.
struct Place {
    base: PathBuf,
    watcher: Watcher,
    share: ShareName,
    filter: Filter,
}

impl Place {
    fn new() -> Place {
        Place::of("*", "")
    }

    fn of(include: &str, exclude: &str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("owsync-watcher-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let base = std::env::temp_dir().join(name);
        fs::create_dir_all(base.join("share")).unwrap();
        let filter = Filter::new(&[include.into()], &[exclude.into()], &[]);
        let share = ShareName::parse("main").unwrap();
        Place { base: fs::canonicalize(base).unwrap(), watcher: Watcher::new().unwrap(), share, filter }
    }

    /// Watches the share as it is now; whether all of it is watched.
    fn watch(&mut self) -> bool {
        let root = self.base.join("share");
        self.watcher.watch_share(&self.share, &root, &self.filter)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.base.join("share").join(path)
    }

    fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.at(path)).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn mv(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).unwrap();
    }

    /// What was seen, as text: `path`, `path/**` where it is deep, `*` for anything, `!` for a share partly watched.
    fn seen(&mut self) -> Set<String> {
        self.watcher
            .read()
            .into_iter()
            .map(|seen| match seen {
                Seen::Hint(_, Hint { path, deep: false }) => path.to_text(),
                Seen::Hint(_, Hint { path, deep: true }) => format!("{}/**", path.to_text()),
                Seen::Anything(_) => "*".into(),
                Seen::Partly(_) => "!".into(),
            })
            .collect()
    }

    fn watched(&self) -> Set<String> {
        let text = |watched: &Watched| watched.dir.as_ref().map_or(String::new(), RelPath::to_text);
        self.watcher.watches.values().map(text).collect()
    }

    /// A file that is written in each of these directories is seen, by that name.
    #[track_caller]
    fn sees_writes_in(&mut self, dirs: &[&str]) {
        self.seen();
        for dir in dirs {
            let path = format!("{dir}/probe").trim_start_matches('/').to_string();
            self.write(&path, dir);
            assert_eq!(self.seen(), set(&[&path]), "written in {dir}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn set(paths: &[&str]) -> Set<String> {
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn every_change_of_a_file_is_a_hint_at_it() {
    let mut place = Place::new();
    place.mkdir("dir");
    place.write("dir/old", "x");
    assert!(place.watch());
    assert_eq!(place.seen(), set(&[]));

    place.write("new", "x");
    assert_eq!(place.seen(), set(&["new"]));
    place.write("dir/old", "y");
    assert_eq!(place.seen(), set(&["dir/old"]));
    fs::set_permissions(place.at("dir/old"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.seen(), set(&["dir/old"]));
    place.mv("dir/old", "renamed");
    assert_eq!(place.seen(), set(&["dir/old", "renamed"]));
    fs::hard_link(place.at("renamed"), place.at("dir/linked")).unwrap();
    assert!(place.seen().contains("dir/linked"));
    fs::remove_file(place.at("renamed")).unwrap();
    assert!(place.seen().contains("renamed"));
    std::os::unix::fs::symlink("nowhere", place.at("link")).unwrap();
    assert_eq!(place.seen(), set(&["link"]));
    fs::set_permissions(place.at("dir"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.seen(), set(&["dir"]));
    // A file that moved in from elsewhere, over another.
    fs::write(place.base.join("outside"), "z").unwrap();
    fs::rename(place.base.join("outside"), place.at("new")).unwrap();
    assert_eq!(place.seen(), set(&["new"]));
    // Reading is no change.
    fs::read(place.at("new")).unwrap();
    assert_eq!(place.seen(), set(&[]));
}

#[test]
fn many_small_writes_are_one_hint() {
    let mut place = Place::new();
    place.watch();
    let mut file = fs::File::create(place.at("log")).unwrap();
    for line in 0..100 {
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }
    assert_eq!(place.watcher.read().len(), 1);
}

#[test]
fn what_lies_in_a_directory_before_its_watch_does_is_looked_at_at_once() {
    let mut place = Place::new();
    place.watch();
    // Made and filled before anybody reads what the kernel has to say.
    place.mkdir("a/b/c");
    place.write("a/b/c/file", "x");
    assert_eq!(place.seen(), set(&["a/**"]));
    // From then on everything below tells of itself.
    place.sees_writes_in(&["a/b/c", "a/b", "a", ""]);
    // And once more in a directory that has its watch already, deeper while it is being taken up.
    place.mkdir("a/x/y");
    assert_eq!(place.seen(), set(&["a/x/**"]));
    place.sees_writes_in(&["a/x/y"]);
}

#[test]
fn a_directory_that_was_moved_in_is_looked_at_with_everything_in_it() {
    let mut place = Place::new();
    place.watch();
    fs::create_dir_all(place.base.join("outside/deep/er")).unwrap();
    fs::write(place.base.join("outside/deep/er/file"), "x").unwrap();
    fs::rename(place.base.join("outside"), place.at("inside")).unwrap();
    assert_eq!(place.seen(), set(&["inside/**"]));
    place.sees_writes_in(&["inside/deep/er", "inside"]);
}

#[test]
fn a_renamed_directory_tells_of_itself_by_its_new_name() {
    let mut place = Place::new();
    place.mkdir("a/sub");
    place.mkdir("b/sub");
    place.watch();
    place.mv("a", "c");
    assert_eq!(place.seen(), set(&["a/**", "c/**"]));
    place.sees_writes_in(&["c", "c/sub"]);
    // Two that swap their names before anybody looks.
    place.mv("c", "t");
    place.mv("b", "c");
    place.mv("t", "b");
    fs::write(place.at("b/mark"), "was a").unwrap();
    place.sees_writes_in(&["b", "b/sub", "c", "c/sub"]);
    // One whose previous name another takes at once, and one that is moved again while it is reported.
    place.mv("b", "d");
    place.mkdir("b/sub");
    place.mv("c", "e");
    place.mv("e", "f");
    place.sees_writes_in(&["b", "b/sub", "d", "d/sub", "f", "f/sub"]);
    // Into a directory that is new itself.
    place.mkdir("new");
    place.mv("f", "new/f");
    place.sees_writes_in(&["new/f", "new/f/sub"]);
    assert_eq!(place.watched(), set(&["", "b", "b/sub", "d", "d/sub", "new", "new/f", "new/f/sub"]));
}

#[test]
fn a_directory_that_was_moved_out_tells_nothing_any_more() {
    let mut place = Place::of("*", "excluded");
    place.mkdir("a/sub");
    place.mkdir("b");
    place.mkdir("excluded");
    place.watch();
    assert_eq!(place.watched(), set(&["", "a", "a/sub", "b"]));
    // Out of the share, and to where the share's filter does not reach.
    let outside = place.base.join("outside");
    fs::rename(place.at("a"), &outside).unwrap();
    place.mv("b", "excluded/b");
    assert_eq!(place.seen(), set(&["a/**", "b/**"]));
    assert_eq!(place.watched(), set(&[""]));
    fs::write(outside.join("sub/file"), "x").unwrap();
    place.write("excluded/b/file", "x");
    assert_eq!(place.seen(), set(&[]));
    // Back again it tells of everything.
    fs::rename(&outside, place.at("a")).unwrap();
    assert_eq!(place.seen(), set(&["a/**"]));
    place.sees_writes_in(&["a/sub"]);
}

#[test]
fn a_removed_directory_takes_its_watches_along() {
    let mut place = Place::new();
    place.mkdir("a/b");
    place.write("a/b/file", "x");
    place.watch();
    fs::remove_dir_all(place.at("a")).unwrap();
    assert!(place.seen().contains("a/**"));
    assert_eq!(place.watched(), set(&[""]));
    place.mkdir("a/b");
    place.seen();
    place.sees_writes_in(&["a/b"]);
}

#[test]
fn after_an_overflow_everything_is_looked_at_and_watched_anew() {
    let mut place = Place::new();
    place.mkdir("old");
    place.mkdir("renamed");
    place.watch();
    // Given more events than the kernel keeps,
    let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for n in 0..most / 2 + 16 {
        place.write(if n % 2 == 0 { "even" } else { "odd" }, "x");
    }
    // and a directory that came, and one that was renamed, of which it therefore says nothing,
    place.mkdir("came/deep");
    place.mv("renamed", "after");
    let mut seen = place.seen();
    while !seen.contains("*") {
        let more = place.seen();
        assert!(!more.is_empty(), "no overflow after {most} events");
        seen = more;
    }
    // then anything may have changed, and every later change is reported.
    place.sees_writes_in(&["came/deep", "came", "after", "old", ""]);
    assert_eq!(place.watched(), set(&["", "after", "came", "came/deep", "old"]));
}

#[test]
fn a_root_that_went_is_told_and_watched_again_when_it_is_back() {
    let mut place = Place::new();
    place.mkdir("dir");
    place.watch();
    let (root, aside) = (place.base.join("share"), place.base.join("aside"));
    // Moved away, and created again,
    fs::rename(&root, &aside).unwrap();
    assert_eq!(place.seen(), set(&["*"]));
    fs::create_dir(&root).unwrap();
    assert!(place.watch());
    place.sees_writes_in(&[""]);
    fs::write(aside.join("dir/file"), "x").unwrap();
    assert_eq!(place.seen(), set(&[]), "of the old one");
    // removed, so that there is nothing to watch for a while.
    fs::remove_dir_all(&root).unwrap();
    assert!(place.seen().contains("*"));
    assert!(!place.watch());
    fs::rename(&aside, &root).unwrap();
    assert!(place.watch());
    place.sees_writes_in(&["dir", ""]);
}

#[test]
fn a_root_that_is_a_symlink_is_watched_where_it_leads() {
    let mut place = Place::new();
    place.mkdir("dir");
    let link = place.base.join("link");
    std::os::unix::fs::symlink(place.base.join("share"), &link).unwrap();
    assert!(place.watcher.watch_share(&place.share, &link, &place.filter));
    place.sees_writes_in(&["dir", ""]);
    // A symlink in it is not followed.
    fs::create_dir(place.base.join("outside")).unwrap();
    std::os::unix::fs::symlink(place.base.join("outside"), place.at("out")).unwrap();
    place.seen();
    fs::write(place.base.join("outside/file"), "x").unwrap();
    assert_eq!(place.seen(), set(&[]));
}

#[test]
fn only_what_a_share_may_hold_is_watched() {
    let mut place = Place::of("keep/*", "keep/not");
    for dir in ["keep/deep", "keep/not/at-all", "other/dir"] {
        place.mkdir(dir);
    }
    place.watch();
    assert_eq!(place.watched(), set(&["", "keep", "keep/deep"]));
    place.mkdir("keep/not/new");
    place.mkdir("keep/new/er");
    place.seen();
    assert_eq!(place.watched(), set(&["", "keep", "keep/deep", "keep/new", "keep/new/er"]));

    let other = ShareName::parse("other").unwrap();
    let root = place.at("other");
    assert!(place.watcher.watch_share(&other, &root, &Filter::new(&["*".into()], &[], &[])));
    place.write("other/dir/file", "x");
    assert_eq!(
        place.watcher.read(),
        [Seen::Hint(other.clone(), Hint { path: RelPath::parse(b"dir/file").unwrap(), deep: false })]
    );
    place.watcher.keep_only(&[other]);
    place.write("keep/file", "x");
    assert_eq!(place.seen(), set(&[]));
    place.watcher.keep_only(&[]);
    assert!(place.watcher.watches.is_empty());
}

/// Continues only in a process of its own, started by `command` with this test's name; otherwise it is started here.
fn alone(command: &[&str]) -> bool {
    const ALONE: &str = "OWSYNC_WATCHER_ALONE";
    if env::variable(ALONE).is_some() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_string();
    let mut started = Command::new(command[0]);
    started.args(&command[1..]).arg(std::env::current_exe().unwrap()).args(["--exact", &test, "--nocapture"]);
    let output = started.env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("running 1 test"), "{text}");
    false
}

/// Continues only where the kernel gives no more than this: in a namespace in which it counts from zero.
fn limited(what: &str, limit: u32) -> bool {
    let namespace = ["unshare", "--user", "--map-root-user"];
    let tried = Command::new(namespace[0]).args(&namespace[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skipped::say("the number of watches cannot be limited: no user namespaces");
        return false;
    }
    let script = format!("echo {limit} > /proc/sys/user/{what} && exec \"$@\"");
    alone(&[&namespace[..], &["sh", "-c", &script, "sh"]].concat())
}

#[test]
fn when_the_kernel_has_no_watch_left_that_is_told_once() {
    if !limited("max_inotify_watches", 4) {
        return;
    }
    let mut place = Place::new();
    place.mkdir("a/b");
    assert!(place.watch());
    // One is left.
    place.mkdir("c");
    assert_eq!(place.seen(), set(&["c/**"]));
    place.mkdir("d");
    assert_eq!(place.seen(), set(&["!", "d/**"]));
    place.mkdir("e");
    assert_eq!(place.seen(), set(&["e/**"]));
    // The watched part still reports,
    place.sees_writes_in(&["a/b", "c"]);
    // and a share that is watched again reports at once how much of it is.
    assert!(!place.watch());
    fs::remove_dir_all(place.at("a")).unwrap();
    assert!(place.watch());
}

#[test]
fn a_kernel_without_inotify_has_no_watcher() {
    if limited("max_inotify_instances", 0) {
        assert!(Watcher::new().is_none());
    }
}

#[test]
fn a_directory_that_may_not_be_read_hides_no_other_and_is_watched_when_it_may() {
    if !alone(&["env"]) {
        return;
    }
    let mut place = Place::new();
    for dir in ["a", "closed/deep", "z/deep"] {
        place.mkdir(dir);
    }
    let open = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(&place.base, open(0o777)).unwrap();
    fs::set_permissions(place.at("closed"), open(0)).unwrap();
    let me = nix::unistd::geteuid();
    if me.is_root() && nix::unistd::seteuid(nix::unistd::Uid::from_raw(65_534)).is_err() {
        return skipped::say("there is no other user in this namespace");
    }
    // What it holds is not synced as long as it cannot be read, so all of the share is watched.
    assert!(place.watch());
    assert_eq!(place.watched(), set(&["", "a", "z", "z/deep"]));
    nix::unistd::seteuid(me).unwrap();
    fs::set_permissions(place.at("closed"), open(0o755)).unwrap();
    assert_eq!(place.seen(), set(&["closed/**"]));
    place.sees_writes_in(&["closed/deep", "closed", "z/deep"]);
}
