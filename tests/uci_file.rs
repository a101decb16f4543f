//! UCI packages on a real disk: which file counts, how one is changed, and what waits to be committed.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};
use owsync::fs::uci_file::{DeltaDir, Dirs, SessionId, UciFileError};
use owsync::uci::{EditError, PackageName};

/// Directories of a router of its own, which vanish with it.
struct Router {
    base: PathBuf,
    dirs: Dirs,
}

impl Router {
    fn new() -> Router {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("uci_file-{}-{number}", std::process::id()));
        let dirs = Dirs {
            config: base.join("etc/config"),
            override_config: base.join("var/run/uci"),
            changes: base.join("tmp/.uci"),
            sessions: base.join("var/run/rpcd"),
        };
        fs::create_dir_all(&dirs.config).unwrap();
        Router { base, dirs }
    }

    fn put(&self, path: &str, text: &str) -> PathBuf {
        let path = self.base.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.base.join(path)).unwrap()
    }

    /// The names in a directory.
    fn names(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.base.join(dir))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn set(&self, package: &str, option: &str, value: &str) -> Result<(), UciFileError> {
        self.dirs.edit(&name(package), |package| package.named("owsync", "main")?.set(option, value.as_bytes()))
    }

    fn option(&self, package: &str, option: &str) -> Option<String> {
        let package = self.dirs.read(&name(package)).unwrap();
        let value = package.section("main")?.option(option)?.items().first()?.clone();
        String::from_utf8(value).ok()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn name(name: &str) -> PackageName {
    PackageName::parse(name.as_bytes()).unwrap()
}

#[test]
fn an_edit_keeps_everything_else_of_the_file_and_its_mode_and_owner() {
    let router = Router::new();
    let path = router.put(
        "etc/config/owsync",
        "# mine\nconfig owsync 'main'\n\toption port '1'\n\tlist peer 'a'\n\nconfig share\n\toption dir \"/x\"\n",
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Only root can give a file away; for others it is their own before and after.
    let owner = if nix::unistd::geteuid().is_root() {
        (12, 34)
    } else {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    };
    std::os::unix::fs::chown(&path, Some(owner.0), Some(owner.1)).unwrap();
    let before = fs::metadata(&path).unwrap();

    router.set("owsync", "name", "r1").unwrap();

    assert_eq!(
        router.text("etc/config/owsync"),
        "\nconfig owsync 'main'\n\toption port '1'\n\tlist peer 'a'\n\toption name 'r1'\n\nconfig share\n\toption dir '/x'\n\n"
    );
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.mode() & 0o7777, after.uid(), after.gid()), (0o640, owner.0, owner.1));
    // Another file took its name: who had the old one open still has it whole.
    assert_ne!(after.ino(), before.ino());
    assert_eq!(router.names("etc/config"), ["owsync"]);
}

#[test]
fn an_edit_that_changes_nothing_leaves_the_file_alone() {
    let router = Router::new();
    let text = "# mine\nconfig owsync main\noption name r1\n";
    let path = router.put("etc/config/owsync", text);
    let before = fs::metadata(&path).unwrap().ino();
    router.set("owsync", "name", "r1").unwrap();
    assert_eq!((router.text("etc/config/owsync").as_str(), fs::metadata(&path).unwrap().ino()), (text, before));
}

