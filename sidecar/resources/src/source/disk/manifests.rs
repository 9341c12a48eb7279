//! Directories of manifests.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use super::document::documents;
use crate::manifest::Received;

/// What Components say of themselves.
const API_VERSION: &str = "dapr.io/v1alpha1";
const KIND: &str = "Component";
/// Kinds that upstream reads from disk and this sidecar does not act upon. Configurations are named by flag.
const ABSENT_KINDS: [&str; 5] = [
    "Subscription",
    "Resiliency",
    "HTTPEndpoint",
    "MCPServer",
    "WorkflowAccessPolicy",
];

/// How a file is told from its next version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// All manifests of some directories.
pub(super) struct Manifests {
    directories: Vec<PathBuf>,
    /// The files as they were at the last look.
    seen: BTreeMap<PathBuf, Stamp>,
    /// What each file said when it could last be read.
    said: HashMap<PathBuf, Vec<Received>>,
    /// Objects that were warned about.
    warned: HashSet<String>,
}

/// The stamp of a file; `None` when there is none.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
    })
}

impl Manifests {
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            seen: BTreeMap::new(),
            said: HashMap::new(),
            warned: HashSet::new(),
        }
    }

    /// `Some` when a file came, went or changed since the last call of [`Self::read`].
    pub(super) fn look(&mut self) -> Option<()> {
        match self.files() {
            Ok(files) => (files != self.seen).then_some(()),
            Err(error) => {
                self.warn_once(&error.to_string());
                None
            }
        }
    }

    /// Everything that the directories say now.
    ///
    /// # Errors
    /// A directory cannot be read, or two components have one name.
    pub(super) fn read(&mut self) -> Result<Vec<Received>, String> {
        self.seen = self.files()?;
        let paths: Vec<PathBuf> = self.seen.keys().cloned().collect();
        for path in &paths {
            self.read_file(path);
        }
        self.said.retain(|path, _| paths.contains(path));
        let all: Vec<Received> = paths
            .iter()
            .filter_map(|path| self.said.get(path))
            .flatten()
            .cloned()
            .collect();
        refuse_duplicates(&all)?;
        Ok(all)
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
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "reading a resource file failed");
                return;
            }
        };
        let mut components = Vec::new();
        let mut broken = false;
        for (number, document) in documents(&text).into_iter().enumerate() {
            match document {
                Ok(document) => components.extend(self.component(path, &document)),
                Err(error) => {
                    broken = true;
                    let (path, document) = (path.display(), number + 1);
                    tracing::error!(%path, document, error, "a resource is not YAML, it is not loaded");
                }
            }
        }
        // Which components a broken document would have held is not known: those that the file held stay.
        if broken && let Some(said) = self.said.get(path) {
            let names: HashSet<&str> = components.iter().map(Received::name).collect();
            let kept = said.iter().filter(|old| !names.contains(old.name()));
            let kept: Vec<Received> = kept.cloned().collect();
            components.extend(kept);
        }
        self.said.insert(path.to_owned(), components);
    }

    fn component(&mut self, path: &Path, document: &Value) -> Option<Received> {
        let kind = document["kind"].as_str().unwrap_or_default();
        let api_version = document["apiVersion"].as_str().unwrap_or_default();
        if ABSENT_KINDS.contains(&kind) && api_version.starts_with("dapr.io/") {
            let name = document["metadata"]["name"].as_str().unwrap_or_default();
            let path = path.display();
            self.warn_once(&format!(
                "{path}: {kind} {name:?} has no effect: its kind is not there yet in this sidecar"
            ));
        }
        if (kind, api_version) != (KIND, API_VERSION) {
            return None;
        }
        Received::decode(document.to_string().as_bytes())
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

fn refuse_duplicates(all: &[Received]) -> Result<(), String> {
    let mut seen: HashMap<&str, &Received> = HashMap::new();
    for received in all {
        if let Some(existing) = seen.insert(received.name(), received) {
            return Err(format!(
                "duplicate definition of Component name {} with existing {}",
                log_name(received),
                log_name(existing)
            ));
        }
    }
    Ok(())
}

fn log_name(received: &Received) -> String {
    match received {
        Received::Manifest(manifest) => manifest.log_name(),
        Received::Broken { name, .. } => name.clone(),
    }
}

#[cfg(test)]
mod tests;
