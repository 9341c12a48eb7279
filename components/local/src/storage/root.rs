//! The directory that everything is below.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use super::walk::FOLDER;

/// Where no files are for applications: the kernel's, what the machine starts from, and the pod's own secrets.
const FORBIDDEN: &[&str] = &["/proc", "/sys", "/boot", "/var/run/secrets"];

/// The directory, without links on the way to it.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    /// Makes the directory unless it is there.
    ///
    /// # Errors
    /// It is no directory and cannot become one, or is where no files are for applications.
    pub(super) fn open(given: &Path) -> Result<Self, String> {
        let absolute = std::path::absolute(given);
        let absolute = absolute.map_err(|error| format!("it is no path: {error}"))?;
        let resolved = resolved(&absolute).map_err(|error| error.to_string())?;
        if is_forbidden(&resolved) {
            return Err("it points to a location that is not allowed".to_owned());
        }
        let root = Self(resolved);
        let made = root.make();
        made.map_err(|error| format!("the directory cannot be made: {error}"))?;
        match root.0.is_dir() {
            true => Ok(root),
            false => Err("it is a file and not a directory".to_owned()),
        }
    }

    /// The directory is made for its owner and group alone.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(FOLDER.as_raw_mode());
        builder.create(&self.0)
    }

    /// The directory as it is now: it may have been exchanged.
    pub(super) fn handle(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(open(&self.0, flags, Mode::empty())?)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// A path without links: of what is there of it, the rest as it is.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut there = path;
    let mut rest = Vec::new();
    loop {
        match there.canonicalize() {
            Ok(mut resolved) => {
                for part in rest.into_iter().rev() {
                    match part {
                        Component::ParentDir => {
                            resolved.pop();
                        }
                        Component::Normal(name) => resolved.push(name),
                        _ => {}
                    }
                }
                return Ok(resolved);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(last)) = (there.parent(), there.components().next_back())
                else {
                    return Err(error);
                };
                rest.push(last);
                there = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Also where what is forbidden is itself a link, as `/var/run` mostly is.
fn is_forbidden(path: &Path) -> bool {
    let mut places = FORBIDDEN.iter().map(Path::new);
    places.any(|place| {
        let resolved = resolved(place).unwrap_or_else(|_| place.to_owned());
        path.starts_with(place) || path.starts_with(resolved)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_not_for_applications_are_refused_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        for place in [
            Path::new("/proc"),
            Path::new("/proc/self"),
            Path::new("/sys/new"),
            Path::new("/var/run/secrets/new"),
            Path::new("/tmp/../boot"),
            Path::new("/nothing/../proc"),
            &link,
            &link.join("new"),
        ] {
            let refused = Root::open(place).unwrap_err();
            assert!(
                refused.contains("not allowed"),
                "{}: {refused}",
                place.display()
            );
        }
        assert!(is_forbidden(
            &resolved(Path::new("/var/run/secrets")).unwrap()
        ));
        assert!(!is_forbidden(Path::new("/procedures")));
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Root::open(file.path()).is_err());
        assert!(Root::open(&file.path().join("below")).is_err());
    }
}
