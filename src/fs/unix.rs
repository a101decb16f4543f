//! The real disk.
//!
//! Promises what [`Root`] promises by `openat2` with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_XDEV (Linux
//! 5.6; openat2(2)); on older kernels by opening component for component with O_NOFOLLOW, where another filesystem below
//! the root is then not noticed. One of the two files that hold `unsafe`: each block is one system call that neither std
//! nor nix wraps on every C library that OpenWrt uses.
//!
//! "Another filesystem" is always the kernel's word for a mount, never a comparison of `st_dev`: on overlayfs, which is
//! every OpenWrt router, files and directories of one mount have different `st_dev`.

use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode};

use crate::fs::owners::Owners;
use crate::fs::{Attributes, Found, Fs, FsError, Place, Rename, Root};
use crate::model::{DiskStat, Kind, Owner, RelPath, WallTime, entry::MODE_BITS};

/// What is not tried, so that a machine whose kernel is newer does as one that lacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// openat2(2), of Linux 5.6.
    pub openat2: bool,
    /// RENAME_EXCHANGE, which JFFS2 does not know.
    pub exchange: bool,
}

impl Default for Kernel {
    fn default() -> Kernel {
        Kernel { openat2: true, exchange: true }
    }
}

/// The machine's own directories.
pub struct UnixFs {
    owners: Option<RefCell<OwnerFiles>>,
    kernel: Kernel,
}

impl UnixFs {
    /// The machine's directories; owners travel when this process runs as root.
    pub fn new() -> UnixFs {
        UnixFs::on(Kernel::default())
    }

    /// As [`UnixFs::new`], doing without what `kernel` leaves out.
    pub fn on(kernel: Kernel) -> UnixFs {
        UnixFs { owners: nix::unistd::geteuid().is_root().then(|| RefCell::new(OwnerFiles::default())), kernel }
    }
}

impl Default for UnixFs {
    fn default() -> UnixFs {
        UnixFs::new()
    }
}

impl Fs for UnixFs {
    type Root = UnixRoot;

    fn open(&self, dir: &Path) -> Result<UnixRoot, FsError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd =
            nix::fcntl::open(dir, flags, Mode::empty()).map_err(|errno| FsError::new("open", None, errno as i32))?;
        // Old kernels do not know it, some sandboxes forbid it; asked once, because later EPERM can mean the file.
        let mut kernel = self.kernel;
        kernel.openat2 &= !matches!(
            openat2(fd.as_fd(), c".", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC),
            Err(libc::ENOSYS | libc::EPERM)
        );
        Ok(UnixRoot { fd, kernel, parent: RefCell::new(None) })
    }

    fn owner(&self, uid: u32, gid: u32) -> Option<Rc<Owner>> {
        self.owners.as_ref().map(|owners| owners.borrow_mut().current().name(uid, gid))
    }

    fn owner_ids(&self, owner: &Owner) -> Option<(u32, u32)> {
        self.owners.as_ref().and_then(|owners| owners.borrow_mut().current().ids(owner))
    }
}

/// /etc/passwd and /etc/group, read again when they change.
#[derive(Default)]
struct OwnerFiles {
    /// Modification time and inode of each when it was read.
    read_at: [Option<(i64, i64, u64)>; 2],
    owners: Owners,
}

impl OwnerFiles {
    fn current(&mut self) -> &mut Owners {
        const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];
        let now = FILES.map(|file| std::fs::metadata(file).ok().map(|m| (m.mtime(), m.mtime_nsec(), m.ino())));
        if now != self.read_at {
            self.read_at = now;
            let [passwd, group] = FILES.map(|file| std::fs::read(file).unwrap_or_default());
            self.owners = Owners::parse(&passwd, &group);
        }
        &mut self.owners
    }
}

/// A directory of this machine.
pub struct UnixRoot {
    fd: OwnedFd,
    kernel: Kernel,
    /// The directory that the latest path lay in: paths come in runs. Forgotten by [`Root::place`], which every step of
    /// work begins with, so that a directory moved away meanwhile is not written to.
    parent: RefCell<Option<(RelPath, Rc<OwnedFd>)>>,
}

/// A directory that a path lies in: the root itself, or one below it.
enum Parent<'a> {
    Root(BorrowedFd<'a>),
    Below(Rc<OwnedFd>),
}

