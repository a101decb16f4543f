//! Implements directories on Linux.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode};

use crate::fs::unix::{
    UnixRoot, copy_extended, filesystem_of, mount_id, renameat2, stat_at, stat_in, sync_filesystem, takes_read_lease,
};
use crate::fs::{Attributes, Found, FsError, Place, Rename, Root};
use crate::model::{DiskStat, Kind, RelPath, WallTime, entry::MODE_BITS};

impl Root for UnixRoot {
    type File = File;
    type Dir = UnixDir;
    type Lock = nix::fcntl::Flock<File>;

    fn place(&self) -> Result<Place, FsError> {
        self.forget_parent();
        let stat = nix::sys::stat::fstat(&self.fd).map_err(|errno| FsError::new("stat", None, errno as i32))?;
        let mount = mount_id(self.fd.as_raw_fd()).unwrap_or(0);
        Ok(Place { filesystem: filesystem_of(mount).unwrap_or_default(), identity: (mount, stat.st_ino) })
    }

    fn mtime(&self) -> Result<WallTime, FsError> {
        let stat = nix::sys::stat::fstat(&self.fd).map_err(|errno| FsError::new("stat", None, errno as i32))?;
        match found(&stat) {
            Found::Synced(stat) => Ok(stat.mtime()),
            Found::Special(_) => Err(FsError::new("stat", None, libc::ENOTDIR)),
        }
    }

    fn free(&self) -> Result<u64, FsError> {
        let stat = nix::sys::statvfs::fstatvfs(&self.fd)
            .map_err(|errno| FsError::new("ask for free space of", None, errno as i32))?;
        Ok(wide(stat.blocks_available()).saturating_mul(wide(stat.fragment_size())))
    }

