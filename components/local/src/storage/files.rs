//! What can be done with a name.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, ftruncate, openat, unlinkat};
use rustix::io::Errno;
use trilby_components::binding::BindingError;

use super::root::Root;
use super::walk::{Missing, Place};

/// What a file is made with, less the umask, as upstream's mostly are: others may read it where they may enter.
const FILE: Mode = Mode::from_raw_mode(0o644);
/// How many names a list may have.
const MOST_NAMES: usize = 1_000_000;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The request cannot be carried out.
    #[error("{0}")]
    Request(String),
    /// There is no such file.
    #[error("file not found: {}", .0.display())]
    NotFound(PathBuf),
    /// The system refuses.
    #[error("error {doing} {}: {error}", path.display())]
    System {
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
}

impl From<Failure> for BindingError {
    fn from(failure: Failure) -> Self {
        let error = failure.to_string();
        match failure {
            Failure::Request(_) => Self::InvalidRequest(error),
            Failure::NotFound(_) | Failure::System { .. } => Self::Refused {
                error,
                reply: Box::default(),
            },
        }
    }
}

/// What is done to a path, for what fails about it.
struct Doing<'a>(&'static str, &'a Path);

impl Doing<'_> {
    fn failed(&self, error: impl Into<io::Error>) -> Failure {
        let Self(doing, path) = *self;
        let (error, path) = (error.into(), path.to_owned());
        match error.kind() {
            io::ErrorKind::NotFound => Failure::NotFound(path),
            _ => Failure::System { doing, path, error },
        }
    }
}

/// Writes a file, and makes the directories on the way to it. Gives its path below the root.
pub(super) fn write(root: &Root, name: &str, content: &[u8]) -> Result<String, Failure> {
    let asked = root.path().join(name.trim_start_matches('/'));
    let doing = Doing("writing", &asked);
    let failed = |error| doing.failed(error);
    root.make().map_err(failed)?;
    let handle = root.handle().map_err(failed)?;
    let place = Place::find(handle, name, Missing::Make).map_err(failed)?;
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = open(&place, flags).map_err(failed)?;
    // Only now, since it is a file: what is no file was not touched.
    ftruncate(&file, 0).map_err(|error| failed(error.into()))?;
    File::from(file).write_all(content).map_err(failed)?;
    Ok(place.relative().to_string_lossy().into_owned())
}

/// The content of a file.
pub(super) fn read(root: &Root, name: &str) -> Result<Vec<u8>, Failure> {
    let asked = root.path().join(name.trim_start_matches('/'));
    let doing = Doing("reading", &asked);
    let failed = |error| doing.failed(error);
    let handle = root.handle().map_err(failed)?;
    let place = Place::find(handle, name, Missing::Fail).map_err(failed)?;
    let mut file = File::from(open(&place, OFlags::RDONLY).map_err(failed)?);
    let mut content = Vec::new();
    file.read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// Removes a file, or a directory with nothing in it.
pub(super) fn delete(root: &Root, name: &str) -> Result<(), Failure> {
    let asked = root.path().join(name.trim_start_matches('/'));
    let doing = Doing("deleting", &asked);
    let failed = |error| doing.failed(error);
    let handle = root.handle().map_err(failed)?;
    let place = Place::find(handle, name, Missing::Fail).map_err(failed)?;
    let Some(last) = &place.name else {
        let reason = "fileName is missing, or names rootPath itself, which stays";
        return Err(Failure::Request(reason.to_owned()));
    };
    let removed = match unlinkat(place.folder(), last, AtFlags::empty()) {
        Err(Errno::ISDIR) => unlinkat(place.folder(), last, AtFlags::REMOVEDIR),
        removed => removed,
    };
    removed.map_err(|error| failed(error.into()))
}

/// The absolute paths of everything below a directory that is no directory, in their order; links are not followed.
pub(super) fn list(root: &Root, name: &str) -> Result<Vec<String>, Failure> {
    let asked = root.path().join(name.trim_start_matches('/'));
    let doing = Doing("listing", &asked);
    let failed = |error| doing.failed(error);
    let handle = root.handle().map_err(failed)?;
    let place = Place::find(handle, name, Missing::Fail).map_err(failed)?;
    let base = match &place.name {
        None => openat(place.folder(), ".", FOLDER_FLAGS, Mode::empty()),
        Some(name) => openat(place.folder(), name, FOLDER_FLAGS, Mode::empty()),
    };
    let base = base.map_err(|error| match error {
        Errno::NOTDIR => Failure::Request(format!(
            "unable to list files as the file specified is not a directory: {}",
            asked.display()
        )),
        error => failed(error.into()),
    })?;
    let mut found = below(&base).map_err(failed)?;
    found.sort_unstable();
    let start = root.path().join(place.relative());
    let start: PathBuf = start.components().collect();
    let paths = found.iter().map(|path| start.join(path));
    Ok(paths
        .map(|path| path.to_string_lossy().into_owned())
        .collect())
}

const FOLDER_FLAGS: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What is below a directory and is none. What disappears meanwhile is left out.
fn below(base: &OwnedFd) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut ahead = vec![PathBuf::new()];
    while let Some(folder) = ahead.pop() {
        let Some(entries) = entries(base, &folder)? else {
            continue;
        };
        for (name, is_folder) in entries {
            let path = folder.join(name);
            match is_folder {
                true => ahead.push(path),
                false => found.push(path),
            }
        }
        if found.len() + ahead.len() > MOST_NAMES {
            let reason = format!("there are more than {MOST_NAMES} files");
            return Err(io::Error::other(reason));
        }
    }
    Ok(found)
}

/// What is in a directory, and whether that is one; `None` if it is gone.
fn entries(base: &OwnedFd, folder: &Path) -> io::Result<Option<Vec<(PathBuf, bool)>>> {
    // No more than one is open at a time, however deep they are.
    let opened = folder.components().try_fold(base.try_clone()?, |at, step| {
        openat(&at, step.as_os_str(), FOLDER_FLAGS, Mode::empty())
    });
    let opened = match opened {
        Ok(opened) => opened,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut entries = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind(&opened, name),
            known => Some(known),
        };
        if let Some(kind) = kind {
            entries.push((PathBuf::from(name), kind == FileType::Directory));
        }
    }
    Ok(Some(entries))
}

/// Of file systems that do not tell it with the name.
fn kind(folder: &OwnedFd, name: &OsStr) -> Option<FileType> {
    let told = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(told.st_mode))
}

/// Opens what has to be a file: a pipe would wait for somebody at its other end.
fn open(place: &Place, flags: OFlags) -> io::Result<OwnedFd> {
    let name = place.name.as_ref().ok_or(Errno::ISDIR)?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(place.folder(), name, flags, FILE)?;
    match FileType::from_raw_mode(fstat(file.as_fd())?.st_mode) {
        FileType::RegularFile => Ok(file),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::other("it is no regular file")),
    }
}
