//! The way from the root to a name, which never leaves the root.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, mkdirat, openat, readlinkat};
use rustix::io::Errno;

/// What a directory is made with: nothing for others, whatever the umask.
pub(super) const FOLDER: Mode = Mode::from_raw_mode(0o750);
/// How many links a way may have, as in the kernel.
const MOST_LINKS: usize = 40;
/// How many steps a way may have, links included; a path of the kernel's has no more than 4096 bytes.
const MOST_STEPS: usize = 4096;

/// What to do about directories that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Fail,
    Make,
}

/// Where a name is, whether or not there is something.
#[derive(Debug)]
pub(super) struct Place {
    root: OwnedFd,
    /// The directories from the root on, with their names.
    folders: Vec<(OsString, OwnedFd)>,
    /// In the last of them; `None` for that directory itself.
    pub(super) name: Option<OsString>,
}

impl Place {
    /// Walks from the root: `..` ends there, and so do links, absolute ones begin there.
    ///
    /// # Errors
    /// There is no such way.
    pub(super) fn find(root: OwnedFd, name: &str, missing: Missing) -> io::Result<Self> {
        let mut place = Self {
            root,
            folders: Vec::new(),
            name: None,
        };
        let mut ahead = steps(OsStr::new(name));
        let (mut links, mut walked) = (0, 0);
        while let Some(step) = ahead.pop_front() {
            walked += 1;
            if walked > MOST_STEPS {
                return Err(Errno::NAMETOOLONG.into());
            }
            if step == ".." {
                place.folders.pop();
                continue;
            }
            if let Some(target) = link(place.folder(), &step)? {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP.into());
                }
                if target.as_bytes().first() == Some(&b'/') {
                    place.folders.clear();
                }
                for step in steps(&target).into_iter().rev() {
                    ahead.push_front(step);
                }
                continue;
            }
            if ahead.is_empty() {
                place.name = Some(step);
                break;
            }
            let folder = enter(place.folder(), &step, missing)?;
            place.folders.push((step, folder));
        }
        Ok(place)
    }

    /// The last directory.
    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        let last = self.folders.last();
        last.map_or(self.root.as_fd(), |(_, folder)| folder.as_fd())
    }

    /// From the root on.
    pub(super) fn relative(&self) -> PathBuf {
        let folders = self.folders.iter().map(|(name, _)| name);
        let path: PathBuf = folders.chain(&self.name).collect();
        match path.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => path,
        }
    }
}

fn steps(path: &OsStr) -> VecDeque<OsString> {
    let parts = path.as_bytes().split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect()
}

/// Where a link leads; `None` if it is none.
fn link(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<OsString>> {
    match readlinkat(folder, name, Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
        // It is something else, or not there.
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn enter(folder: BorrowedFd<'_>, name: &OsStr, missing: Missing) -> io::Result<OwnedFd> {
    // Without following: it may have become a link since.
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entered = openat(folder, name, flags, Mode::empty());
    if missing == Missing::Fail || !matches!(entered, Err(Errno::NOENT)) {
        return Ok(entered?);
    }
    match mkdirat(folder, name, FOLDER) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(openat(folder, name, flags, Mode::empty())?)
}
