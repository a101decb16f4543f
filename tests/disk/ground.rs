//! A share on this machine's disk, in a directory that goes when its test does.
//!
//! Which disk: by default the one that holds this checkout's build. `OWSYNC_DISK_GROUND` names another: `tmpfs` or
//! `overlay`, which `elsewhere` starts this binary with where it may mount; `OWSYNC_DISK_KERNEL=old` leaves out what
//! older kernels lack.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use owsync::fs::Fs;
use owsync::fs::unix::{Kernel, UnixFs, UnixRoot};
use owsync::model::{Monotonic, Now, RelPath, WallTime};

use crate::alone;
use crate::machine::Machine;
use crate::skip;

pub const GROUND: &str = "OWSYNC_DISK_GROUND";
pub const KERNEL: &str = "OWSYNC_DISK_KERNEL";

/// The real machine.
pub struct Ground {
    base: PathBuf,
    /// On an overlay: whether it is mounted yet.
    layered: Option<Cell<bool>>,
    kernel: Kernel,
    /// Mounted here: to be unmounted, latest first.
    mounts: std::cell::RefCell<Vec<PathBuf>>,
}

impl Ground {
    /// A directory of this test's own; `None`, and reported, where the ground that was asked for cannot be had.
    pub fn new() -> Option<Ground> {
        let base = own_dir();
        let kernel = match std::env::var(KERNEL).as_deref() {
            Ok("old") => Kernel { openat2: false, exchange: false },
            _ => Kernel::default(),
        };
        let mut ground = Ground { base, layered: None, kernel, mounts: Default::default() };
        match std::env::var(GROUND).as_deref() {
            Ok("tmpfs") => ground.mount("tmpfs", "tmpfs", "", &ground.base.clone()),
            Ok("overlay") => {
                std::fs::create_dir(ground.base.join("upper")).unwrap();
                ground.mount("tmpfs", "tmpfs", "", &ground.base.join("upper"));
                for dir in ["lower/share", "lower/beside", "upper/data", "upper/work", "merged"] {
                    std::fs::create_dir_all(ground.base.join(dir)).unwrap();
                }
                ground.layered = Some(Cell::new(false));
                // Asked here, so that a kernel that cannot is reported once for each claim, and no claim fails for it.
                if let Err(why) = ground.lay() {
                    skip::not_run(&format!("no overlay here: {why}"));
                    return None;
                }
                ground.lift();
            }
            _ => {}
        }
        if ground.layered.is_none() {
            for dir in ["share", "beside"] {
                std::fs::create_dir(ground.base.join(dir)).unwrap();
            }
        }
        Some(ground)
    }

    /// Mounts something, until this test ends; only after [`alone::with_mounts`].
    pub fn mount(&self, kind: &str, source: &str, options: &str, at: &Path) {
        alone::mount(kind, source, options, at);
        self.mounts.borrow_mut().push(at.to_path_buf());
    }

    /// Unmounts what [`Ground::mount`] mounted last.
    pub fn unmount(&self) {
        alone::unmount(&self.mounts.borrow_mut().pop().expect("something is mounted"));
    }

    fn lay(&self) -> Result<(), String> {
        let at = self.base.join("merged");
        let dir = |name: &str| self.base.join(name).display().to_string();
        let mut options =
            format!("lowerdir={},upperdir={},workdir={}", dir("lower"), dir("upper/data"), dir("upper/work"));
        if std::fs::metadata("/proc/self/uid_map").is_ok() && !in_first_user_namespace() {
            options.push_str(",userxattr");
        }
        let output = alone::try_mount("overlay", "overlay", &options, &at);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        self.mounts.borrow_mut().push(at);
        self.layered.iter().for_each(|layered| layered.set(true));
        Ok(())
    }

    fn lift(&self) {
        self.unmount();
        self.layered.iter().for_each(|layered| layered.set(false));
    }

    /// As after a reboot of a router: its overlay is mounted again, and everything is where it was.
    pub fn remount(&self) {
        if self.is_overlay() {
            self.lift();
            self.lay().unwrap();
        }
    }

    /// Makes the upper layer of an overlay this small; `false` where there is none.
    pub fn shrink_upper(&self, bytes: u64) -> bool {
        if self.is_overlay() {
            alone::mount("tmpfs", "tmpfs", &format!("remount,size={bytes}"), &self.base.join("upper"));
        }
        self.is_overlay()
    }

    pub fn is_overlay(&self) -> bool {
        self.layered.is_some()
    }

    /// Whether another filesystem below the root is noticed, and a directory is opened in one step.
    pub fn has_openat2(&self) -> bool {
        self.kernel.openat2
    }

    /// This test's own directory, with `share` and `beside` in it.
    pub fn base(&self) -> PathBuf {
        match &self.layered {
            None => self.base.clone(),
            Some(layered) => self.base.join(if layered.get() { "merged" } else { "lower" }),
        }
    }

