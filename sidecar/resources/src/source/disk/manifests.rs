//! Directories of manifests.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde_json::Value;
use trilby_crds::API_VERSION_V1ALPHA1;

use super::{Found, document::documents};
use crate::{kind::Kind, lenient};

/// Upstream's sidecar starts anew when one of this kind comes, and does not read it either.
const CONFIGURATION: &str = "Configuration";

/// How a file is told from its next version: its inode, length and times, which a rewrite in place changes as well
/// as another file in its stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// All manifests of some directories.
pub(super) struct Manifests {
    directories: Vec<PathBuf>,
    /// The only namespace whose resources count, if any is given.
    namespace: Option<String>,
    /// The files as they were at the last look.
    seen: BTreeMap<PathBuf, Stamp>,
    /// What each file said when it could last be read.
    said: HashMap<PathBuf, Vec<Said>>,
    /// What cannot be used of each file.
    broken: BTreeMap<PathBuf, Vec<(String, String)>>,
    /// Why nothing of what is there now was taken over.
    refused: Option<(String, String)>,
    /// Files that were warned about.
    warned: HashSet<String>,
    /// Documents that could not be used since the last call of [`Self::take_failures`].
    failures: usize,
}

/// One resource of a file.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    kind: Kind,
    name: String,
    /// As messages name it.
    log_name: String,
    json: Bytes,
}

/// The stamp of a file; `None` when there is none.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

impl Manifests {
    pub(super) fn new(directories: Vec<PathBuf>, namespace: Option<String>) -> Self {
        Self {
            directories,
            namespace: namespace.filter(|namespace| !namespace.is_empty()),
            seen: BTreeMap::new(),
            said: HashMap::new(),
            broken: BTreeMap::new(),
            refused: None,
            warned: HashSet::new(),
            failures: 0,
        }
    }

    /// Whether there is nothing to look at.
    pub(super) fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// Whether a file came, went or changed since the last call of [`Self::read`].
    pub(super) fn look(&mut self) -> bool {
        match self.files() {
            Ok(files) => files != self.seen,
            Err(error) => {
                self.warn_once(&error);
                false
            }
        }
    }

    /// Everything that the directories say now.
    ///
    /// # Errors
    /// A directory cannot be read, or two resources of a kind have one name.
    pub(super) fn read(&mut self) -> Result<Found, String> {
        let found = self.read_all();
        self.refused = found.as_ref().err().map(|error| {
            let directories = self
                .directories
                .iter()
                .map(|path| path.display().to_string());
            (directories.collect::<Vec<_>>().join(","), error.clone())
        });
        found
    }

    fn read_all(&mut self) -> Result<Found, String> {
        self.seen = self.files()?;
        let paths: Vec<PathBuf> = self.seen.keys().cloned().collect();
        self.broken.retain(|path, _| paths.contains(path));
        for path in &paths {
            self.read_file(path);
        }
        self.said.retain(|path, _| paths.contains(path));
        let said = paths.iter().filter_map(|path| self.said.get(path));
        let said: Vec<&Said> = said.flatten().collect();
        refuse_duplicates(&said)?;
        let mut found = Found::new();
        for one in said {
            found.entry(one.kind).or_default().push(one.json.clone());
        }
        Ok(found)
    }

