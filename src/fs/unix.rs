//! Implements the disk on Linux.
//!
//! Keeps the promises of `Root` by `openat2` with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_XDEV (Linux
//! 5.6; openat2(2)); on older kernels by opening component for component with O_NOFOLLOW, where another filesystem below
//! the root is then not noticed. One of the two files with `unsafe`: each block is one system call that neither std
//! nor nix wraps on every C library that OpenWrt uses.
//!
//! "Another filesystem" is always the kernel's word for a mount, never a comparison of `st_dev`: on overlayfs, which is
//! every OpenWrt router, files and directories of one mount have different `st_dev`.

mod root;

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode};

use crate::fs::owners::Owners;
use crate::fs::{Fs, FsError, Rename};
use crate::model::{Owner, RelPath};

pub use root::UnixDir;

/// Operations that are not tried, so that tests on a newer kernel behave like an older one.
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
    written: Rc<Cell<u64>>,
}

impl UnixFs {
    /// The machine's directories; owners are synced when this process runs as root.
    pub fn new() -> UnixFs {
        UnixFs::on(Kernel::default())
    }

    /// As [`UnixFs::new`], doing without what `kernel` leaves out.
    pub fn on(kernel: Kernel) -> UnixFs {
        UnixFs {
            owners: nix::unistd::geteuid().is_root().then(|| RefCell::new(OwnerFiles::default())),
            kernel,
            written: Rc::default(),
        }
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
        Ok(UnixRoot { fd, kernel, written: self.written.clone(), parent: RefCell::new(None) })
    }

    fn written(&self) -> u64 {
        self.written.get()
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
    /// Of all directories that one [`UnixFs`] opened.
    written: Rc<Cell<u64>>,
    /// The directory of the latest path: consecutive paths are often in one. Cleared by [`Root::place`], which every step of
    /// work begins with, so that a directory moved away meanwhile is not written to.
    parent: RefCell<Option<(RelPath, Rc<OwnedFd>)>>,
}

/// A directory of a path: the root itself, or one below it.
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
                // The error is the same for a symlink where a directory was asked for, as for a file. The difference matters: what is
                // recorded below a file is missing, what is recorded below a symlink sleeps.
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

    /// Opens the directory of `path`.
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

impl UnixRoot {
    fn unlink(&self, path: &RelPath, flags: nix::unistd::UnlinkatFlags) -> Result<(), FsError> {
        let parent = self.parent("remove", path)?;
        nix::unistd::unlinkat(parent.fd(), OsStr::from_bytes(path.name()), flags)
            .map_err(|errno| FsError::new("remove", Some(path), errno as i32))
    }
}

fn stat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<FileStat, i32> {
    nix::sys::stat::fstatat(dir, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| errno as i32)
}

/// The same, in a directory that is being read.
fn stat_in(dir: &nix::dir::OwningIter, name: &[u8]) -> Result<FileStat, i32> {
    // SAFETY: the descriptor belongs to `dir`, which outlives this call.
    stat_at(unsafe { BorrowedFd::borrow_raw(dir.as_raw_fd()) }, name)
}

/// Flushes the whole filesystem of a directory.
fn sync_filesystem(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: syncfs takes a file descriptor that is open as long as `fd`, and no memory.
    if unsafe { libc::syncfs(fd.as_raw_fd()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Extended attributes that certify a content, and not the file that has it.
const OF_THE_CONTENT: [&[u8]; 3] = [b"security.capability", b"security.ima", b"security.evm"];

/// Gives a file the extended attributes of another; whether it has all of them now. A filesystem without any has none.
fn copy_extended(from: &std::fs::File, to: &std::fs::File) -> bool {
    // The kernel gives no more than this (limits.h, XATTR_LIST_MAX and XATTR_SIZE_MAX).
    const MOST: usize = 65_536;
    // SAFETY: a null buffer of no bytes asks for the size; the descriptor is open as long as `from`.
    let size = unsafe { libc::flistxattr(from.as_raw_fd(), std::ptr::null_mut(), 0) };
    if size <= 0 {
        return size == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP);
    }
    let mut names = vec![0u8; MOST];
    // SAFETY: the buffer has the length that is given.
    let size = unsafe { libc::flistxattr(from.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    let Ok(size) = usize::try_from(size) else { return false };
    let mut value = vec![0u8; MOST];
    let mut all = true;
    for name in names[..size.min(MOST)].split_inclusive(|&b| b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        if OF_THE_CONTENT.contains(&name.to_bytes()) {
            continue;
        }
        // SAFETY: the name ends with NUL, the buffers have the lengths that are given, both descriptors are open.
        let given = unsafe {
            match libc::fgetxattr(from.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) {
                -1 => false,
                size => {
                    libc::fsetxattr(to.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), size.unsigned_abs(), 0) == 0
                }
            }
        };
        all &= given;
    }
    all
}

/// Whether the kernel gives a read lease on a file: only while no process has it open for writing or mapped so.
fn takes_read_lease(file: &std::fs::File) -> bool {
    /// Linux, include/uapi/asm-generic/fcntl.h; the libc crate does not have it for every C library.
    const F_SETSIG: libc::c_int = 10;
    let fd = file.as_raw_fd();
    // A program that opens the file within the next microseconds breaks the lease. That is reported by a signal, and the usual
    // one would end this process; this one is ignored.
    // SAFETY: fcntl with these commands takes a descriptor that is open as long as `file`, and numbers.
    unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) == 0
    }
}

// The fields of `stat` have other widths on other architectures.

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
    let how = OpenHow { flags: u64::from(flags.bits() as u32), mode: 0, resolve };
    for _ in 0..3 {
        // SAFETY: the path is a NUL-terminated string and `how` a struct of the size given; both outlive the call.
        let fd = unsafe {
            libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<OpenHow>())
        };
        if fd >= 0 {
            // SAFETY: the kernel just returned this descriptor, and it is not used elsewhere.
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

/// The kernel's number of the mount of an open directory: proc(5), fdinfo.
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
