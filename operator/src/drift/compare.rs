//! Which differences between two definitions matter, and to whom. Pure.

use serde_json::{Map, Value};

use super::difference::{Difference, Effect, Path, Step, What};

#[cfg(test)]
mod tests;

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

/// How the definition `theirs` differs from `ours`, both as `spec` of a CustomResourceDefinition.
pub(super) fn compare(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Found {
        version: String::new(),
        without_status: false,
        differences: Vec::new(),
    };
    found.names(&ours["names"], &theirs["names"]);
    for version in versions(ours) {
        found.version = text(&version["name"]);
        let counterpart = versions(theirs).find(|it| it["name"] == version["name"]);
        match counterpart {
            Some(counterpart) if counterpart["served"] == true => {
                found.version(version, counterpart)
            }
            _ => found.add(Effect::Missing, &Path::default(), What::NotServed),
        }
    }
    found.differences
}

/// The versions of a definition.
pub(super) fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["versions"].as_array().into_iter().flatten()
}

struct Found {
    version: String,
    /// That the status has no subresource was told: nobody writes it, whatever its fields.
    without_status: bool,
    differences: Vec<Difference>,
}

impl Found {
    fn add(&mut self, effect: Effect, path: &Path, what: What) {
        self.differences.push(Difference {
            effect,
            version: self.version.clone(),
            path: path.clone(),
            what,
        });
    }

    fn names(&mut self, ours: &Value, theirs: &Value) {
        for (list, one) in [("shortNames", "short name"), ("categories", "category")] {
            let known: Vec<_> = theirs[list].as_array().into_iter().flatten().collect();
            for name in ours[list].as_array().into_iter().flatten() {
                if !known.contains(&name) {
                    let what = What::Named(one, text(name));
                    self.add(Effect::Hidden, &Path::default(), what);
                }
            }
        }
    }

    fn version(&mut self, ours: &Value, theirs: &Value) {
        let status = |it: &Value| it["subresources"]["status"].is_object();
        let without_status = status(ours) && !status(theirs);
        if without_status {
            self.add(Effect::NoStatus, &Path::default(), What::Itself);
        }
        self.without_status = without_status;
        self.columns(ours, theirs);
        self.node(
            &ours["schema"]["openAPIV3Schema"],
            &theirs["schema"]["openAPIV3Schema"],
            &Path::default(),
        );
    }

    fn columns(&mut self, ours: &Value, theirs: &Value) {
        const COLUMNS: &str = "additionalPrinterColumns";
        let known: Vec<_> = theirs[COLUMNS].as_array().into_iter().flatten().collect();
        for column in ours[COLUMNS].as_array().into_iter().flatten() {
            let same = |it: &&Value| it["name"] == column["name"];
            if !known.iter().any(same) {
                let what = What::Named("column", text(&column["name"]));
                self.add(Effect::Hidden, &Path::default(), what);
            }
        }
    }

    fn node(&mut self, ours: &Value, theirs: &Value, path: &Path) {
        if keeps_unknown(theirs) && ours["properties"].is_null() {
            return;
        }
        for rule in ["type", "x-kubernetes-int-or-string"] {
            if ours[rule] != theirs[rule] && !accepts_anything(theirs) {
                return self.add(Effect::Refused, path, What::Rule(rule));
            }
        }
        if takes_any_field(ours) && !takes_any_field(theirs) {
            self.add(Effect::Dropped, path, What::UnknownFields);
        }
        self.rules(ours, theirs, path);
        self.fields(ours, theirs, path);
        for (part, step) in [
            ("items", Step::Items),
            ("additionalProperties", Step::Values),
        ] {
            if ours[part].is_object() && theirs[part].is_object() {
                self.node(&ours[part], &theirs[part], &path.step(step));
            }
        }
    }

    fn rules(&mut self, ours: &Value, theirs: &Value, path: &Path) {
        for rule in RULES {
            if !theirs[rule].is_null() && ours[rule] != theirs[rule] {
                self.add(Effect::Refused, path, What::Rule(rule));
            }
        }
        if let Some(allowed) = theirs["enum"].as_array() {
            let refused = |value: &&Value| !allowed.contains(value);
            match ours["enum"].as_array() {
                Some(ours) if !ours.iter().any(|value| refused(&value)) => {}
                _ => self.add(Effect::Refused, path, What::Rule("enum")),
            }
        }
        let required = |it: &Value| it["required"].as_array().cloned().unwrap_or_default();
        let of_ours = required(ours);
        for field in required(theirs) {
            if !of_ours.contains(&field) {
                let path = path.field(&text(&field));
                self.add(Effect::Refused, &path, What::Required);
            }
        }
    }

    fn fields(&mut self, ours: &Value, theirs: &Value, path: &Path) {
        let none = Map::new();
        let keeps = keeps_unknown(theirs);
        let ours = ours["properties"].as_object().unwrap_or(&none);
        let theirs = theirs["properties"].as_object().unwrap_or(&none);
        for (name, ours) in ours {
            let path = path.field(name);
            if path.is_top_field("status") && self.without_status {
                continue;
            }
            match theirs.get(name) {
                Some(theirs) => self.node(ours, theirs, &path),
                None if keeps => {}
                None => self.add(Effect::Dropped, &path, What::Itself),
            }
        }
        for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
            self.add(Effect::Extra, &path.field(name), What::Itself);
        }
    }
}

/// Whether fields that it does not name are kept.
pub(super) fn keeps_unknown(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn takes_any_field(schema: &Value) -> bool {
    let more = &schema["additionalProperties"];
    keeps_unknown(schema) || more.is_object() || *more == true
}

fn accepts_anything(schema: &Value) -> bool {
    schema["type"].is_null() && keeps_unknown(schema)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
