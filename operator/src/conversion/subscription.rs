//! Subscriptions from one version to the other.
//!
//! The older version knows one route, the newer one rules. What the older one cannot say travels in an annotation, so
//! that who reads, changes and writes a Subscription in the older version keeps its rules.

use serde_json::{Map, Value};
use trilby_crds::{GROUP, Spec as _, SubscriptionSpec, V1ALPHA1, V2ALPHA1};

/// Where the rules are kept in the older version: the JSON of `spec.routes.rules`.
const RULES: &str = "dapr.io/subscription-rules";

/// Why an object cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConvertError {
    #[error("{0} is no Subscription of dapr.io")]
    Kind(String),
    #[error("Subscriptions have no version {0}")]
    Version(String),
    #[error("a Subscription of {0} is asked for in the version that it has")]
    Same(String),
    #[error("{0} is no object")]
    Shape(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Older,
    Newer,
}

impl Version {
    fn parse(api_version: &str) -> Result<Self, ConvertError> {
        let version = api_version
            .strip_prefix(GROUP)
            .and_then(|rest| rest.strip_prefix('/'));
        match version {
            Some(V1ALPHA1) => Ok(Self::Older),
            Some(V2ALPHA1) => Ok(Self::Newer),
            _ => Err(ConvertError::Version(api_version.to_owned())),
        }
    }
}

/// The same Subscription in the version `desired`, as `dapr.io/<version>`. Whatever both versions have passes as it is.
///
/// # Errors
/// It is none, or one of the versions does not exist.
pub(super) fn convert(object: Value, desired: &str) -> Result<Value, ConvertError> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group = api_version.split('/').next().unwrap_or_default();
    if group != GROUP || kind != SubscriptionSpec::KIND {
        return Err(ConvertError::Kind(format!("{api_version} {kind}")));
    }
    let from = Version::parse(api_version)?;
    let to = Version::parse(desired)?;
    if from == to {
        return Err(ConvertError::Same(desired.to_owned()));
    }
    let Value::Object(mut object) = object else {
        return Err(ConvertError::Shape("the Subscription"));
    };
    match to {
        Version::Newer => newer(&mut object)?,
        Version::Older => older(&mut object)?,
    }
    object.insert("apiVersion".to_owned(), desired.into());
    Ok(Value::Object(object))
}

fn newer(object: &mut Map<String, Value>) -> Result<(), ConvertError> {
    let rules = take_rules(object)?;
    let spec = part(object, "spec")?;
    let mut routes = Map::new();
    if let Some(route) = spec.remove("route").filter(|route| *route != "") {
        routes.insert("default".to_owned(), route);
    }
    if let Some(rules) = rules {
        routes.insert("rules".to_owned(), rules);
    }
    spec.insert("routes".to_owned(), routes.into());
    Ok(())
}

fn older(object: &mut Map<String, Value>) -> Result<(), ConvertError> {
    let spec = part(object, "spec")?;
    let routes = spec.remove("routes").unwrap_or_default();
    let default = routes["default"].as_str().unwrap_or_default();
    spec.insert("route".to_owned(), default.into());
    let rules = &routes["rules"];
    if rules.as_array().is_some_and(|rules| !rules.is_empty()) {
        let annotations = part(part(object, "metadata")?, "annotations")?;
        annotations.insert(RULES.to_owned(), rules.to_string().into());
    }
    Ok(())
}

/// The rules out of the annotation. A text there that is none stays: a stored object must stay readable.
fn take_rules(object: &mut Map<String, Value>) -> Result<Option<Value>, ConvertError> {
    let metadata = part(object, "metadata")?;
    let Some(Value::Object(annotations)) = metadata.get_mut("annotations") else {
        return Ok(None);
    };
    let rules = annotations.get(RULES).and_then(Value::as_str);
    let rules = rules.and_then(|text| serde_json::from_str::<Vec<Map<String, Value>>>(text).ok());
    let Some(rules) = rules else {
        return Ok(None);
    };
    annotations.remove(RULES);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Ok(Some(rules.into_iter().map(Value::Object).collect()))
}

/// A part of an object that is an object itself; an absent one is made.
fn part<'a>(
    object: &'a mut Map<String, Value>,
    name: &'static str,
) -> Result<&'a mut Map<String, Value>, ConvertError> {
    let part = object.entry(name).or_insert(Value::Null);
    if part.is_null() {
        *part = Value::Object(Map::new());
    }
    part.as_object_mut().ok_or(ConvertError::Shape(name))
}
