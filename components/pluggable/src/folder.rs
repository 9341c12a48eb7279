//! The folder of sockets, as it is at one moment.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// More sockets than this are not looked at.
const MAX_SOCKETS: usize = 256;

/// Tells the file of a socket from another one in its place: a process that starts again makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    /// When it was made, in seconds and nanoseconds: numbers of inodes are given again.
    made: (i64, i64),
}

/// What is in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Listing {
    /// Sockets by path.
    pub(crate) sockets: BTreeMap<PathBuf, Stamp>,
    /// What is no socket, or is one too many.
    pub(crate) others: Vec<PathBuf>,
}

#[cfg(test)]
impl Stamp {
    pub(crate) fn number(inode: u64) -> Self {
        Self {
            device: 0,
            inode,
            made: (0, 0),
        }
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            made: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Lists a folder; one that is not there is empty. Folders inside of it are not looked into.
///
/// # Errors
/// It cannot be read.
pub(crate) fn list(folder: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        // It may be gone again.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            continue;
        }
        let usable = metadata.file_type().is_socket() && name_of(&path).is_some();
        match usable && listing.sockets.len() < MAX_SOCKETS {
            true => drop(listing.sockets.insert(path, Stamp::from(&metadata))),
            false => listing.others.push(path),
        }
    }
    Ok(listing)
}

/// The name that a socket gives its type: that of its file without the last extension, in lower case. `None` when
/// nothing is left, or it is no text.
pub(crate) fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
    (!name.is_empty()).then(|| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener, path::Path};

    use super::{list, name_of};

    #[test]
    fn a_name_has_no_extension_and_no_case() {
        for (path, name) in [
            ("/a/My-Store.sock", Some("my-store")),
            ("/a/store", Some("store")),
            ("/a/store.v1.sock", Some("store.v1")),
            ("/a/.sock", None),
        ] {
            assert_eq!(name_of(Path::new(path)).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn sockets_are_told_from_what_else_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let _listener = UnixListener::bind(path("a.sock")).expect("a socket");
        fs::write(path("b.txt"), "").expect("a file");
        fs::create_dir(path("c")).expect("a folder");
        let listing = list(folder.path()).expect("the folder can be read");
        assert!(listing.sockets.keys().eq([&path("a.sock")]));
        assert_eq!(listing.others, [path("b.txt")]);
        let none = list(&path("none")).expect("a folder that is not there is empty");
        assert!(none.sockets.is_empty());
    }

    #[test]
    fn a_socket_that_is_made_again_is_another_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.sock");
        let stamps = || list(folder.path()).expect("it can be read").sockets;
        let first = UnixListener::bind(&path).expect("a socket");
        let before = stamps();
        assert_eq!(stamps(), before);
        drop(first);
        fs::remove_file(&path).expect("it can be removed");
        let _second = UnixListener::bind(&path).expect("a socket");
        assert_ne!(stamps(), before);
    }
}
