//! Name/value pairs, whose value may stand in a Secret.

use serde_json::{Value, json};

use super::{SecretRef, object::Object};

/// A pair's reference to a Secret, whose name is not empty.
pub(super) struct Reference {
    secret: String,
    key: String,
}

/// Adds the members that a name/value pair of upstream always carries, and tells its reference if it has one.
pub(super) fn complete(pair: &mut Object<'_>) -> serde_json::Result<Option<Reference>> {
    pair.set_default("value", &Value::Null)?;
    let reference = read(pair)?;
    pair.set(
        "secretKeyRef",
        &json!({ "name": reference.secret, "key": reference.key }),
    )?;
    Ok((!reference.secret.is_empty()).then_some(reference))
}

/// The reference of anything that may stand in a Secret, if it has one.
pub(super) fn reference(item: &mut Object<'_>) -> serde_json::Result<Option<Reference>> {
    let reference = read(item)?;
    Ok((!reference.secret.is_empty()).then_some(reference))
}

fn read(item: &mut Object<'_>) -> serde_json::Result<Reference> {
    let mut reference = Reference {
        secret: String::new(),
        key: String::new(),
    };
    item.edit("secretKeyRef", |member| {
        reference.secret = member.string("name")?;
        reference.key = member.string("key")?;
        Ok(())
    })?;
    Ok(reference)
}

impl Reference {
    /// Without a key, the Secret's own name is the key.
    pub(super) fn into_ref(self) -> SecretRef {
        let key = match self.key.is_empty() {
            true => self.secret.as_str().into(),
            false => self.key.into_boxed_str(),
        };
        SecretRef {
            secret: self.secret.into(),
            key,
        }
    }

    /// Without a key, there is no value.
    pub(super) fn into_strict_ref(self) -> SecretRef {
        SecretRef {
            secret: self.secret.into(),
            key: self.key.into_boxed_str(),
        }
    }
}
