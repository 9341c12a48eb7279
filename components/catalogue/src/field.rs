//! One setting of a component.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trilby_go_syntax::parse_duration;

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The key in the component's metadata, which is compared in any case.
    pub name: String,
    /// Older spellings; they count where the key itself is not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether the component does not start without it. An empty value is none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What its value has to look like.
    #[serde(flatten)]
    pub kind: Kind,
    /// The value in force where none is given, if it is always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether the value is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Whether the component does what it says.
    #[serde(default, skip_serializing_if = "Effect::is_full")]
    pub effect: Effect,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// The form of a value, which is text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Kind {
    /// Any text.
    Text,
    /// `true`, `yes`, `on`, `y` or `1` in any case; everything else is no.
    Boolean,
    /// A whole number.
    Integer {
        /// The least.
        minimum: i64,
        /// The greatest.
        maximum: i64,
    },
    /// A number.
    Number,
    /// A Go duration (`1m30s`), or a whole number of units.
    Duration {
        /// What a bare number counts.
        unit: Unit,
        /// Whether a bare number may be negative, which is no limit.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        negative: bool,
    },
    /// Texts, separated by commas.
    List,
    /// One of a few words.
    Choice {
        /// The words.
        values: Vec<String>,
    },
}

/// What a bare number of a duration counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// What a setting does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// What it says.
    #[default]
    Full,
    /// Nothing: it is accepted because Dapr has it.
    None,
    /// A component that asks for it is refused: it is not there yet.
    Refused,
}

impl Effect {
    fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

impl Field {
    /// Whether a key, in any case, means this field.
    #[must_use]
    pub fn answers_to(&self, key: &str) -> bool {
        self.names().any(|name| name.eq_ignore_ascii_case(key))
    }

    /// Its name and aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name)
            .chain(&self.aliases)
            .map(String::as_str)
    }
}

impl Kind {
    /// Whether a value has this form. An empty one has: it is as if it were not given.
    ///
    /// # Errors
    /// What is expected. The value is not repeated: it may be a secret.
    pub fn check(&self, value: &str) -> Result<(), Cow<'static, str>> {
        let fits = match self {
            _ if value.is_empty() => true,
            Self::Text | Self::List | Self::Boolean => true,
            Self::Integer { minimum, maximum } => {
                let number = value.trim().parse::<i128>();
                number.is_ok_and(|number| {
                    (i128::from(*minimum)..=i128::from(*maximum)).contains(&number)
                })
            }
            Self::Number => value.trim().parse::<f64>().is_ok(),
            Self::Duration { negative: true, .. } if value.parse::<i64>().is_ok() => true,
            Self::Duration { .. } => value.parse::<u64>().is_ok() || parse_duration(value).is_ok(),
            Self::Choice { values } => values.iter().any(|one| one == value),
        };
        match fits {
            true => Ok(()),
            false => Err(self.expected()),
        }
    }

    /// What a value has to look like, in words.
    #[must_use]
    pub fn expected(&self) -> Cow<'static, str> {
        match self {
            Self::Text => "any text".into(),
            Self::Boolean => "true or false".into(),
            Self::Integer { minimum, maximum } => integer(*minimum, *maximum),
            Self::Number => "a number".into(),
            Self::Duration { unit, .. } => {
                let unit = match unit {
                    Unit::Seconds => "seconds",
                    Unit::Milliseconds => "milliseconds",
                };
                format!("a duration like 1m30s, or a number of {unit}").into()
            }
            Self::List => "texts separated by commas".into(),
            Self::Choice { values } => format!("one of {}", values.join(", ")).into(),
        }
    }
}

/// The limits of machine words are not worth a word.
fn integer(minimum: i64, maximum: i64) -> Cow<'static, str> {
    match (minimum, maximum) {
        (0, ..) if maximum >= i64::from(u32::MAX) => "a whole number, not negative".into(),
        (minimum, _) if minimum <= i64::from(i32::MIN) => "a whole number".into(),
        (minimum, maximum) => format!("a whole number from {minimum} to {maximum}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Unit};

    const PORT: Kind = Kind::Integer {
        minimum: 0,
        maximum: 65_535,
    };

    fn duration(negative: bool) -> Kind {
        let unit = Unit::Seconds;
        Kind::Duration { unit, negative }
    }

    #[test]
    fn a_value_has_the_form_of_its_kind() {
        let choice = Kind::Choice {
            values: vec!["node".into(), "cluster".into()],
        };
        for (kind, good, bad) in [
            (&Kind::Text, "x", None),
            (&Kind::Boolean, "maybe", None),
            (&PORT, " 6379", Some("65536")),
            (&Kind::Number, "1.5", Some("one")),
            (&duration(false), "90", Some("-1")),
            (&duration(false), "1m30s", Some("90 s")),
            (&duration(true), "-1", Some("-1s")),
            (&choice, "node", Some("Node")),
        ] {
            assert_eq!(kind.check(good), Ok(()), "{kind:?} {good}");
            assert_eq!(kind.check(""), Ok(()), "{kind:?}");
            if let Some(bad) = bad {
                let refused = kind.check(bad).unwrap_err();
                assert!(!refused.contains(bad), "{refused}");
            }
        }
    }

    #[test]
    fn what_is_expected_is_said_in_words() {
        assert_eq!(PORT.expected(), "a whole number from 0 to 65535");
        let any = Kind::Integer {
            minimum: i64::MIN,
            maximum: i64::MAX,
        };
        assert_eq!(any.expected(), "a whole number");
    }
}
