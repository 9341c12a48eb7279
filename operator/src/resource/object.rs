//! A JSON object whose members are kept as text, in their order.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::{RawValue, to_raw_value};

/// Members are decoded one level deep; what lies below is neither read nor changed.
#[derive(Default)]
pub(super) struct Object<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'a> Object<'a> {
    pub(super) fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The text of a member; `None` if it is absent or `null`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(member, _)| member == name)
            .map(|(_, value)| value.get())
            .filter(|text| *text != "null")
    }

    /// Changes a member that is an object; leaves one alone that is absent or `null`.
    pub(super) fn edit(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Object<'_>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.replace(name, |text| {
            let mut member = Object::parse(text)?;
            change(&mut member)?;
            to_raw_value(&member)
        })
    }

    /// Changes each element of a member that is a list of objects; leaves one alone that is absent or `null`.
    pub(super) fn edit_each(
        &mut self,
        name: &str,
        change: impl Fn(&mut Object<'_>) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        self.replace(name, |text| {
            let mut elements: Vec<Object<'_>> = serde_json::from_str(text)?;
            elements.iter_mut().try_for_each(change)?;
            to_raw_value(&elements)
        })
    }

    fn replace(
        &mut self,
        name: &str,
        change: impl FnOnce(&str) -> serde_json::Result<Box<RawValue>>,
    ) -> serde_json::Result<()> {
        let place = self.0.iter_mut().find(|(member, _)| member == name);
        if let Some((_, place)) = place.filter(|(_, value)| value.get() != "null") {
            *place = Cow::Owned(change(place.get())?);
        }
        Ok(())
    }

    /// The member as a string; an empty one if it is absent or `null`.
    pub(super) fn string(&self, name: &str) -> serde_json::Result<String> {
        self.get(name)
            .map_or_else(|| Ok(String::new()), serde_json::from_str)
    }

    /// Sets a member, in its place if it is there, at the end otherwise.
    pub(super) fn set(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        let value = Cow::Owned(to_raw_value(value)?);
        match self.0.iter_mut().find(|(member, _)| member == name) {
            Some((_, place)) => *place = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(member, _)| member != name);
    }

    /// Sets a member that is absent or `null`.
    pub(super) fn set_default(
        &mut self,
        name: &str,
        value: &impl Serialize,
    ) -> serde_json::Result<()> {
        match self.get(name) {
            Some(_) => Ok(()),
            None => self.set(name, value),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Object<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Cow::Borrowed(value)));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value.as_ref())?;
        }
        map.end()
    }
}
