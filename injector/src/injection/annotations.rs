//! Reads a pod's annotations and remembers what its author should know about them.

use std::{fmt::Display, str::FromStr};

use k8s_openapi::api::core::v1::Pod;
use trilby_go_syntax::truthy;
use trilby_sidecar_args::Written;

use super::Refusal;

/// The value of one annotation.
pub(super) fn value<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

/// The annotations of one pod. Every reader gives nothing where the annotation is absent; a present one counts even
/// when empty.
pub(super) struct Annotations<'a> {
    pod: &'a Pod,
    warnings: Vec<String>,
}

impl<'a> Annotations<'a> {
    pub(super) fn of(pod: &'a Pod) -> Self {
        Self {
            pod,
            warnings: Vec::new(),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        value(self.pod, key)
    }

    /// The text, where there is some.
    pub(super) fn filled(&self, key: &str) -> Option<&'a str> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.text(key).map(truthy)
    }

    /// A number; one that cannot be read, or not as an `N`, is as absent, with a warning.
    pub(super) fn number<N: TryFrom<i64>>(&mut self, key: &str) -> Option<N> {
        let text = self.text(key)?;
        let number = text.parse::<i64>().ok().and_then(|n| N::try_from(n).ok());
        if number.is_none() {
            self.warn(
                key,
                format_args!("{text:?} is not a number it can take; ignored"),
            );
        }
        number
    }

    /// A port of a container; one that cannot be read is as absent, with a warning.
    pub(super) fn port(&mut self, key: &'static str, default: u16) -> Result<u16, Refusal> {
        let Some(value) = self.number::<i64>(key) else {
            return Ok(default);
        };
        match u16::try_from(value) {
            Ok(port @ 1..) => Ok(port),
            _ => Err(Refusal::Port { key, value }),
        }
    }

    /// A value handed on as written; one that this version's sidecar would not start with gets a warning.
    pub(super) fn written<T>(&mut self, key: &str) -> Option<Written<T>>
    where
        T: FromStr<Err: Display>,
    {
        let written = Written::<T>::unchecked(self.text(key)?);
        if let Err(reason) = written.get() {
            self.warn(key, format_args!("{reason}; passed on to the sidecar"));
        }
        Some(written)
    }

    /// Whether the annotated pod has a container of this name.
    pub(super) fn has_container(&self, name: &str) -> bool {
        let spec = self.pod.spec.as_ref();
        spec.is_some_and(|spec| spec.containers.iter().any(|c| c.name == name))
    }

    pub(super) fn warn(&mut self, key: &str, reason: impl Display) {
        self.warnings.push(format!("{key}: {reason}"));
    }

    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}