impl Parent<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Parent::Root(fd) => *fd,
            Parent::Below(fd) => fd.as_fd(),
        }
    }
}

impl UnixRoot {
    /// Opens `path` below the root with these flags, O_CLOEXEC and O_NOFOLLOW.
    fn open_below(&self, op: &'static str, path: &RelPath, flags: OFlag) -> Result<OwnedFd, FsError> {
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let opened = if self.kernel.openat2 {
            openat2(self.fd.as_fd(), &c_string(path.as_bytes()), flags).map_err(|errno| match errno {
                // So it says of a symlink where a directory was asked for, as of a file. The difference matters: what is
                // recorded below a file is gone, what is recorded below a symlink sleeps.
                libc::ENOTDIR => self.walk(path, flags).err().filter(|&errno| errno == libc::ELOOP).unwrap_or(errno),
                errno => errno,
            })
        } else {
            self.walk(path, flags)
        };
        opened.map_err(|errno| FsError::new(op, Some(path), errno))
    }

    /// Opens `path` component for component.
    fn walk(&self, path: &RelPath, flags: OFlag) -> Result<OwnedFd, i32> {
        let mut dir: Option<OwnedFd> = None;
        let mut components = path.as_bytes().split(|&b| b == b'/').peekable();
        while let Some(name) = components.next() {
            let at = dir.as_ref().map_or(self.fd.as_fd(), |fd| fd.as_fd());
            let flags = if components.peek().is_some() {
                OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
            } else {
                flags
            };
            let next = nix::fcntl::openat(at, OsStr::from_bytes(name), flags, Mode::empty()).map_err(|errno| {
                let is_link = stat_at(at, name).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFLNK);
                if errno == Errno::ENOTDIR && is_link { libc::ELOOP } else { errno as i32 }
            })?;
            dir = Some(next);
        }
        dir.ok_or(libc::ENOENT)
    }

    /// The directory that `path` lies in.
    fn parent(&self, op: &'static str, path: &RelPath) -> Result<Parent<'_>, FsError> {
        let Some(dir) = path.parent() else { return Ok(Parent::Root(self.fd.as_fd())) };
        let mut cache = self.parent.borrow_mut();
        if let Some((cached, fd)) = &*cache {
            if *cached == dir {
                return Ok(Parent::Below(fd.clone()));
            }
        }
        let fd = Rc::new(self.open_below(op, &dir, OFlag::O_PATH | OFlag::O_DIRECTORY)?);
        *cache = Some((dir, fd.clone()));
        Ok(Parent::Below(fd))
    }

    fn forget_parent(&self) {
        *self.parent.borrow_mut() = None;
    }
}

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
        // c_ulong is 32 bits on many routers, so the product is taken in 64.
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
        Ok((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
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
        // SAFETY: the descriptor belongs to `dir.names`, which outlives this function.
        let fd = unsafe { BorrowedFd::borrow_raw(dir.names.as_raw_fd()) };
        let mut names = Vec::new();
        // The borrowing iterator would rewind the directory at its end, and it would never be read to its own. It ends
        // here with a piece, or with the directory: a piece of which everything vanished is not its end.
        for entry in dir.names.by_ref() {
            let entry = entry.map_err(|errno| FsError::new("read", dir.path.as_ref(), errno as i32))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            match stat_at(fd, name) {
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
        // O_NONBLOCK: a fifo put there since it was looked at must not make the open wait.
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
            // std reports a write of no bytes without a number: the disk took nothing more.
            let errno = error.raw_os_error().unwrap_or(libc::ENOSPC);
            FsError::new("write", None, errno)
        })
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
            let dir = self.open_below("change the mode of", path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
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

    fn adopt(&self, from: &UnixRoot, path: &RelPath, to: &RelPath) -> Result<bool, FsError> {
        let source = from.parent("move", path)?;
        let target = self.parent("move", to)?;
        if stat_at(source.fd(), path.name()).is_ok_and(|stat| stat.st_nlink > 1) {
            return Ok(false);
        }
        match renameat2(source.fd(), path.name(), target.fd(), to.name(), Rename::Replace) {
            Ok(()) => Ok(true),
            Err(libc::EXDEV) => Ok(false),
            Err(errno) => Err(FsError::new("move", Some(path), errno)),
        }
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
        // SAFETY: syncfs takes a file descriptor that is open as long as `self`, and no memory.
        if unsafe { libc::syncfs(self.fd.as_raw_fd()) } == 0 {
            Ok(())
        } else {
            Err(io_error("flush", None, &io::Error::last_os_error()))
        }
    }
}

impl UnixRoot {
    fn unlink(&self, path: &RelPath, flags: nix::unistd::UnlinkatFlags) -> Result<(), FsError> {
        let parent = self.parent("remove", path)?;
        nix::unistd::unlinkat(parent.fd(), OsStr::from_bytes(path.name()), flags)
            .map_err(|errno| FsError::new("remove", Some(path), errno as i32))
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

fn stat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<FileStat, i32> {
    nix::sys::stat::fstatat(dir, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| errno as i32)
}

// The fields of `stat` have other widths on other architectures.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
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
        mtime_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        inode: stat.st_ino as u64,
        mode: if kind == Kind::Symlink { 0 } else { stat.st_mode as u32 & MODE_BITS },
        uid: stat.st_uid,
        gid: stat.st_gid,
    })
}

fn mode_of(bits: u32) -> Mode {
    // mode_t is 16 bits on some systems; MODE_BITS fit in 12.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    Mode::from_bits_truncate((bits & MODE_BITS) as libc::mode_t)
}

fn system_time(time: WallTime) -> SystemTime {
    let ms = Duration::from_millis(time.0.unsigned_abs());
    let shifted = if time.0 < 0 { UNIX_EPOCH.checked_sub(ms) } else { UNIX_EPOCH.checked_add(ms) };
    shifted.unwrap_or(UNIX_EPOCH)
}

fn io_error(op: &'static str, path: Option<&RelPath>, error: &io::Error) -> FsError {
    FsError::new(op, path, error.raw_os_error().unwrap_or(libc::EIO))
}

/// A path without NUL, which [`RelPath`] guarantees, as a C string.
fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).unwrap_or_default()
}