    /// Where the share is.
    pub fn dir(&self) -> PathBuf {
        self.base().join("share")
    }

    /// A path in the share, for everybody else's calls.
    pub fn at(&self, path: &RelPath) -> PathBuf {
        self.dir().join(OsStr::from_bytes(path.as_bytes()))
    }

    fn open_dir(&self, name: &str) -> UnixRoot {
        if self.layered.as_ref().is_some_and(|layered| !layered.get()) {
            self.lay().unwrap();
        }
        self.fs().open(&self.base().join(name)).unwrap()
    }
}

/// A new directory; a run that was killed may have left one for the same process number.
fn own_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let name = format!("disk-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        match std::fs::create_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| dir).unwrap(),
        }
    }
}

fn in_first_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

impl Drop for Ground {
    fn drop(&mut self) {
        alone::become_oneself();
        while !self.mounts.borrow().is_empty() {
            self.unmount();
        }
        if std::fs::remove_dir_all(&self.base).is_err() {
            // What a test closed must be opened again first.
            let _ = std::process::Command::new("chmod").args(["-R", "u+rwX"]).arg(&self.base).output();
            let _ = std::fs::remove_dir_all(&self.base);
        }
    }
}

impl Machine for Ground {
    type Fs = UnixFs;
    type Root = UnixRoot;

    fn fs(&self) -> UnixFs {
        UnixFs::on(self.kernel)
    }

    fn open(&self) -> UnixRoot {
        self.open_dir("share")
    }

    fn open_beside(&self) -> UnixRoot {
        self.open_dir("beside")
    }

    fn exchanges(&self) -> bool {
        self.kernel.exchange
    }

    fn now(&self) -> Now {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Now { mono: Monotonic(0), wall: WallTime(since.as_millis() as i64) }
    }

    fn tick(&self) {
        let probe = self.base().join("tick");
        let time = || {
            std::fs::write(&probe, "").unwrap();
            let stat = std::fs::metadata(&probe).unwrap();
            stat.mtime() * 1000 + stat.mtime_nsec() / 1_000_000
        };
        let before = time();
        // The kernel's tick is at most 10 ms long; on a filesystem that keeps whole seconds this takes one.
        while time() == before {}
        std::fs::remove_file(probe).unwrap();
    }

    fn write(&self, path: &RelPath, bytes: &[u8]) {
        let at = self.at(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let beside = at.with_file_name(".being-edited");
        std::fs::write(&beside, bytes).unwrap();
        if let Ok(old) = std::fs::symlink_metadata(&at) {
            std::fs::set_permissions(&beside, old.permissions()).unwrap();
        }
        std::fs::rename(beside, at).unwrap();
    }

    fn write_in_place(&self, path: &RelPath, bytes: &[u8]) {
        assert!(self.at(path).is_file(), "{path}");
        std::fs::write(self.at(path), bytes).unwrap();
    }

    fn make_dir(&self, path: &RelPath) {
        std::fs::create_dir(self.at(path)).unwrap();
    }

    fn make_link(&self, path: &RelPath, text: &[u8]) {
        std::os::unix::fs::symlink(OsStr::from_bytes(text), self.at(path)).unwrap();
    }

    fn make_fifo(&self, path: &RelPath) {
        nix::unistd::mkfifo(&self.at(path), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    }

    fn chmod(&self, path: &RelPath, mode: u32) {
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn remove(&self, path: &RelPath) {
        let at = self.at(path);
        let is_dir = std::fs::symlink_metadata(&at).unwrap().is_dir();
        if is_dir { std::fs::remove_dir_all(at).unwrap() } else { std::fs::remove_file(at).unwrap() }
    }

    fn read(&self, path: &RelPath) -> Option<Vec<u8>> {
        let stat = std::fs::symlink_metadata(self.at(path)).ok()?;
        if stat.is_symlink() {
            let text = std::fs::read_link(self.at(path)).unwrap().into_os_string().into_vec();
            return Some([b"-> ", text.as_slice()].concat());
        }
        stat.is_file().then(|| std::fs::read(self.at(path)).unwrap())
    }

    fn paths(&self) -> Vec<RelPath> {
        let mut paths = Vec::new();
        let mut todo = vec![None];
        while let Some(dir) = todo.pop() {
            let at = dir.as_ref().map_or(self.dir(), |dir| self.at(dir));
            for entry in std::fs::read_dir(at).unwrap().map(Result::unwrap) {
                let path = RelPath::below(dir.as_ref(), entry.file_name().as_bytes()).unwrap();
                if entry.file_type().unwrap().is_dir() {
                    todo.push(Some(path.clone()));
                }
                paths.push(path);
            }
        }
        paths.sort();
        paths
    }
}
