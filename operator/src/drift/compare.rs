//! Which differences between two definitions matter, and to whom. Pure.

use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// What a difference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A kind, or one of its versions, cannot be used at all.
    Missing,
    /// The API server drops a field when an object is applied, and says nothing.
    Dropped,
    /// The API server refuses objects that it need not.
    Refused,
    /// Resources cannot say what became of them.
    NoStatus,
    /// Fields that this operator does not know, for instance of a newer version.
    Extra,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub effect: Effect,
    /// Version and field: `v1alpha1 .spec.metadata[].value: type`.
    pub what: String,
}

/// Rules by which the API server refuses values, beside those that are looked at one by one.
const RULES: &[&str] = &[
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "x-kubernetes-validations",
];

impl Effect {
    pub(crate) const ALL: [Self; 5] = [
        Self::Missing,
        Self::Dropped,
        Self::Refused,
        Self::NoStatus,
        Self::Extra,
    ];

    /// The label of its metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::NoStatus => "no_status",
            Self::Extra => "extra",
        }
    }

    /// What it means, for people.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Missing => {
                "a kind or a version of it is not defined in the cluster: it cannot be used"
            }
            Self::Dropped => {
                "fields are not defined in the cluster: what is applied loses them in silence"
            }
            Self::Refused => {
                "the definition in the cluster is stricter: it refuses what could be used"
            }
            Self::NoStatus => {
                "the definition in the cluster has no status: resources do not say what became of them"
            }
            Self::Extra => {
                "the definition in the cluster has fields that this operator does not know"
            }
        }
    }
}

/// How the definition `theirs` differs from `ours`, both as `spec` of a CustomResourceDefinition.
pub(super) fn compare(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Found {
        version: String::new(),
        without_status: false,
        differences: Vec::new(),
    };
    for version in versions(ours) {
        found.version = text(&version["name"]);
        let counterpart = versions(theirs).find(|it| it["name"] == version["name"]);
        match counterpart {
            Some(counterpart) if counterpart["served"] == true => {
                found.version(version, counterpart)
            }
            _ => found.add(Effect::Missing, "", "not served"),
        }
    }
    found.differences
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["versions"].as_array().into_iter().flatten()
}

struct Found {
    version: String,
    /// That the status has no subresource was told: nobody writes it, whatever its fields.
    without_status: bool,
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, effect: Effect, path: &str, what: &str) {
        let parts = [self.version.as_str(), path, what];
        let parts: Vec<_> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        let what = parts.join(" ");
        self.differences.push(Difference { effect, what });
    }

    fn version(&mut self, ours: &Value, theirs: &Value) {
        let status = |it: &Value| it["subresources"]["status"].is_object();
        let without_status = status(ours) && !status(theirs);
        if without_status {
            self.add(Effect::NoStatus, "", "");
        }
        self.without_status = without_status;
        self.node(
            &ours["schema"]["openAPIV3Schema"],
            &theirs["schema"]["openAPIV3Schema"],
            "",
        );
    }

    fn node(&mut self, ours: &Value, theirs: &Value, path: &str) {
        if theirs["x-kubernetes-preserve-unknown-fields"] == true && ours["properties"].is_null() {
            return;
        }
        for rule in ["type", "x-kubernetes-int-or-string"] {
            if ours[rule] != theirs[rule] && !accepts_anything(theirs) {
                return self.add(Effect::Refused, path, &format!("({rule})"));
            }
        }
        self.rules(ours, theirs, path);
        self.fields(ours, theirs, path);
        for (part, suffix) in [("items", "[]"), ("additionalProperties", ".*")] {
            if ours[part].is_object() && theirs[part].is_object() {
                self.node(&ours[part], &theirs[part], &format!("{path}{suffix}"));
            }
        }
    }

    fn rules(&mut self, ours: &Value, theirs: &Value, path: &str) {
        for rule in RULES {
            if !theirs[rule].is_null() && ours[rule] != theirs[rule] {
                self.add(Effect::Refused, path, &format!("({rule})"));
            }
        }
        if let Some(allowed) = theirs["enum"].as_array() {
            let refused = |value: &&Value| !allowed.contains(value);
            match ours["enum"].as_array() {
                Some(ours) if !ours.iter().any(|value| refused(&value)) => {}
                _ => self.add(Effect::Refused, path, "(enum)"),
            }
        }
        let required = |it: &Value| it["required"].as_array().cloned().unwrap_or_default();
        let of_ours = required(ours);
        for field in required(theirs) {
            if !of_ours.contains(&field) {
                let path = format!("{path}.{}", text(&field));
                self.add(Effect::Refused, &path, "(required)");
            }
        }
    }

    fn fields(&mut self, ours: &Value, theirs: &Value, path: &str) {
        let none = Map::new();
        let keeps = theirs["x-kubernetes-preserve-unknown-fields"] == true;
        let ours = ours["properties"].as_object().unwrap_or(&none);
        let theirs = theirs["properties"].as_object().unwrap_or(&none);
        for (name, ours) in ours {
            let path = format!("{path}.{name}");
            if path == ".status" && self.without_status {
                continue;
            }
            match theirs.get(name) {
                Some(theirs) => self.node(ours, theirs, &path),
                None if keeps => {}
                None => self.add(Effect::Dropped, &path, ""),
            }
        }
        for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
            self.add(Effect::Extra, &format!("{path}.{name}"), "");
        }
    }
}

fn accepts_anything(schema: &Value) -> bool {
    schema["type"].is_null() && schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
