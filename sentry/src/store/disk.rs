//! Documents as files, for an authority outside Kubernetes. One process owns them.
//!
//! Several files change together. A change is written to one of its own first, whole; whoever finds that one finishes
//! what was cut short.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{Absent, Found, Loaded, Replaced, StoreError, is_same_authority};
use crate::{
    bundle::Documents,
    rotation::{Orders, RotationDocuments},
    source::NewAuthority,
    tokens::TokenDocuments,
};

/// How a rotation stands, and by which files people ask for things; they lie beside the anchors.
const RECORD: &str = "rotation.json";
const ROTATE: &str = "rotate-root";
const PAUSED: &str = "rotation-paused";

/// What is prepared has the names of the files that it will replace, with this in front.
const NEXT: &str = "next-";

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
    pub(crate) async fn load(&self, absent: &dyn Absent) -> Result<Loaded, StoreError> {
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
        Ok(Loaded {
            documents,
            orders: self.orders()?,
            repaired: None,
        })
    }

    pub(crate) fn replace(&self, old: &Documents, new: &Documents) -> Result<Replaced, StoreError> {
        let found = self.read()?.authority;
        let is_old = found.is_some_and(|found| is_same_authority(&found, old));
        if !is_old {
            return Ok(Replaced::Overtaken);
        }
        write(&self.change(), &self.describe(new))?;
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
                rotation: self.rotation()?,
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
        match &documents.rotation.record {
            Some(record) => write(&self.beside(RECORD), record)?,
            None => remove(&self.beside(RECORD))?,
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
        match serde_json::from_slice::<Map<String, Value>>(&change) {
            Ok(change) => self.follow(&change)?,
            // It was put in place whole, so it is none of ours.
            Err(error) => tracing::warn!(path = %path.display(), %error, "no change, removing it"),
        }
        remove(&path)
    }

    /// Each file of an authority, by a name of its own. The anchors last: without them nothing is there.
    fn files(&self) -> [(&'static str, PathBuf); 9] {
        let next = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!("{NEXT}{name}"))
        };
        [
            ("rootKey", self.root_key.clone()),
            ("key", self.key.clone()),
            ("issuer", self.issuer.clone()),
            ("record", self.beside(RECORD)),
            ("nextCa", next(&self.ca)),
            ("nextIssuer", next(&self.issuer)),
            ("nextKey", next(&self.key)),
            ("nextRootKey", next(&self.root_key)),
            ("ca", self.ca.clone()),
        ]
    }

    /// A file beside the anchors.
    fn beside(&self, name: &str) -> PathBuf {
        self.ca.with_file_name(name)
    }

    /// What is to be in the files, as one text. All of them are texts: PEM and JSON.
    fn describe(&self, documents: &Documents) -> Vec<u8> {
        let next = documents.rotation.next.as_ref();
        let contents = [
            ("rootKey", documents.root_key.as_ref()),
            ("key", Some(&documents.key)),
            ("issuer", Some(&documents.issuer)),
            ("record", documents.rotation.record.as_ref()),
            ("nextCa", next.map(|next| &next.anchors_pem)),
            ("nextIssuer", next.map(|next| &next.issuer_chain_pem)),
            ("nextKey", next.map(|next| &next.issuer_key_pem)),
            (
                "nextRootKey",
                next.and_then(|next| next.root_key_pem.as_ref()),
            ),
            ("ca", Some(&documents.ca)),
        ];
        let texts = contents.into_iter().filter_map(|(name, content)| {
            let text = String::from_utf8_lossy(content?).into_owned();
            Some((name.to_owned(), Value::String(text)))
        });
        Value::Object(texts.collect()).to_string().into_bytes()
    }

    /// Makes the files what a change says; what it does not name is not there.
    fn follow(&self, change: &Map<String, Value>) -> Result<(), StoreError> {
        for (name, path) in self.files() {
            match change.get(name).and_then(Value::as_str) {
                Some(content) if read(&path)?.as_deref() != Some(content.as_bytes()) => {
                    write(&path, content.as_bytes())?;
                }
                Some(_unchanged) => {}
                None => remove(&path)?,
            }
        }
        Ok(())
    }

    fn rotation(&self) -> Result<RotationDocuments, StoreError> {
        let mut found = Vec::new();
        for (_, path) in self.files() {
            found.push(read(&path)?);
        }
        let [_, _, _, record, ca, issuer, key, root_key, _] =
            found.try_into().expect("one for each file");
        let next = match (ca, issuer, key) {
            (Some(anchors_pem), Some(issuer_chain_pem), Some(issuer_key_pem)) => {
                Some(NewAuthority {
                    anchors_pem,
                    issuer_chain_pem,
                    issuer_key_pem,
                    root_key_pem: root_key,
                })
            }
            _ => None,
        };
        Ok(RotationDocuments { record, next })
    }

    fn orders(&self) -> Result<Orders, StoreError> {
        let text = |name: &str| {
            let content = read(&self.beside(name))?;
            let text = content.map(|content| String::from_utf8_lossy(&content).trim().to_owned());
            Ok::<_, StoreError>(text)
        };
        Ok(Orders {
            rotate: text(ROTATE)?.filter(|value| !value.is_empty()),
            paused: text(PAUSED)?.is_some(),
        })
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failure("cannot remove", path, error))
        }
        _ => Ok(()),
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