    /// What cannot be used, by file and document, and why.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let broken = self.broken.values().flatten().cloned();
        broken.chain(self.refused.clone()).collect()
    }

    /// How many documents could not be used since the last call.
    pub(super) fn take_failures(&mut self) -> usize {
        std::mem::take(&mut self.failures)
    }

    /// YAML files in the order of their names, directory by directory.
    fn files(&mut self) -> Result<BTreeMap<PathBuf, Stamp>, String> {
        let mut files = BTreeMap::new();
        for directory in self.directories.clone() {
            let failed = |error: io::Error| format!("{}: {error}", directory.display());
            for entry in fs::read_dir(&directory).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    continue;
                }
                match stamp(&path) {
                    Some(stamp) if is_yaml(&path) => {
                        files.insert(path, stamp);
                    }
                    Some(_) => {
                        let path = path.display();
                        self.warn_once(&format!("{path} is not a YAML file, it is not loaded"));
                    }
                    None => {}
                }
            }
        }
        Ok(files)
    }

    fn read_file(&mut self, path: &Path) {
        let documents = match fs::read_to_string(path) {
            Ok(text) => documents(&text),
            Err(error) => vec![Err(error.to_string())],
        };
        let mut resources = Vec::new();
        let mut broken = Vec::new();
        for (number, document) in documents.into_iter().enumerate() {
            match document.and_then(|document| self.resource(&document)) {
                Ok(found) => resources.extend(found),
                Err(error) => broken.push((format!("{}#{}", path.display(), number + 1), error)),
            }
        }
        // Which resources a broken document would have held is not known: those that the file held stay.
        if !broken.is_empty()
            && let Some(said) = self.said.get(path)
        {
            let same = |old: &Said, new: &Said| (old.kind, &old.name) == (new.kind, &new.name);
            let kept = said
                .iter()
                .filter(|old| !resources.iter().any(|new| same(old, new)));
            let kept: Vec<Said> = kept.cloned().collect();
            resources.extend(kept);
        }
        self.said.insert(path.to_owned(), resources);
        self.note(path, broken);
    }

    /// Tells of documents that cannot be used, once.
    fn note(&mut self, path: &Path, broken: Vec<(String, String)>) {
        let before = self.broken.remove(path).unwrap_or_default();
        for (document, error) in broken.iter().filter(|one| !before.contains(one)) {
            tracing::error!(
                document,
                error,
                "a resource cannot be read, it is not loaded"
            );
            self.failures += 1;
        }
        if !broken.is_empty() {
            self.broken.insert(path.to_owned(), broken);
        }
    }

    /// The resource in a document; `None` when it is of another kind or namespace.
    fn resource(&mut self, document: &Value) -> Result<Option<Said>, String> {
        if !document.is_object() {
            return Err("it is not an object".to_owned());
        }
        let text = |object: &Value, name: &str| {
            lenient::text(lenient::field(object, name)).unwrap_or_default()
        };
        let (version, kind) = (text(document, "apiVersion"), text(document, "kind"));
        let metadata = lenient::field(document, "metadata");
        let name = text(metadata, "name");
        let Some(kind) = Kind::of(&version, &kind) else {
            if (version.as_str(), kind.as_str()) == (API_VERSION_V1ALPHA1, CONFIGURATION) {
                self.warn_once(&format!(
                    "Configuration {name} among the resources is not used: Configurations are given by --config"
                ));
            }
            return Ok(None);
        };
        if name.is_empty() {
            return Err(format!("a {kind} without a name (metadata.name)"));
        }
        let namespace = text(metadata, "namespace");
        if !namespace.is_empty()
            && self
                .namespace
                .as_ref()
                .is_some_and(|ours| *ours != namespace)
        {
            return Ok(None);
        }
        Ok(Some(Said {
            kind,
            log_name: log_name(kind, &name, lenient::field(document, "spec")),
            name,
            json: document.to_string().into(),
        }))
    }

    fn warn_once(&mut self, message: &str) {
        if self.warned.insert(message.to_owned()) {
            tracing::warn!("{message}");
        }
    }
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
    })
}

/// A line for each definition whose name another one of its kind has already.
fn refuse_duplicates(all: &[&Said]) -> Result<(), String> {
    let mut seen: HashMap<(Kind, &str), &Said> = HashMap::new();
    let mut duplicates = Vec::new();
    for said in all {
        let existing = *seen.entry((said.kind, &said.name)).or_insert(said);
        if !std::ptr::eq(existing, *said) {
            duplicates.push(format!(
                "duplicate definition of {} name {} with existing {}",
                said.kind, said.log_name, existing.log_name
            ));
        }
    }
    if duplicates.is_empty() {
        return Ok(());
    }
    Err(duplicates.join("\n"))
}

/// As upstream's messages name a resource.
fn log_name(kind: Kind, name: &str, spec: &Value) -> String {
    let text = |key: &str| lenient::text(lenient::field(spec, key)).unwrap_or_default();
    match kind {
        Kind::Component => format!("{name} ({}/{})", text("type"), text("version")),
        Kind::HttpEndpoint => format!("{name} ({})", text("baseUrl")),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
