//! The two versions of the key-value engine: what lies where. Pure.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::path::Path;

/// How the version of the engine is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub(crate) enum EngineVersion {
    /// Vault is asked, once; where it does not tell, it is version 2.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Version 1.
    #[serde(rename = "1")]
    One,
    /// Version 2.
    #[serde(rename = "2")]
    Two,
}

/// A version of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kv {
    /// Keeps one value.
    One,
    /// Keeps versions of it.
    Two,
}

/// The version of a secret that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revision(u64);

/// What is no version, or none of this engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRevision {
    /// Not a number.
    #[error("metadata version_id {0:?} is no number of a version")]
    NoNumber(String),
    /// Version 1 of the engine keeps none.
    #[error("metadata version_id {0}: version 1 of the engine keeps no versions")]
    NotKept(u64),
}

/// What Vault tells about a mount.
#[derive(Deserialize)]
struct Mount {
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    version: Option<String>,
}

// === impl Revision ===

impl Revision {
    /// The newest.
    pub(crate) const LATEST: Self = Self(0);

    /// As it is asked for: a number; nothing and zero are the newest.
    pub(crate) fn new(asked: Option<&str>) -> Result<Self, BadRevision> {
        match asked.map(str::trim) {
            None | Some("") => Ok(Self::LATEST),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Self(number)),
                Err(_) => Err(BadRevision::NoNumber(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Kv ===

impl Kv {
    /// From what Vault tells about the mount: version 2 is the one that says so.
    pub(crate) fn of_mount(data: &RawValue) -> Result<Self, serde_json::Error> {
        let mount: Mount = serde_json::from_str(data.get())?;
        let version = mount.options.and_then(|options| options.version);
        Ok(match version.as_deref() {
            Some("2") => Self::Two,
            _ => Self::One,
        })
    }

    /// Where a secret is read.
    ///
    /// # Errors
    /// Another version than the newest, of an engine that keeps none.
    pub(crate) fn secret(
        self,
        engine: &Path,
        below: &Path,
        revision: Revision,
    ) -> Result<String, BadRevision> {
        let (engine, below) = (engine.as_str(), below.as_str());
        match self {
            Self::One if revision != Revision::LATEST => Err(BadRevision::NotKept(revision.0)),
            Self::One => Ok(format!("{engine}/{below}")),
            Self::Two => Ok(format!("{engine}/data/{below}?version={revision}")),
        }
    }

    /// Where the names right below a folder are listed.
    pub(crate) fn folder(self, engine: &Path, below: &Path) -> String {
        let engine = engine.as_str();
        let slash = if below.is_empty() { "" } else { "/" };
        let below = below.as_str();
        match self {
            Self::One => format!("{engine}/{below}{slash}"),
            Self::Two => format!("{engine}/metadata/{below}{slash}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::new(text).unwrap()
    }

    #[test]
    fn version_two_keeps_secrets_and_names_apart() {
        let revision = Revision::new(Some("3")).unwrap();
        let (engine, below) = (path("kv"), path("dapr/a"));
        let secret = Kv::Two.secret(&engine, &below, revision);
        assert_eq!(secret.unwrap(), "kv/data/dapr/a?version=3");
        assert_eq!(Kv::Two.folder(&engine, &below), "kv/metadata/dapr/a/");
        assert_eq!(Kv::Two.folder(&engine, &path("")), "kv/metadata/");
    }

    #[test]
    fn version_one_keeps_no_versions() {
        let (engine, below) = (path("kv"), path("dapr/a"));
        let read = |asked| Kv::One.secret(&engine, &below, Revision::new(asked).unwrap());
        assert_eq!(read(None).unwrap(), "kv/dapr/a");
        assert_eq!(read(Some("0")).unwrap(), "kv/dapr/a");
        assert_eq!(read(Some("1")), Err(BadRevision::NotKept(1)));
        assert_eq!(Kv::One.folder(&engine, &path("dapr")), "kv/dapr/");
        assert_eq!(Kv::One.folder(&engine, &path("")), "kv/");
    }

    #[test]
    fn a_version_is_a_number() {
        assert_eq!(Revision::new(Some("")).unwrap(), Revision::LATEST);
        for asked in ["-1", "1&list=true", "latest"] {
            let refused = BadRevision::NoNumber(asked.to_owned());
            assert_eq!(Revision::new(Some(asked)), Err(refused));
        }
    }

    #[test]
    fn a_mount_says_its_version() {
        let of = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            Kv::of_mount(&raw).unwrap()
        };
        assert_eq!(
            of(r#"{"options": {"version": "2"}, "type": "kv"}"#),
            Kv::Two
        );
        assert_eq!(of(r#"{"options": {"version": "1"}}"#), Kv::One);
        assert_eq!(of(r#"{"options": null, "type": "kv"}"#), Kv::One);
        assert_eq!(of(r#"{"options": {}}"#), Kv::One);
    }
}
