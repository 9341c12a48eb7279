//! Documents as files, for an authority outside Kubernetes. One process owns them.
//!
//! Issuer and key are two files that change together. A change is written to a third first, whole; whoever finds that
//! one finishes what was cut short.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Absent, Found, Replaced, StoreError};
use crate::{bundle::Documents, tokens::TokenDocuments};

/// Stands between the key and the certificates in the file of a change.
const SEPARATOR: &[u8] = b"\n# issuer\n";

/// The files' paths. Their directories must exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DiskStore {
    /// Trust anchors.
    pub(crate) ca: PathBuf,
    /// Issuer chain.
    pub(crate) issuer: PathBuf,
    /// Issuer key.
    pub(crate) key: PathBuf,
    /// The root's key.
    pub(crate) root_key: PathBuf,
    /// The key of tokens and the keys that verify them, where tokens are issued.
    pub(crate) tokens: Option<(PathBuf, PathBuf)>,
}

impl DiskStore {
    pub(crate) async fn load(&self, absent: &dyn Absent) -> Result<Documents, StoreError> {
        self.finish()?;
        let found = self.read()?;
        let fresh = found.authority.is_none();
        let (documents, changed) = found.complete(absent).await?;
        if fresh {
            self.write_authority(&documents)?;
        }
        if let (true, Some((key, jwks)), Some(tokens)) = (changed, &self.tokens, &documents.tokens)
        {
            // The set last, so that a start that was cut short is seen as incomplete.
            write(key, &tokens.key)?;
            write(jwks, &tokens.jwks)?;
        }
        Ok(documents)
    }

    pub(crate) fn replace(&self, old: &Documents, new: &Documents) -> Result<Replaced, StoreError> {
        let found = self.read()?.authority;
        let is_old = found.is_some_and(|found| {
            (&found.ca, &found.issuer, &found.key) == (&old.ca, &old.issuer, &old.key)
        });
        if !is_old {
            return Ok(Replaced::Overtaken);
        }
        let change = [&new.key, SEPARATOR, &new.issuer].concat();
        write(&self.change(), &change)?;
        self.finish()?;
        Ok(Replaced::Done)
    }

    fn read(&self) -> Result<Found, StoreError> {
        let (ca, issuer, key) = (read(&self.ca)?, read(&self.issuer)?, read(&self.key)?);
        let authority = match (ca, issuer, key) {
            (Some(ca), Some(issuer), Some(key)) => Some(Documents {
                ca,
                issuer,
                key,
                root_key: read(&self.root_key)?,
                tokens: None,
            }),
            _ => None,
        };
        let tokens = match &self.tokens {
            Some((key, jwks)) => match (read(key)?, read(jwks)?) {
                (Some(key), Some(jwks)) => Some(TokenDocuments { key, jwks }),
                _ => None,
            },
            None => None,
        };
        Ok(Found { authority, tokens })
    }

    fn write_authority(&self, documents: &Documents) -> Result<(), StoreError> {
        if let Some(root_key) = &documents.root_key {
            write(&self.root_key, root_key)?;
        }
        // The certificates last, so that a start that was cut short is seen as incomplete.
        write(&self.key, &documents.key)?;
        write(&self.issuer, &documents.issuer)?;
        write(&self.ca, &documents.ca)
    }

    /// The file of a change that is under way.
    fn change(&self) -> PathBuf {
        let mut path = self.issuer.as_os_str().to_owned();
        path.push(".next");
        path.into()
    }

    /// Finishes a change that is under way, if one is.
    fn finish(&self) -> Result<(), StoreError> {
        let path = self.change();
        let Some(change) = read(&path)? else {
            return Ok(());
        };
        let at = change
            .windows(SEPARATOR.len())
            .position(|part| part == SEPARATOR);
        if let Some(at) = at {
            write(&self.key, &change[..at])?;
            write(&self.issuer, &change[at + SEPARATOR.len()..])?;
        }
        fs::remove_file(&path).map_err(|source| failure("cannot remove", &path, source))
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
mod tests;
