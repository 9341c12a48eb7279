//! The indexes that queries go by: what the component says of them, and how they are made.
//!
//! Upstream drops and makes an index anew with each start of a sidecar, which takes it away from all others for as long as
//! the server needs to look at every document. Here one that is there as it should be stays.

mod held;

use ::redis::{Cmd, RedisResult};
use serde::Deserialize;
use trilby_components::{
    metadata::MetadataError,
    registry::InitError,
    state::{Path, StateError},
};

use crate::{connection::Connection, link::Link};
use held::Held;

/// How often an index is looked at and made, where other sidecars make it at the same time.
const ATTEMPTS: u32 = 3;

/// One index, over all documents of the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) name: String,
    fields: Vec<Field>,
}

/// What queries may ask for and sort by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    path: Path,
    /// Its name in the index.
    pub(super) alias: String,
    pub(super) kind: Kind,
}

/// What an index keeps of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The words of a text.
    Text,
    /// A text as a whole, or a truth.
    Tag,
    /// A number.
    Numeric,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Tag => "TAG",
            Self::Numeric => "NUMERIC",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let mut kinds = [Self::Text, Self::Tag, Self::Numeric].into_iter();
        kinds.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// The setting `queryIndexes`.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    name: String,
    #[serde(default)]
    indexes: Vec<WrittenField>,
}

#[derive(Deserialize)]
struct WrittenField {
    #[serde(default)]
    key: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// Reads the setting.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn parse(text: &str) -> Result<Vec<Index>, MetadataError> {
    let wrong = |reason: String| MetadataError::invalid("queryIndexes", reason);
    let written: Result<Vec<Written>, _> = serde_json::from_str(text);
    let written = written.map_err(|error| wrong(error.to_string()))?;
    let mut indexes: Vec<Index> = Vec::new();
    for Written {
        name,
        indexes: fields,
    } in written
    {
        if name.is_empty() {
            return Err(wrong("empty query schema name".to_owned()));
        }
        if indexes.iter().any(|index| index.name == name) {
            return Err(wrong(format!("duplicate schema name {name}")));
        }
        let fields = fields.into_iter().enumerate();
        let fields = fields.map(|(number, field)| Field::new(&name, number, &field));
        let fields: Result<_, _> = fields.collect();
        let fields = fields.map_err(wrong)?;
        indexes.push(Index { name, fields });
    }
    Ok(indexes)
}

impl Field {
    fn new(index: &str, number: usize, written: &WrittenField) -> Result<Self, String> {
        let WrittenField { key, kind } = written;
        match (key.as_str(), kind.as_str()) {
            ("", _) => return Err(format!("empty key in query schema {index}")),
            (_, "") => return Err(format!("empty type in query schema {index}")),
            _ => {}
        }
        let path = key
            .parse()
            .map_err(|error| format!("query schema {index}: {error}"))?;
        let kind = Kind::named(kind).ok_or_else(|| {
            format!("query schema {index}: the type {kind:?} of {key} is not TEXT, TAG or NUMERIC")
        })?;
        Ok(Self {
            path,
            alias: format!("var{number}"),
            kind,
        })
    }

    /// Where the server finds it in a document. Upstream's way to write it, as far as that goes.
    fn json_path(&self) -> String {
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut path = String::from("$.data");
        for name in self.path.names() {
            match plain(name) {
                true => path.extend([".", name]),
                false => {
                    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                    path.extend(["[\"", &name, "\"]"]);
                }
            }
        }
        path
    }
}

impl Index {
    /// The field at `path`.
    ///
    /// # Errors
    /// [`StateError::InvalidRequest`] where there is none, in upstream's words.
    pub(super) fn field(&self, path: &Path) -> Result<&Field, StateError> {
        let field = self.fields.iter().rfind(|field| field.path == *path);
        field.ok_or_else(|| {
            let path = path.to_string();
            StateError::InvalidRequest(format!("JSON path {path:?} is not indexed"))
        })
    }

    /// Has the server make it, unless it is there.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses.
    pub(super) async fn make(&self, link: &Link) -> Result<(), InitError> {
        let made = link.once(|connection| self.make_at(connection)).await;
        made.map_err(|error| {
            InitError::Unavailable(format!(
                "redis store: error registering query schemas: index {}: {error}",
                self.name
            ))
        })
    }

    async fn make_at(&self, mut connection: Connection) -> RedisResult<()> {
        let mut attempt = 1;
        loop {
            match Held::ask(&self.name, &mut connection).await? {
                Some(held) if held == self.wanted() => return Ok(()),
                Some(_) => {
                    let mut drop = ::redis::cmd("FT.DROPINDEX");
                    let dropped: RedisResult<()> =
                        drop.arg(&self.name).query_async(&mut connection).await;
                    // Another sidecar may have done it.
                    dropped.or_else(held::refused)?;
                }
                None => {}
            }
            let created: RedisResult<()> = self.creation().query_async(&mut connection).await;
            match created {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn creation(&self) -> Cmd {
        let mut create = ::redis::cmd("FT.CREATE");
        create.arg(&self.name).arg("ON").arg("JSON").arg("SCHEMA");
        for field in &self.fields {
            create.arg(field.json_path()).arg("AS").arg(&field.alias);
            create.arg(field.kind.name()).arg("SORTABLE");
        }
        create
    }

    fn wanted(&self) -> Held {
        let fields = self.fields.iter();
        Held::of_all_documents(fields.map(|field| {
            let kind = field.kind.name().to_owned();
            [field.json_path(), field.alias.clone(), kind]
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: &str = r#"[{"name": "orgs", "indexes": [
        {"key": "person.org", "type": "TEXT"}, {"key": "a-b.\"", "type": "numeric"}
    ]}]"#;

    #[test]
    fn an_index_is_made_as_upstream_makes_it() {
        let indexes = parse(SETTING).unwrap();
        let creation = indexes[0].creation();
        let words = creation.args_iter().filter_map(|word| match word {
            ::redis::Arg::Simple(word) => std::str::from_utf8(word).ok(),
            _ => None,
        });
        let words: Vec<&str> = words.collect();
        assert_eq!(
            words.join(" "),
            r#"FT.CREATE orgs ON JSON SCHEMA $.data.person.org AS var0 TEXT SORTABLE $.data["a-b"]["\""] AS var1 NUMERIC SORTABLE"#
        );
    }

    #[test]
    fn only_what_is_indexed_is_found() {
        let indexes = parse(SETTING).unwrap();
        let field = indexes[0].field(&"person.org".parse().unwrap()).unwrap();
        assert_eq!((field.alias.as_str(), field.kind), ("var0", Kind::Text));
        let missing = indexes[0].field(&"person.id".parse().unwrap());
        assert_eq!(
            missing.unwrap_err().to_string(),
            r#"JSON path "person.id" is not indexed"#
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("{", "queryIndexes"),
            (r#"[{"indexes": []}]"#, "empty query schema name"),
            (
                r#"[{"name": "a"}, {"name": "a"}]"#,
                "duplicate schema name a",
            ),
            (
                r#"[{"name": "a", "indexes": [{"type": "TEXT"}]}]"#,
                "empty key in query schema a",
            ),
            (
                r#"[{"name": "a", "indexes": [{"key": "k"}]}]"#,
                "empty type in query schema a",
            ),
            (
                r#"[{"name": "a", "indexes": [{"key": "k", "type": "GEO"}]}]"#,
                "\"GEO\" of k",
            ),
            (
                r#"[{"name": "a", "indexes": [{"key": "k..l", "type": "TAG"}]}]"#,
                "k..l",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
