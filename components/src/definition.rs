//! What a component type takes and can do, said by the structs that its metadata decodes into.
//!
//! Every [`Schema`] describes itself: field docs, types and defaults are what decodes a component's metadata, what its
//! reference page shows and what the operator checks. Nothing of this is alive in a sidecar: only the generator of
//! the catalogue asks.
//!
//! Beyond serde's attributes a field may say `#[schemars(extend("default" = …))]` (a default that is not serde's),
//! `"writeOnly" = true` (a secret that is no [`Sensitive`](crate::metadata::value::Sensitive)), and
//! `"effect" = "none"` or `"refused"` (see [`Effect`]).

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use trilby_component_catalogue::{Effect, Field, Kind, Unit};

use crate::{metadata::Schema, registry::Block};

/// One component type. Its aliases are its [`Backend`](crate::registry::Backend)'s to tell, and its versions as well
/// where they do not differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The block that it serves.
    pub block: Block,
    /// Its name in it.
    pub name: &'static str,
    /// The versions that it describes, where a type has several backends; none for all.
    pub versions: &'static [&'static str],
    /// Its settings, by name.
    pub fields: Vec<Field>,
    /// What the metadata API lists, with any settings.
    pub capabilities: &'static [&'static str],
    /// Whether keys beyond `fields` mean something.
    pub open: bool,
}

impl Definition {
    /// A type without settings.
    #[must_use]
    pub fn new(block: Block, name: &'static str) -> Self {
        Self {
            block,
            name,
            versions: &[],
            fields: Vec::new(),
            capabilities: &[],
            open: false,
        }
    }

    /// Of these versions only, those of one backend.
    #[must_use]
    pub fn of_versions(mut self, versions: &'static [&'static str]) -> Self {
        self.versions = versions;
        self
    }

    /// Whose metadata decodes into `T`, among others.
    #[must_use]
    pub fn taking<T: Schema>(mut self) -> Self {
        self.fields.extend(fields::<T>());
        self.fields.sort_by(|one, other| one.name.cmp(&other.name));
        self
    }

    /// That can do all this.
    #[must_use]
    pub fn capable_of(mut self, capabilities: &'static [&'static str]) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// To which other keys mean something as well.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }
}

/// The settings that decode into `T`, by name.
///
/// # Panics
/// A field has a type that metadata cannot have.
#[must_use]
pub fn fields<T: Schema>() -> Vec<Field> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut fields: Vec<Field> = properties
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let property = property
                .as_object()
                .unwrap_or_else(|| panic!("{name} is described by its type"));
            Field {
                name: name.clone(),
                aliases: aliases::<T>(name),
                required: required.is_some_and(|names| names.contains(&Value::from(name.as_str()))),
                ..field(name, property)
            }
        })
        .collect();
    fields.sort_by(|one, other| one.name.cmp(&other.name));
    fields
}

fn aliases<T: Schema>(name: &str) -> Vec<String> {
    let aliases = T::ALIASES.iter().filter(|(_, key)| *key == name);
    aliases.map(|(alias, _)| (*alias).to_owned()).collect()
}

fn field(name: &str, property: &Map<String, Value>) -> Field {
    let text = |key: &str| property.get(key).and_then(Value::as_str);
    let description = text("description").unwrap_or_default();
    Field {
        name: name.to_owned(),
        aliases: Vec::new(),
        required: false,
        kind: kind(property)
            .unwrap_or_else(|| panic!("{name} is of a type that metadata has: {property:?}")),
        default: property.get("default").and_then(default),
        sensitive: property.get("writeOnly") == Some(&Value::Bool(true)),
        effect: match text("effect") {
            None => Effect::Full,
            Some("none") => Effect::None,
            Some("refused") => Effect::Refused,
            Some(other) => panic!("{name} has no effect that is known: {other}"),
        },
        description: description.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// A default as it would be written. None at all where it is empty.
fn default(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(_) => value.to_string(),
        // A whole number is written as one, also where fractions are allowed.
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    };
    (!text.is_empty()).then_some(text)
}

fn kind(property: &Map<String, Value>) -> Option<Kind> {
    // Either that, or null.
    if let Some(Value::Array(alternatives)) = property.get("anyOf") {
        return alternatives.iter().find_map(|one| kind(one.as_object()?));
    }
    if let Some(values) = choices(property) {
        return Some(Kind::Choice { values });
    }
    let format = property
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(match type_of(property)? {
        "boolean" => Kind::Boolean,
        "integer" => integer(format)?,
        "number" => Kind::Number,
        "array" => Kind::List,
        "string" if format == DURATION => Kind::Duration {
            unit: serde_json::from_value(property.get(UNIT)?.clone()).ok()?,
            negative: property.get(NEGATIVE) == Some(&Value::Bool(true)),
        },
        "string" => Kind::Text,
        _ => return None,
    })
}

/// The type, whether the field is optional or not.
fn type_of(property: &Map<String, Value>) -> Option<&str> {
    match property.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null"),
        _ => None,
    }
}

/// The words of an enumeration, with or without docs of their own.
fn choices(property: &Map<String, Value>) -> Option<Vec<String>> {
    let node = property.get("enum").or(property.get("oneOf"))?;
    let mut words = Vec::new();
    collect_words(node, &mut words);
    Some(words)
}

/// Words with docs are alternatives of their own, those without are one together.
fn collect_words(node: &Value, words: &mut Vec<String>) {
    match node {
        Value::String(word) => words.push(word.clone()),
        Value::Array(nodes) => nodes.iter().for_each(|node| collect_words(node, words)),
        Value::Object(alternative) => {
            let nodes = ["const", "enum"].map(|key| alternative.get(key));
            let nodes = nodes.into_iter().flatten();
            nodes.for_each(|node| collect_words(node, words));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn integer(format: &str) -> Option<Kind> {
    let (minimum, maximum) = match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN, i64::MAX),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" | "uint" => (0, i64::MAX),
        _ => return None,
    };
    Some(Kind::Integer { minimum, maximum })
}

const DURATION: &str = "duration";
const UNIT: &str = "unit";
const NEGATIVE: &str = "negative";

/// The description of a length of time, for types that decode one; `negative` bare numbers are no limit.
#[must_use]
pub fn duration(unit: Unit) -> schemars::Schema {
    let unit = match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
    };
    schemars::json_schema!({"type": "string", "format": DURATION, (UNIT): unit})
}

/// As [`duration`], where a negative number is no limit.
#[must_use]
pub fn limit(unit: Unit) -> schemars::Schema {
    let mut schema = duration(unit);
    schema.insert(NEGATIVE.to_owned(), Value::Bool(true));
    schema
}

#[cfg(test)]
mod tests;
