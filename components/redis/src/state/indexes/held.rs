//! What the server says of an index that it has.

use ::redis::{ErrorKind, RedisError, RedisResult, Value, from_redis_value};

use crate::connection::Connection;

/// An index, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// What it is over: `JSON`.
    documents: Option<String>,
    /// What the keys of its documents begin with.
    prefixes: Vec<String>,
    /// Path, name and kind of each sortable field.
    fields: Vec<[String; 3]>,
}

impl Held {
    /// One over all documents.
    pub(super) fn of_all_documents(fields: impl Iterator<Item = [String; 3]>) -> Self {
        Self {
            documents: Some("JSON".to_owned()),
            prefixes: vec![String::new()],
            fields: fields.collect(),
        }
    }

    /// The index of this name; `None` if the server has none.
    pub(super) async fn ask(name: &str, connection: &mut Connection) -> RedisResult<Option<Self>> {
        let mut info = ::redis::cmd("FT.INFO");
        let answer: RedisResult<Value> = info.arg(name).query_async(connection).await;
        match answer {
            Ok(answer) => Self::read(answer).map(Some),
            Err(error) => refused(error).map(|()| None),
        }
    }

    fn read(answer: Value) -> RedisResult<Self> {
        let mut members: Vec<Value> = from_redis_value(answer)?;
        let definition = member(&mut members, "index_definition");
        let mut definition: Vec<Value> = from_redis_value(definition)?;
        let attributes: Vec<Vec<Value>> = from_redis_value(member(&mut members, "attributes"))?;
        let fields = attributes.into_iter().map(field);
        let prefixes: Option<Vec<String>> = from_redis_value(member(&mut definition, "prefixes"))?;
        Ok(Self {
            documents: from_redis_value(member(&mut definition, "key_type"))?,
            prefixes: prefixes.unwrap_or_default(),
            fields: fields.collect::<RedisResult<_>>()?,
        })
    }
}

/// What follows a name in a list of names and values.
fn member(members: &mut [Value], name: &str) -> Value {
    let at = members.iter().position(|member| is(member, name));
    let value = at.and_then(|at| members.get_mut(at + 1));
    value.map_or(Value::Nil, |value| std::mem::replace(value, Value::Nil))
}

fn is(value: &Value, name: &str) -> bool {
    match value {
        Value::BulkString(bytes) => bytes == name.as_bytes(),
        Value::SimpleString(text) => text == name,
        _ => false,
    }
}

/// One that is not sortable is none of ours.
fn field(mut attribute: Vec<Value>) -> RedisResult<[String; 3]> {
    let sortable = attribute.iter().any(|word| is(word, "SORTABLE"));
    let mut word = |name| {
        let word: Option<String> = from_redis_value(member(&mut attribute, name))?;
        RedisResult::Ok(word.filter(|_| sortable).unwrap_or_default())
    };
    Ok([word("identifier")?, word("attribute")?, word("type")?])
}

/// Passes over what the server refuses; that it is away is an error.
pub(super) fn refused(error: RedisError) -> RedisResult<()> {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => Ok(()),
        _ => Err(error),
    }
}