    fn stat(&self, path: &RelPath) -> Result<Option<Found>, FsError> {
        let parent = match self.parent("stat", path) {
            Ok(parent) => parent,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        match stat_at(parent.fd(), path.name()) {
            Ok(stat) => Ok(Some(found(&stat))),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(FsError::new("stat", Some(path), errno)),
        }
    }

    fn open_dir(&self, dir: Option<&RelPath>) -> Result<UnixDir, FsError> {
        let fd = match dir {
            Some(dir) => self.open_below("open", dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?,
            None => {
                // A handle of its own, because reading a directory moves its position.
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                nix::fcntl::openat(&self.fd, ".", flags, Mode::empty())
                    .map_err(|errno| FsError::new("open", None, errno as i32))?
            }
        };
        let names = nix::dir::Dir::from_fd(fd).map_err(|errno| FsError::new("open", dir, errno as i32))?;
        Ok(UnixDir { names: names.into_iter(), path: dir.cloned() })
    }

    fn read_dir(&self, dir: &mut UnixDir, most: usize) -> Result<Vec<(Vec<u8>, Found)>, FsError> {
        let mut names = Vec::new();
        // The borrowing iterator would rewind the directory at its end, and it would never be read to its own. It ends
        // here with a piece, or with the directory: a piece of which everything vanished is not its end.
        while let Some(entry) = dir.names.next() {
            let entry = entry.map_err(|errno| FsError::new("read", dir.path.as_ref(), errno as i32))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            match stat_in(&dir.names, name) {
                Ok(stat) => names.push((name.to_vec(), found(&stat))),
                Err(libc::ENOENT) => {}
                Err(errno) => {
                    let path = RelPath::below(dir.path.as_ref(), name).ok();
                    return Err(FsError::new("stat", path.as_ref(), errno));
                }
            }
            if names.len() >= most {
                break;
            }
        }
        Ok(names)
    }

    fn open_file(&self, path: &RelPath) -> Result<File, FsError> {
        // O_NONBLOCK: a fifo created there since the last check must not make the open wait.
        open_regular(self.open_below("open", path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?, path)
    }

    fn open_write(&self, path: &RelPath) -> Result<File, FsError> {
        open_regular(self.open_below("open", path, OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?, path)
    }

    fn stat_file(&self, file: &File) -> Result<DiskStat, FsError> {
        let stat = nix::sys::stat::fstat(file).map_err(|errno| FsError::new("stat", None, errno as i32))?;
        match found(&stat) {
            Found::Synced(stat) => Ok(stat),
            Found::Special(_) => Err(FsError::new("stat", None, libc::EINVAL)),
        }
    }

    fn read(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error("read", None, &error)),
            }
        }
        Ok(filled)
    }

    fn read_link(&self, path: &RelPath) -> Result<Vec<u8>, FsError> {
        let parent = self.parent("read", path)?;
        let text = nix::fcntl::readlinkat(parent.fd(), OsStr::from_bytes(path.name()))
            .map_err(|errno| FsError::new("read", Some(path), errno as i32))?;
        Ok(text.as_bytes().to_vec())
    }

    fn create(&self, path: &RelPath) -> Result<File, FsError> {
        let parent = self.parent("create", path)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd =
            nix::fcntl::openat(parent.fd(), OsStr::from_bytes(path.name()), flags, Mode::from_bits_truncate(0o600))
                .map_err(|errno| FsError::new("create", Some(path), errno as i32))?;
        Ok(File::from(fd))
    }

    fn write(&self, file: &File, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        file.write_all_at(bytes, offset).map_err(|error| {
            // std reports a write of no bytes without a number: the disk accepted nothing more.
            let errno = error.raw_os_error().unwrap_or(libc::ENOSPC);
            FsError::new("write", None, errno)
        })?;
        self.written.set(self.written.get() + bytes.len() as u64);
        Ok(())
    }

    fn truncate(&self, file: &File, size: u64) -> Result<(), FsError> {
        file.set_len(size).map_err(|error| io_error("truncate", None, &error))
    }

    fn set_file(&self, file: &File, attributes: Attributes) -> Result<(), FsError> {
        if let Some((uid, gid)) = attributes.owner {
            std::os::unix::fs::fchown(file, Some(uid), Some(gid))
                .map_err(|error| io_error("change the owner of", None, &error))?;
        }
        // After the owner, because changing that clears the set-user-id bits.
        if let Some(mode) = attributes.mode {
            nix::sys::stat::fchmod(file, mode_of(mode))
                .map_err(|errno| FsError::new("change the mode of", None, errno as i32))?;
        }
        if let Some(mtime) = attributes.mtime {
            file.set_modified(system_time(mtime)).map_err(|error| io_error("set the time of", None, &error))?;
        }
        Ok(())
    }

    fn set_path(&self, path: &RelPath, attributes: Attributes) -> Result<(), FsError> {
        // Through handles: one cannot be had of what is mounted there, and fchmodat cannot refuse to follow a symlink on
        // older kernels.
        if let Some((uid, gid)) = attributes.owner {
            let handle = self.open_below("change the owner of", path, OFlag::O_PATH)?;
            let (uid, gid) = (nix::unistd::Uid::from_raw(uid), nix::unistd::Gid::from_raw(gid));
            nix::unistd::fchownat(&handle, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)
                .map_err(|errno| FsError::new("change the owner of", Some(path), errno as i32))?;
        }
        if attributes.mode.is_some() || attributes.mtime.is_some() {
            let dir = match self.open_below("change the mode of", path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
                Err(error) if (error.errno == libc::ENOTDIR || error.is_denied()) && attributes.mtime.is_none() => {
                    return self.set_mode_unopened(path, attributes.mode.unwrap_or_default());
                }
                dir => dir?,
            };
            self.set_file(&File::from(dir), Attributes { owner: None, ..attributes })
                .map_err(|error| FsError::new(error.op, Some(path), error.errno))?;
        }
        Ok(())
    }

    fn make_link(&self, path: &RelPath, text: &[u8]) -> Result<(), FsError> {
        let parent = self.parent("create", path)?;
        nix::unistd::symlinkat(OsStr::from_bytes(text), parent.fd(), OsStr::from_bytes(path.name()))
            .map_err(|errno| FsError::new("create", Some(path), errno as i32))
    }

    fn make_dir(&self, path: &RelPath) -> Result<(), FsError> {
        let parent = self.parent("create", path)?;
        nix::sys::stat::mkdirat(parent.fd(), OsStr::from_bytes(path.name()), Mode::from_bits_truncate(0o700))
            .map_err(|errno| FsError::new("create", Some(path), errno as i32))
    }

    fn remove(&self, path: &RelPath) -> Result<(), FsError> {
        self.unlink(path, nix::unistd::UnlinkatFlags::NoRemoveDir)
    }

    fn remove_dir(&self, path: &RelPath) -> Result<(), FsError> {
        self.forget_parent();
        self.unlink(path, nix::unistd::UnlinkatFlags::RemoveDir)
    }

    fn rename(&self, from: &RelPath, to: &RelPath, how: Rename) -> Result<(), FsError> {
        let source = self.parent("rename", from)?;
        let target = self.parent("rename", to)?;
        if how == Rename::Exchange && !self.kernel.exchange {
            return Err(FsError::new("rename to", Some(to), libc::EINVAL));
        }
        renameat2(source.fd(), from.name(), target.fd(), to.name(), how)
            .map_err(|errno| FsError::new("rename to", Some(to), errno))
    }

    fn link(&self, from: &RelPath, to: &RelPath) -> Result<(), FsError> {
        let source = self.parent("link", from)?;
        let target = self.parent("link", to)?;
        nix::unistd::linkat(
            source.fd(),
            OsStr::from_bytes(from.name()),
            target.fd(),
            OsStr::from_bytes(to.name()),
            AtFlags::empty(),
        )
        .map_err(|errno| FsError::new("link", Some(to), errno as i32))
    }

    fn may_change(&self, path: &RelPath) -> Result<bool, FsError> {
        let parent = self.parent("read", path)?;
        if stat_at(parent.fd(), path.name()).is_ok_and(|stat| stat.st_nlink > 1) {
            return Ok(true);
        }
        match self.open_file(path) {
            Ok(file) => Ok(!takes_read_lease(&file)),
            // What this user cannot read was not verified either, and is not copied.
            Err(error) if error.is_denied() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn adopt(&self, from: &UnixRoot, path: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let source = from.parent("move", path)?;
        let target = self.parent("move", to)?;
        if stat_at(source.fd(), path.name()).is_ok_and(|stat| stat.st_nlink > 1) || from.is_written(path)? {
            return Ok(false);
        }
        match renameat2(source.fd(), path.name(), target.fd(), to.name(), Rename::Replace) {
            Ok(()) => Ok(true),
            Err(libc::EXDEV) => Ok(false),
            Err(errno) => Err(FsError::new("move", Some(path), errno)),
        }
    }

    fn keep_extended(&self, from: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let (old, new) = match (self.open_file(from), self.open_file(to)) {
            (Ok(old), Ok(new)) => (old, new),
            // What may not be read cannot be copied.
            (Err(error), _) | (_, Err(error)) if error.is_denied() => return Ok(false),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(copy_extended(&old, &new))
    }

    fn lock(&self, file: &File) -> Result<nix::fcntl::Flock<File>, FsError> {
        let handle = file.try_clone().map_err(|error| io_error("lock", None, &error))?;
        nix::fcntl::Flock::lock(handle, nix::fcntl::FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| FsError::new("lock", None, errno as i32))
    }

    fn sync(&self, file: &File) -> Result<(), FsError> {
        file.sync_all().map_err(|error| io_error("flush", None, &error))
    }

    fn sync_dir(&self, dir: Option<&RelPath>) -> Result<(), FsError> {
        let result = match dir {
            None => nix::unistd::fsync(&self.fd),
            Some(dir) => nix::unistd::fsync(self.open_below("flush", dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?),
        };
        result.map_err(|errno| FsError::new("flush", dir, errno as i32))
    }

    fn sync_all(&self) -> Result<(), FsError> {
        sync_filesystem(&self.fd).map_err(|error| io_error("flush", None, &error))
    }
}

impl UnixRoot {
    /// Whether a program may have a file open for writing, or mapped.
    ///
    /// The kernel gives a read lease only on a file that no process has open for writing (fcntl(2), F_SETLEASE; on overlayfs
    /// as well). Where it gives none for another reason, as to a user who does not own the file, the answer is yes.
    fn is_written(&self, path: &RelPath) -> Result<bool, FsError> {
        let file = self.open_file(path).or_else(|error| {
            if !error.is_denied() {
                return Err(error);
            }
            // Its mode keeps its owner out, too.
            self.set_mode_unopened(path, 0o600)?;
            self.open_file(path)
        });
        match file {
            Ok(file) => Ok(!takes_read_lease(&file)),
            Err(error) if error.is_denied() || error.errno == libc::EPERM => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Sets the mode of a file or directory that its own mode may keep from being opened.
    fn set_mode_unopened(&self, path: &RelPath, mode: u32) -> Result<(), FsError> {
        let failed = |errno| FsError::new("change the mode of", Some(path), errno);
        let handle = self.open_below("change the mode of", path, OFlag::O_PATH)?;
        let stat = nix::sys::stat::fstat(&handle).map_err(|errno| failed(errno as i32))?;
        if !matches!(found(&stat), Found::Synced(DiskStat { kind: Kind::File | Kind::Dir, .. })) {
            return Err(failed(libc::ENOTDIR));
        }
        // fchmod takes no such handle; its name in /proc means this very one, whatever is at the path by now.
        let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let flags = nix::sys::stat::FchmodatFlags::FollowSymlink;
        nix::sys::stat::fchmodat(&self.fd, name.as_str(), mode_of(mode), flags).map_err(|errno| failed(errno as i32))
    }
}

/// A directory of this machine, being read.
pub struct UnixDir {
    names: nix::dir::OwningIter,
    path: Option<RelPath>,
}

/// Takes a descriptor as a file if it is a regular one.
fn open_regular(fd: OwnedFd, path: &RelPath) -> Result<File, FsError> {
    let stat = nix::sys::stat::fstat(&fd).map_err(|errno| FsError::new("open", Some(path), errno as i32))?;
    match found(&stat) {
        Found::Synced(DiskStat { kind: Kind::File, .. }) => Ok(File::from(fd)),
        _ => Err(FsError::new("open", Some(path), libc::ENOENT)),
    }
}

/// The C library's numbers have 32 bits on many routers and 64 elsewhere.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

/// As [`wide`], for those with a sign.
fn wide_signed(number: impl Into<i64>) -> i64 {
    number.into()
}

fn found(stat: &FileStat) -> Found {
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Dir,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => return Found::Special("fifo"),
        libc::S_IFSOCK => return Found::Special("socket"),
        libc::S_IFBLK => return Found::Special("block device"),
        _ => return Found::Special("character device"),
    };
    let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
    Found::Synced(DiskStat {
        kind,
        size: if kind == Kind::Dir { 0 } else { stat.st_size as u64 },
        mtime_ns: ns(wide_signed(stat.st_mtime), wide_signed(stat.st_mtime_nsec)),
        ctime_ns: ns(wide_signed(stat.st_ctime), wide_signed(stat.st_ctime_nsec)),
        inode: wide(stat.st_ino),
        mode: if kind == Kind::Symlink { 0 } else { stat.st_mode & MODE_BITS },
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

fn mode_of(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits & MODE_BITS)
}

fn system_time(time: WallTime) -> SystemTime {
    let ms = Duration::from_millis(time.0.unsigned_abs());
    let shifted = if time.0 < 0 { UNIX_EPOCH.checked_sub(ms) } else { UNIX_EPOCH.checked_add(ms) };
    shifted.unwrap_or(UNIX_EPOCH)
}

fn io_error(op: &'static str, path: Option<&RelPath>, error: &io::Error) -> FsError {
    FsError::new(op, path, error.raw_os_error().unwrap_or(libc::EIO))
}