/// The kernel's `struct open_how` (openat2(2)).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn openat2(dir: BorrowedFd<'_>, path: &CStr, flags: OFlag) -> Result<OwnedFd, i32> {
    let resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    #[allow(clippy::useless_conversion)]
    let how = OpenHow { flags: u64::from(flags.bits() as u32), mode: 0, resolve: u64::from(resolve) };
    for _ in 0..3 {
        // SAFETY: the path is a NUL-terminated string and `how` a struct of the size given; both outlive the call.
        let fd = unsafe {
            libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<OpenHow>())
        };
        if fd >= 0 {
            // SAFETY: the kernel just returned this descriptor, and nobody else has it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
        }
        match io::Error::last_os_error().raw_os_error() {
            // Something was renamed while the kernel resolved: openat2(2) asks to try again.
            Some(libc::EAGAIN) => {}
            errno => return Err(errno.unwrap_or(libc::EIO)),
        }
    }
    Err(libc::EAGAIN)
}

fn renameat2(from_dir: BorrowedFd<'_>, from: &[u8], to_dir: BorrowedFd<'_>, to: &[u8], how: Rename) -> Result<(), i32> {
    let (from, to) = (c_string(from), c_string(to));
    let flags = match how {
        Rename::New => libc::RENAME_NOREPLACE,
        Rename::Replace => 0,
        Rename::Exchange => libc::RENAME_EXCHANGE,
    };
    // SAFETY: both names are NUL-terminated strings that outlive the call, both descriptors are open.
    let result = unsafe {
        libc::syscall(libc::SYS_renameat2, from_dir.as_raw_fd(), from.as_ptr(), to_dir.as_raw_fd(), to.as_ptr(), flags)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) }
}

/// The kernel's number of the mount that an open directory lies in: proc(5), fdinfo.
fn mount_id(fd: RawFd) -> Option<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")).and_then(|id| id.trim().parse().ok())
}

/// Type and source of a mount: the fields after the dash in its line of mountinfo, proc(5).
fn filesystem_of(mount: u64) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').next().and_then(|id| id.parse().ok()) == Some(mount))?;
    let mut fields = line.split(" - ").nth(1)?.split(' ');
    Some(format!("{} {}", fields.next()?, fields.next()?))
}
