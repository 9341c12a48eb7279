//! What is read of a document's value.

use std::fmt::Write as _;

use bytes::Bytes;
use mongodb::bson::{Bson, Document};
use trilby_components::state::StateError;

use super::number;

/// The bytes that a value means.
///
/// # Errors
/// It is nothing that this store, or upstream's, writes.
pub(crate) fn bytes(key: &str, value: &Bson) -> Result<Bytes, StateError> {
    match value {
        Bson::String(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
        Bson::Binary(binary) => Ok(Bytes::copy_from_slice(&binary.bytes)),
        other => {
            let mut json = String::new();
            match write(&mut json, other) {
                Some(()) => Ok(json.into()),
                None => Err(StateError::Store(format!(
                    "MongoDB: key {key}: its value cannot be JSON"
                ))),
            }
        }
    }
}

/// Documents are as deep as the server took them.
fn write(json: &mut String, value: &Bson) -> Option<()> {
    match value {
        Bson::Null | Bson::Undefined => json.push_str("null"),
        Bson::Boolean(truth) => json.push_str(if *truth { "true" } else { "false" }),
        Bson::Int32(number) => write!(json, "{number}").ok()?,
        Bson::Int64(number) => write!(json, "{number}").ok()?,
        Bson::Double(number) => json.push_str(&number::written(*number)?),
        Bson::String(text) => json.push_str(&quoted(text)?),
        Bson::Array(members) => {
            json.push('[');
            for (place, member) in members.iter().enumerate() {
                if place > 0 {
                    json.push(',');
                }
                write(json, member)?;
            }
            json.push(']');
        }
        Bson::Document(document) => write_document(json, document)?,
        // Types that JSON has no like of, from whoever wrote them.
        other => json.push_str(&other.clone().into_relaxed_extjson().to_string()),
    }
    Some(())
}

fn write_document(json: &mut String, document: &Document) -> Option<()> {
    json.push('{');
    for (place, (name, value)) in document.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str(&quoted(name)?);
        json.push(':');
        write(json, value)?;
    }
    json.push('}');
    Some(())
}

fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}
