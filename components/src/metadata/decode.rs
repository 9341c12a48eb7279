//! The serde side of metadata: a map of texts that feeds a struct field by field.

use std::{collections::BTreeMap, fmt, vec};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{SeqDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
use trilby_go_syntax::truthy;

use super::MetadataError;

/// Hands a struct the entries it names, and takes them out of the map.
pub(super) struct Take<'a> {
    entries: &'a mut BTreeMap<String, (String, String)>,
    aliases: &'static [(&'static str, &'static str)],
}

impl<'a> Take<'a> {
    pub(super) fn new(
        entries: &'a mut BTreeMap<String, (String, String)>,
        aliases: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { entries, aliases }
    }

    /// The value of `field` or, without one, of the first of its aliases. All of them leave the map. An
    /// empty value counts as none.
    fn take(&mut self, field: &'static str) -> Option<String> {
        let aliases = self.aliases.iter().filter(|(_, key)| *key == field);
        let names = std::iter::once(field).chain(aliases.map(|(alias, _)| *alias));
        let mut found: Option<String> = None;
        for name in names {
            let value = self.entries.remove(&name.to_lowercase());
            found = found.or(value.map(|(_, value)| value));
        }
        found.filter(|value| !value.is_empty())
    }
}

impl<'de> Deserializer<'de> for Take<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let taken: Vec<(&'static str, String)> = fields
            .iter()
            .filter_map(|field| Some((*field, self.take(field)?)))
            .collect();
        visitor.visit_map(Fields {
            remaining: taken.into_iter(),
            current: None,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("metadata decodes into a struct only"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields {
    remaining: vec::IntoIter<(&'static str, String)>,
    current: Option<(&'static str, String)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.current = self.remaining.next();
        match &self.current {
            Some((field, _)) => seed
                .deserialize(StrDeserializer::<Error>::new(field))
                .map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (field, value) = self
            .current
            .take()
            .expect("serde asks for a value after its key");
        seed.deserialize(Text(value)).map_err(|error| match error {
            Error::Value(reason) => Error::Decided(MetadataError::invalid(field, reason)),
            decided => decided,
        })
    }
}

/// One value.
struct Text(String);

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.0.trim().parse::<$type>();
            visitor.$visit(number.map_err(|error| Error::Value(error.to_string()))?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(truthy(&self.0))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::<_, Error>::new(
            self.0.split(',').map(|part| Text(part.to_owned())),
        ))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(self.0))
    }

    numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What serde reports, before the key is known and after.
#[derive(Debug)]
pub(super) enum Error {
    /// About the value at hand.
    Value(String),
    /// Complete.
    Decided(MetadataError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(reason) => f.write_str(reason),
            Self::Decided(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Value(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Decided(MetadataError::Missing(field.to_owned()))
    }

    /// Serde's own text repeats the value, which may be a secret.
    fn invalid_value(_unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Value(format!("expected {expected}"))
    }

    /// As `Error::invalid_value`.
    fn unknown_variant(_variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Value(format!("expected one of {}", expected.join(", ")))
    }
}

impl From<Error> for MetadataError {
    fn from(error: Error) -> Self {
        match error {
            Error::Decided(error) => error,
            Error::Value(reason) => Self::invalid("", reason),
        }
    }
}
