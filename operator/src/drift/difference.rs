//! One difference between two definitions: what it does, and where it is.

use std::fmt::{self, Display, Formatter};

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
    /// Columns, short names or categories that kubectl could show or take.
    Hidden,
    /// Fields that this operator does not know, for instance of a newer version.
    Extra,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub effect: Effect,
    /// Of the definition; empty for what all versions share.
    pub version: String,
    pub path: Path,
    pub what: What,
}

/// What about the place differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Whether it is there.
    Itself,
    /// The whole definition is not there.
    Definition,
    /// The version is not served.
    NotServed,
    /// A rule for its values.
    Rule(&'static str),
    /// Whether it has to be there.
    Required,
    /// Whether fields that no schema names are kept.
    UnknownFields,
    /// A column, short name or category.
    Named(&'static str, String),
}

/// Where in a schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

/// One step into a schema, or into a value that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    /// Each item of a list.
    Items,
    /// The value of each key of a map.
    Values,
}

// === impl Effect ===

impl Effect {
    pub(crate) const ALL: [Self; 6] = [
        Self::Missing,
        Self::Dropped,
        Self::Refused,
        Self::NoStatus,
        Self::Hidden,
        Self::Extra,
    ];

    /// The label of its metric.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::NoStatus => "no_status",
            Self::Hidden => "hidden",
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
            Self::Hidden => {
                "the definition in the cluster lacks columns or names that kubectl could show or take"
            }
            Self::Extra => {
                "the definition in the cluster has fields that this operator does not know"
            }
        }
    }
}

// === impl Difference ===

impl Difference {
    /// That there is no definition.
    pub(super) fn no_definition() -> Self {
        Self {
            effect: Effect::Missing,
            version: String::new(),
            path: Path::default(),
            what: What::Definition,
        }
    }
}

/// Version, field and rule: `v1alpha1 .spec.metadata[].value (type)`.
impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = match &self.what {
            What::Itself => String::new(),
            What::Definition => "the whole definition".to_owned(),
            What::NotServed => "not served".to_owned(),
            What::Rule(rule) => format!("({rule})"),
            What::Required => "(required)".to_owned(),
            What::UnknownFields => "(unknown fields)".to_owned(),
            What::Named(kind, name) => format!("{kind} {name}"),
        };
        let parts = [self.version.clone(), self.path.to_string(), what];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        f.write_str(&parts.join(" "))
    }
}

// === impl Path ===

impl Path {
    /// The field of this name in it.
    pub(super) fn field(&self, name: &str) -> Self {
        self.step(Step::Field(name.to_owned()))
    }

    pub(super) fn step(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it is this field of the whole object.
    pub(super) fn is_top_field(&self, name: &str) -> bool {
        matches!(&self.0[..], [Step::Field(field)] if field == name)
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| match step {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Items => f.write_str("[]"),
            Step::Values => f.write_str(".*"),
        })
    }
}
