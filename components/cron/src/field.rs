//! One field of a schedule: which values of a unit of time it wants.

use std::ops::RangeInclusive;

/// A unit of time that a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Unit {
    /// All its values.
    pub(crate) fn range(self) -> RangeInclusive<u32> {
        match self {
            Self::Second | Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::DayOfWeek => 0..=6,
        }
    }

    /// What it is called in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        }
    }

    /// Names of its values, the first for the first one.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => MONTHS,
            Self::DayOfWeek => DAYS,
            _ => &[],
        }
    }

    fn value(self, text: &str) -> Result<u32, String> {
        let mut names = self.names().iter().zip(self.range());
        let named = names.find(|(name, _)| name.eq_ignore_ascii_case(text));
        if let Some((_, value)) = named {
            return Ok(value);
        }
        number(text)
    }
}

/// The values that a field wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// A bit each.
    wanted: u64,
    /// Whether it says all of them with a star: then a day has to be wanted by the other field of days.
    pub(crate) star: bool,
}

impl Field {
    /// All values.
    pub(crate) fn all(unit: Unit) -> Self {
        Self {
            wanted: bits(unit.range(), 1),
            star: true,
        }
    }

    /// The first value alone.
    pub(crate) fn first(unit: Unit) -> Self {
        let first = *unit.range().start();
        Self {
            wanted: bits(first..=first, 1),
            star: false,
        }
    }

    /// Reads a list of ranges, each with a step or without.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, unit: Unit) -> Result<Self, String> {
        let mut field = Self {
            wanted: 0,
            star: false,
        };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let part = Self::part(part, unit)?;
            field.wanted |= part.wanted;
            field.star |= part.star;
        }
        match field.wanted {
            0 => Err("it names no value".to_owned()),
            _ => Ok(field),
        }
    }

    fn part(text: &str, unit: Unit) -> Result<Self, String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (text, None),
        };
        let (all, star) = (unit.range(), matches!(range, "*" | "?"));
        let range = match range.split_once('-') {
            _ if star => all.clone(),
            Some((low, high)) => unit.value(low)?..=unit.value(high)?,
            // With a step, a single value is where a range begins.
            None if step.is_some() => unit.value(range)?..=*all.end(),
            None => unit.value(range)?..=unit.value(range)?,
        };
        let (low, high) = (*range.start(), *range.end());
        if !all.contains(&low) || !all.contains(&high) {
            return Err(format!(
                "{text} is not within {}-{}",
                all.start(),
                all.end()
            ));
        }
        if low > high {
            return Err(format!("{text} begins after its end"));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("the step of {text} is 0"));
        }
        Ok(Self {
            wanted: bits(range, step),
            star: star && step == 1,
        })
    }

    /// Whether it wants that value.
    pub(crate) fn wants(self, value: i8) -> bool {
        let value = u32::try_from(value).ok();
        value.is_some_and(|value| self.wanted & 1_u64.checked_shl(value).unwrap_or(0) != 0)
    }
}

fn bits(range: RangeInclusive<u32>, step: u32) -> u64 {
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    range
        .step_by(step)
        .fold(0, |bits, value| bits | 1_u64 << value)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number that can stand here"))
}

#[cfg(test)]
mod tests {
    use super::{Field, Unit};

    fn wanted(text: &str, unit: Unit) -> Vec<i8> {
        let field = Field::parse(text, unit).unwrap();
        (0..64).filter(|value| field.wants(*value)).collect()
    }

    #[test]
    fn values_ranges_steps_and_names_add_up() {
        assert_eq!(wanted("5", Unit::Minute), [5]);
        assert_eq!(wanted("1,3-5,,9", Unit::Hour), [1, 3, 4, 5, 9]);
        assert_eq!(wanted("*/20", Unit::Second), [0, 20, 40]);
        assert_eq!(wanted("50/4", Unit::Minute), [50, 54, 58]);
        assert_eq!(wanted("10-20/5", Unit::Minute), [10, 15, 20]);
        assert_eq!(wanted("Jan-mar,DEC", Unit::Month), [1, 2, 3, 12]);
        assert_eq!(wanted("sun,SAT", Unit::DayOfWeek), [0, 6]);
        assert_eq!(wanted("?", Unit::DayOfWeek), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(wanted("*/4294967295", Unit::Hour), [0]);
    }

    #[test]
    fn only_a_star_without_a_step_is_all() {
        for (text, star) in [("*", true), ("?", true), ("*/1", true), ("*/2", false)] {
            assert_eq!(Field::parse(text, Unit::Hour).unwrap().star, star, "{text}");
        }
        assert!(!Field::parse("0-23", Unit::Hour).unwrap().star);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, unit) in [
            ("", Unit::Hour),
            (",", Unit::Hour),
            ("24", Unit::Hour),
            ("0", Unit::DayOfMonth),
            ("7", Unit::DayOfWeek),
            ("5-3", Unit::Hour),
            ("1-2-3", Unit::Hour),
            ("1/2/3", Unit::Hour),
            ("*/0", Unit::Hour),
            ("*-5", Unit::Hour),
            ("-1", Unit::Hour),
            ("jan", Unit::Hour),
            ("1/", Unit::Hour),
            ("99999999999", Unit::Hour),
            ("L", Unit::DayOfMonth),
        ] {
            assert!(Field::parse(text, unit).is_err(), "{text}");
        }
    }
}