#[test]
fn a_new_package_can_be_read_by_its_owner_only() {
    let router = Router::new();
    assert_eq!(router.dirs.read(&name("owsync")), Err(UciFileError::Missing(router.base.join("etc/config/owsync"))));
    router.set("owsync", "name", "r1").unwrap();
    assert_eq!(router.text("etc/config/owsync"), "\nconfig owsync 'main'\n\toption name 'r1'\n\n");
    assert_eq!(fs::metadata(router.base.join("etc/config/owsync")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(router.names("etc/config"), ["owsync"]);
}

#[test]
fn a_package_in_the_override_directory_counts_for_reading_and_writing() {
    let router = Router::new();
    router.put("etc/config/owsync", "config owsync 'main'\n\toption name 'flash'\n");
    assert_eq!(router.option("owsync", "name").as_deref(), Some("flash"));

    router.put("var/run/uci/owsync", "config owsync 'main'\n\toption name 'ram'\n");
    assert_eq!(router.option("owsync", "name").as_deref(), Some("ram"));
    assert_eq!(router.dirs.path(&name("owsync")), router.base.join("var/run/uci/owsync"));

    router.set("owsync", "name", "new").unwrap();
    assert_eq!(router.option("owsync", "name").as_deref(), Some("new"));
    assert!(router.text("etc/config/owsync").contains("'flash'"));
    // Other packages are where they were.
    assert_eq!(router.dirs.path(&name("dhcp")), router.base.join("etc/config/dhcp"));
}

#[test]
fn a_symlink_stays_one_and_what_it_points_to_is_changed() {
    let router = Router::new();
    router.put("overlay/real", "config owsync 'main'\n\toption name 'a'\n");
    symlink("../../overlay/real", router.dirs.config.join("owsync")).unwrap();

    router.set("owsync", "name", "b").unwrap();

    assert!(fs::symlink_metadata(router.dirs.config.join("owsync")).unwrap().is_symlink());
    assert!(router.text("overlay/real").contains("'b'"));
    assert_eq!(router.names("overlay"), ["real"]);
    assert_eq!(router.names("etc/config"), ["owsync"]);
}

#[test]
fn what_is_no_package_is_refused_and_left_as_it_is() {
    let router = Router::new();
    let path = router.put("etc/config/owsync", "config owsync 'main'\n\tbogus\n");
    let error = router.set("owsync", "name", "a").unwrap_err();
    assert_eq!(error.to_string(), format!("{}: invalid command at line 2, byte 1", path.display()));
    assert_eq!(router.text("etc/config/owsync"), "config owsync 'main'\n\tbogus\n");

    fs::create_dir(router.dirs.config.join("dir")).unwrap();
    symlink("nowhere", router.dirs.config.join("dangling")).unwrap();
    nix::unistd::mkfifo(&router.dirs.config.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for package in ["dir", "dangling", "fifo"] {
        let path = router.dirs.config.join(package);
        assert_eq!(router.set(package, "name", "a"), Err(UciFileError::NoFile(path)), "{package}");
    }
    router.put("etc/config/large", &format!("config a\n{}", "# comment\n".repeat(110_000)));
    assert!(matches!(router.set("large", "name", "a"), Err(UciFileError::Fs(_, error)) if error.errno == libc::EFBIG));
    assert_eq!(router.names("etc/config"), ["dangling", "dir", "fifo", "large", "owsync"]);
}

#[test]
fn a_change_that_is_none_writes_nothing() {
    let router = Router::new();
    assert_eq!(router.set("owsync", "na-me", "a"), Err(UciFileError::Edit(EditError::Name("na-me".into()))));
    assert_eq!(router.names("etc/config"), [""; 0]);
}

#[test]
fn a_file_somebody_has_locked_is_not_replaced() {
    let router = Router::new();
    let path = router.put("etc/config/owsync", "config owsync 'main'\n\toption name 'a'\n");
    // As libuci does while it commits: uci, util.c, uci_open_stream.
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusive).unwrap();

    assert_eq!(router.set("owsync", "name", "b"), Err(UciFileError::Busy(path)));
    assert!(router.text("etc/config/owsync").contains("'a'"));
    assert_eq!(router.names("etc/config"), ["owsync"]);

    drop(lock);
    router.set("owsync", "name", "b").unwrap();
    assert_eq!(router.option("owsync", "name").as_deref(), Some("b"));
}

#[test]
fn what_somebody_committed_meanwhile_is_kept() {
    let router = Router::new();
    let path = router.put("etc/config/owsync", "config owsync 'main'\n\toption name 'a'\n");
    let mut calls = 0;
    router
        .dirs
        .edit(&name("owsync"), |package| {
            calls += 1;
            if calls == 1 {
                // A `uci commit` of another process happens between reading and writing.
                let theirs =
                    router.put("etc/config/.owsync.uci-AAAAAA", "config owsync 'main'\n\toption name 'theirs'\n");
                fs::rename(theirs, &path).unwrap();
            }
            package.named("owsync", "main")?.set("port", b"1")
        })
        .unwrap();
    assert_eq!(calls, 2);
    assert_eq!(
        router.text("etc/config/owsync"),
        "\nconfig owsync 'main'\n\toption name 'theirs'\n\toption port '1'\n\n"
    );
    assert_eq!(router.names("etc/config"), ["owsync"]);
}

#[test]
fn a_file_that_never_holds_still_is_left_to_whoever_changes_it() {
    let router = Router::new();
    let path = router.put("etc/config/owsync", "config owsync 'main'\n\toption name '0'\n");
    let mut calls = 0;
    let result = router.dirs.edit(&name("owsync"), |package| {
        calls += 1;
        router.put("etc/config/owsync", &format!("config owsync 'main'\n\toption name 'other{calls}'\n"));
        package.named("owsync", "main")?.set("port", b"1")
    });
    assert_eq!(result, Err(UciFileError::Busy(path)));
    assert_eq!(router.option("owsync", "name"), Some(format!("other{calls}")));
    assert_eq!(router.names("etc/config"), ["owsync"]);
}

#[test]
fn temporary_files_of_others_are_left_alone() {
    let router = Router::new();
    router.put("etc/config/owsync", "config owsync 'main'\n");
    let next = |n: u32| format!(".owsync.uci-{:06}", (std::process::id() + n) % 1_000_000);
    router.put(&format!("etc/config/{}", next(0)), "theirs");
    router.set("owsync", "name", "a").unwrap();
    assert_eq!(router.text(&format!("etc/config/{}", next(0))), "theirs");
    assert_eq!(router.names("etc/config").len(), 2);
}

#[test]
fn uncommitted_changes_are_found_with_their_package_and_place() {
    let router = Router::new();
    assert_eq!(router.dirs.pending(|_| true), Ok(Vec::new()));

    router.put("tmp/.uci/dhcp", "dhcp.lan.start='10'\n-dhcp.lan.limit\n");
    router.put("tmp/.uci/committed", "");
    router.put("tmp/.uci/unwanted", "unwanted.a.b='1'\n");
    router.put("tmp/.uci/torn", "torn.a.b='");
    router.put("tmp/.uci/no.package", "dhcp.lan.start='10'\n");
    router.put("var/run/rpcd/uci-0123abcd/wireless", "wireless.radio0.key='secret'\n");
    router.put("var/run/rpcd/snapshot-files/network", "network.lan.x='1'\n");
    // Below /tmp anybody may have made a link to a file that is not theirs to read.
    symlink(router.put("secret", "linked.a.b='1'\n"), router.dirs.changes.join("linked")).unwrap();
    fs::create_dir(router.dirs.changes.join("dir")).unwrap();

    let pending = router.dirs.pending(|package| package.as_str() != "unwanted").unwrap();

    let told: Vec<String> = pending
        .iter()
        .map(|pending| {
            let changes: Vec<String> = pending.changes.iter().map(ToString::to_string).collect();
            let dir = pending.dir.strip_prefix(&router.base).unwrap();
            format!("{} in {}: {}", pending.package, dir.display(), changes.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        ["dhcp in tmp/.uci: set lan.start, remove lan.limit", "wireless in var/run/rpcd/uci-0123abcd: set radio0.key",]
    );
}

#[test]
fn the_configuration_is_read_from_its_package_or_said_to_be_broken() {
    let router = Router::new();
    let load = || {
        owsync::config::uci::load(&router.dirs)
            .map(|(sections, _)| sections.len())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let path = router.base.join("etc/config/owsync");
    assert_eq!(load(), Err(vec![format!("{} does not exist", path.display())]));

    router.put("etc/config/owsync", "config owsync 'main'\n\toption port 1 2\n");
    assert_eq!(load(), Err(vec!["line 2: too many arguments".into()]));

    router.put("etc/config/owsync", "config owsync 'main'\nconfig peer 'r2'\n");
    assert_eq!(load(), Ok(2));
}

const SESSION: &str = "0123456789abcdef0123456789abcdef";

fn session(id: &str) -> DeltaDir {
    DeltaDir::Session(SessionId::parse(id).unwrap())
}

#[test]
fn a_session_has_32_hexadecimal_digits_and_nothing_else() {
    assert!(SessionId::parse(SESSION).is_some());
    let upper = SESSION.to_uppercase();
    for bad in [
        "",
        "0123",
        &SESSION[1..],
        &format!("{SESSION}0"),
        &upper,
        "../../../../../../../../tmp/aaaa",
        "0123456789abcdef0123456789abcde/",
    ] {
        assert_eq!(SessionId::parse(bad), None, "{bad}");
    }
}

#[test]
fn changes_of_a_session_are_apart_from_those_of_uci() {
    let router = Router::new();
    let (uci, luci) = (DeltaDir::Uci, session(SESSION));
    assert_eq!(router.dirs.changed_packages(&uci), Ok(vec![]));
    assert_eq!(router.dirs.delta(&luci, &name("dhcp")), Ok(vec![]));
    assert_eq!(router.dirs.remove_delta(&luci, &name("dhcp"), b"dhcp.a.b='1'\n"), Ok(false));
    assert_eq!(router.dirs.restore_delta(&luci, &name("dhcp"), b"dhcp.a.b='1'\n"), Ok(false));

    router.put("tmp/.uci/dhcp", "dhcp.a.b='1'\n");
    router.put("tmp/.uci/network", "network.a.b='1'\n");
    router.put("tmp/.uci/committed", "");
    router.put("tmp/.uci/no.package", "x\n");
    router.put(&format!("var/run/rpcd/uci-{SESSION}/dhcp"), "dhcp.a.b='2'\n");
    assert_eq!(router.dirs.changed_packages(&uci), Ok(vec![name("dhcp"), name("network")]));
    assert_eq!(router.dirs.changed_packages(&luci), Ok(vec![name("dhcp")]));
    assert_eq!(router.dirs.delta(&uci, &name("dhcp")), Ok(b"dhcp.a.b='1'\n".to_vec()));
    assert_eq!(router.dirs.delta(&luci, &name("dhcp")), Ok(b"dhcp.a.b='2'\n".to_vec()));

    assert_eq!(router.dirs.remove_delta(&luci, &name("dhcp"), b"dhcp.a.b='2'\n"), Ok(true));
    assert_eq!(router.text(&format!("var/run/rpcd/uci-{SESSION}/dhcp")), "");
    assert_eq!(router.text("tmp/.uci/dhcp"), "dhcp.a.b='1'\n");
}

#[test]
fn what_was_committed_is_removed_and_what_was_added_since_stays() {
    let router = Router::new();
    let (dir, package) = (DeltaDir::Uci, name("dhcp"));
    let path = router.put("tmp/.uci/dhcp", "dhcp.a.b='1'\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let committed = router.dirs.delta(&dir, &package).unwrap();
    router.put("tmp/.uci/dhcp", "dhcp.a.b='1'\n-dhcp.c\n");

    assert_eq!(router.dirs.remove_delta(&dir, &package, &committed), Ok(true));
    assert_eq!(router.text("tmp/.uci/dhcp"), "-dhcp.c\n");
    // Removed already, as after a crash: it must not take away what is there.
    assert_eq!(router.dirs.remove_delta(&dir, &package, &committed), Ok(false));
    assert_eq!(router.text("tmp/.uci/dhcp"), "-dhcp.c\n");

    for _ in 0..2 {
        assert_eq!(router.dirs.restore_delta(&dir, &package, &committed), Ok(true));
        assert_eq!(router.text("tmp/.uci/dhcp"), "dhcp.a.b='1'\n-dhcp.c\n");
    }
    let about = fs::metadata(&path).unwrap();
    assert_eq!((about.ino(), about.mode() & 0o777), (inode, 0o640), "other programs wait for this file's lock");

    router.put("tmp/.uci/dhcp", "dhcp.c.d='1'\n");
    router.dirs.restore_delta(&dir, &package, b"dhcp.a.b='1'").unwrap();
    assert_eq!(router.text("tmp/.uci/dhcp"), "dhcp.a.b='1'\ndhcp.c.d='1'\n", "each change has a line of its own");
}

#[test]
fn changes_that_another_program_writes_are_not_touched() {
    let router = Router::new();
    let (dir, package) = (DeltaDir::Uci, name("dhcp"));
    let path = router.put("tmp/.uci/dhcp", "dhcp.a.b='1'\n");
    let busy = UciFileError::Busy(path.clone());
    for kind in [FlockArg::LockExclusive, FlockArg::LockShared] {
        let theirs = Flock::lock(fs::File::open(&path).unwrap(), kind).unwrap();
        assert_eq!(router.dirs.delta(&dir, &package), Err(busy.clone()));
        assert_eq!(router.dirs.remove_delta(&dir, &package, b"dhcp.a.b='1'\n"), Err(busy.clone()));
        assert_eq!(router.dirs.restore_delta(&dir, &package, b"dhcp.x.y='1'\n"), Err(busy.clone()));
        drop(theirs);
    }
    assert_eq!(router.text("tmp/.uci/dhcp"), "dhcp.a.b='1'\n");
    assert_eq!(router.dirs.remove_delta(&dir, &package, b"dhcp.a.b='1'\n"), Ok(true));
}

#[test]
fn links_among_uncommitted_changes_are_not_followed() {
    let router = Router::new();
    let target = router.put("secret", "dhcp.a.b='1'\n");
    router.put("tmp/.uci/network", "");
    symlink(&target, router.dirs.changes.join("dhcp")).unwrap();
    let (dir, package) = (DeltaDir::Uci, name("dhcp"));
    let refused = UciFileError::NoFile(router.dirs.changes.join("dhcp"));
    assert_eq!(router.dirs.changed_packages(&dir), Ok(vec![]));
    assert_eq!(router.dirs.delta(&dir, &package), Err(refused.clone()));
    assert_eq!(router.dirs.remove_delta(&dir, &package, b"dhcp.a.b='1'\n"), Err(refused));
    assert_eq!(router.text("secret"), "dhcp.a.b='1'\n");
}
