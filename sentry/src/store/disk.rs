//! Documents as three files, for an authority outside Kubernetes. One process owns them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Absent, StoreError};
use crate::bundle::Documents;

/// The files' paths. Their directories must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskStore {
    /// Trust anchors.
    pub(crate) ca: PathBuf,
    /// Issuer chain.
    pub(crate) issuer: PathBuf,
    /// Issuer key.
    pub(crate) key: PathBuf,
}

impl DiskStore {
    pub(crate) fn load(&self, absent: &Absent<'_>) -> Result<Documents, StoreError> {
        let (ca, issuer, key) = (read(&self.ca)?, read(&self.issuer)?, read(&self.key)?);
        if let (Some(ca), Some(issuer), Some(key)) = (ca, issuer, key) {
            return Ok(Documents { ca, issuer, key });
        }
        let documents = absent()?;
        // The certificates last, so that a start that was cut short is seen as incomplete.
        write(&self.key, &documents.key)?;
        write(&self.issuer, &documents.issuer)?;
        write(&self.ca, &documents.ca)?;
        Ok(documents)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failure("cannot read", path, source)),
    }
}

/// Replaces a file as a whole: readers see the old content or the new.
fn write(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let result = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    result.map_err(|source| failure("cannot write", path, source))
}

fn failure(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File {
        what,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn documents(mark: &str) -> Documents {
        Documents {
            ca: format!("ca {mark}").into_bytes(),
            issuer: format!("issuer {mark}").into_bytes(),
            key: format!("key {mark}").into_bytes(),
        }
    }

    #[test]
    fn what_is_there_stays_and_a_missing_file_replaces_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        let store = DiskStore {
            ca: path("ca.crt"),
            issuer: path("issuer.crt"),
            key: path("issuer.key"),
        };
        let load = |mark: &'static str| store.load(&|| Ok(documents(mark))).unwrap();
        assert_eq!(load("one"), documents("one"));
        assert_eq!(load("two"), documents("one"));
        fs::remove_file(&store.issuer).unwrap();
        assert_eq!(load("three"), documents("three"));
        let mode = fs::metadata(&store.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let store = DiskStore {
            ca: "/nonexistent/ca.crt".into(),
            issuer: "/nonexistent/issuer.crt".into(),
            key: "/nonexistent/issuer.key".into(),
        };
        let error = store.load(&|| Ok(documents("x"))).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot write /nonexistent/issuer.key: "),
            "{text}"
        );
    }
}
