//! Who makes the spans: the application's name and what `OTEL_*` variables add.

use crate::settings::Variables;

/// The semantic conventions that names of attributes follow.
pub(crate) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.25.0";
/// What spans say they were made by.
pub(crate) const SCOPE: &str = "dapr-diagnostics";
const SERVICE_NAME: &str = "service.name";

/// Attributes of every span of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource(Vec<(String, String)>);

impl Resource {
    /// The application's id is its name, unless `OTEL_RESOURCE_ATTRIBUTES` or, before that, `OTEL_SERVICE_NAME`
    /// says another.
    pub(crate) fn new(app_id: &str, variables: &Variables) -> Self {
        let mut resource = Self(vec![(SERVICE_NAME.to_owned(), app_id.to_owned())]);
        let attributes = variables
            .get("OTEL_RESOURCE_ATTRIBUTES")
            .unwrap_or_default();
        for pair in attributes.split(',').filter(|pair| !pair.trim().is_empty()) {
            match pair.split_once('=') {
                Some((key, value)) => resource.set(key.trim(), percent_decoded(value.trim())),
                None => tracing::warn!(
                    pair,
                    "OTEL_RESOURCE_ATTRIBUTES: a pair without '=' is left out"
                ),
            }
        }
        if let Some(name) = variables.get("OTEL_SERVICE_NAME") {
            resource.set(SERVICE_NAME, name.to_owned());
        }
        resource
    }

    fn set(&mut self, key: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub(crate) fn attributes(&self) -> &[(String, String)] {
        &self.0
    }

    pub(crate) fn service_name(&self) -> &str {
        let found = self.0.iter().find(|(key, _)| key == SERVICE_NAME);
        found.map_or("", |(_, name)| name)
    }
}

/// `%41` as `A`. A sign that begins no escape stands for itself.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after
            .get(..2)
            .filter(|pair| *first == b'%' && pair.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Resource, percent_decoded};
    use crate::settings::Variables;

    fn resource(pairs: &[(&str, &str)]) -> Resource {
        let get = |name: &str| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Resource::new("shop", &Variables::read(get))
    }

    #[test]
    fn the_application_is_the_service_unless_the_environment_says_another() {
        assert_eq!(resource(&[]).service_name(), "shop");
        let attributes = (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=a, k8s.pod.name=p%20q,bad",
        );
        let named = resource(&[attributes]);
        assert_eq!(named.service_name(), "a");
        assert_eq!(
            named.attributes()[1],
            ("k8s.pod.name".to_owned(), "p q".to_owned())
        );
        assert_eq!(named.attributes().len(), 2);
        assert_eq!(
            resource(&[attributes, ("OTEL_SERVICE_NAME", "b")]).service_name(),
            "b"
        );
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%41"), "%zzA");
        assert_eq!(percent_decoded("%+1"), "%+1");
    }
}
