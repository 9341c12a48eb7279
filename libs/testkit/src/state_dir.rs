//! Directories that do not outlive their user by much.
//!
//! A test that is killed cannot remove its directory. So each one carries a lock that the kernel releases with its
//! holder, and the next start removes those whose lock is free.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = "lock";
/// A directory without a lock file this old was left by a start that was killed half-way.
const ABANDONED: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 10;

/// A directory of its own under the system's temporary one, removed on drop.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes a new directory; `kind` is part of its name.
    ///
    /// # Panics
    /// If the temporary directory cannot be written.
    pub fn create(kind: &str) -> Self {
        Self::try_create(kind)
            .unwrap_or_else(|error| panic!("cannot make a directory for {kind}: {error}"))
    }

    fn try_create(kind: &str) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let path = tempfile::Builder::new()
                .prefix(&prefix(kind))
                .tempdir()?
                .keep();
            let lock = File::create(path.join(LOCK))?;
            // A sweep may have taken the directory between the two lines above: then it is gone or held by the sweep.
            if lock.try_lock().is_ok() && path.join(LOCK).exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::Error::other("each new directory was swept away"))
    }

    /// Makes an existing directory one that is removed on drop, and marks it as in use.
    ///
    /// # Errors
    /// If it is in use already, or not there.
    pub fn adopt(path: &Path) -> io::Result<Self> {
        let lock = File::create(path.join(LOCK))?;
        lock.try_lock()?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The path of a new directory that nobody uses yet, to be adopted soon.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn vacant(kind: &str) -> io::Result<PathBuf> {
        let dir = tempfile::Builder::new().prefix(&prefix(kind)).tempdir()?;
        Ok(dir.keep())
    }

    /// The directories of `kind` whose users are gone. Each is locked while the value lives, so that one sweeper has it.
    pub fn stale(kind: &str) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
            return Vec::new();
        };
        entries
            .filter_map(Result::ok)
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with(&prefix(kind))
            })
            .filter_map(|entry| Self::take_over(entry.path()))
            .collect()
    }

    fn take_over(path: PathBuf) -> Option<Self> {
        // Anybody may make a directory of such a name; what is in it is believed only if this user made it.
        let owner = fs::symlink_metadata(&path).ok()?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return None;
        }
        let lock = match File::open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(_) if is_abandoned(&path) => File::create(path.join(LOCK)).ok()?,
            Err(_) => return None,
        };
        lock.try_lock().ok()?;
        Some(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an entry in it.
    pub fn join(&self, entry: impl AsRef<Path>) -> PathBuf {
        self.path.join(entry)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn prefix(kind: &str) -> String {
    format!("trilby-{kind}-")
}

fn is_abandoned(path: &Path) -> bool {
    fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|modified| modified.elapsed().ok())
        .is_some_and(|age| age > ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_gone_after_drop() {
        let dir = StateDir::create("unit-drop");
        let path = dir.path().to_owned();
        fs::write(dir.join("file"), "x").unwrap();
        drop(dir);
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_in_use_is_not_stale() {
        let used = StateDir::create("unit-used");
        assert!(StateDir::stale("unit-used").is_empty());
        assert!(used.path().exists());
    }

    #[test]
    fn a_directory_whose_lock_is_free_is_stale() {
        let left = tempfile::Builder::new()
            .prefix("trilby-unit-left-")
            .tempdir()
            .unwrap()
            .keep();
        File::create(left.join(LOCK)).unwrap();
        let stale = StateDir::stale("unit-left");
        assert_eq!(stale.len(), 1);
        drop(stale);
        assert!(!left.exists());
    }
}
