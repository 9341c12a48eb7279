//! The text of a schedule.

use std::time::Duration;

use trilby_go_syntax::parse_duration;

use crate::{
    field::{Field, Unit},
    times::Times,
};

/// The longest text of a schedule, in bytes.
const LONGEST: usize = 1024;
/// The shortest pause between two events.
const SHORTEST: Duration = Duration::from_millis(1);

/// A schedule, as it is written: five fields, or six with seconds first, or a descriptor such as `@hourly` or
/// `@every 5s`; before them, if at all, a time zone (`CRON_TZ=Asia/Tokyo`, or `TZ=`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The zone's name, where the schedule says one.
    pub zone: Option<String>,
    /// When there are events.
    pub rhythm: Rhythm,
}

/// When there are events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// After every pause of this length.
    Every(Duration),
    /// At times of the clock.
    At(Times),
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSpec(String);

impl Spec {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, InvalidSpec> {
        if text.len() > LONGEST {
            return Err(InvalidSpec(format!(
                "it is longer than {LONGEST} characters"
            )));
        }
        let written = text
            .strip_prefix("CRON_TZ=")
            .or_else(|| text.strip_prefix("TZ="));
        let (zone, rhythm) = match written {
            None => (None, text),
            Some(rest) => {
                let (zone, rhythm) = rest
                    .split_once(' ')
                    .ok_or_else(|| InvalidSpec("nothing follows its time zone".to_owned()))?;
                (Some(zone.to_owned()), rhythm.trim())
            }
        };
        let rhythm = match rhythm.strip_prefix('@') {
            Some(descriptor) => described(descriptor),
            None => times(rhythm).map(Rhythm::At),
        };
        let rhythm = rhythm.map_err(InvalidSpec)?;
        Ok(Self { zone, rhythm })
    }
}

fn described(descriptor: &str) -> Result<Rhythm, String> {
    if let Some(pause) = descriptor.strip_prefix("every ") {
        let parsed = parse_duration(pause).map_err(|error| format!("@every {pause}: {error}"))?;
        return match parsed {
            pause if pause >= SHORTEST => Ok(Rhythm::Every(pause)),
            _ => Err(format!("@every {pause} is less than {SHORTEST:?}")),
        };
    }
    Ok(Rhythm::At(match descriptor {
        "yearly" | "annually" => Times::yearly(),
        "monthly" => Times::monthly(),
        "weekly" => Times::weekly(),
        "daily" | "midnight" => Times::daily(),
        "hourly" => Times::hourly(),
        _ => return Err(format!("@{descriptor} is no descriptor of a schedule")),
    }))
}

fn times(text: &str) -> Result<Times, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match *fields {
        [second, ref rest @ ..] if fields.len() == 6 => (second, rest),
        _ => ("0", &*fields),
    };
    let [minute, hour, day_of_month, month, day_of_week] = *rest else {
        let found = fields.len();
        return Err(format!("expected 5 to 6 fields, found {found}"));
    };
    let field = |text: &str, unit: Unit| {
        Field::parse(text, unit).map_err(|error| format!("{} {text:?}: {error}", unit.name()))
    };
    Ok(Times {
        second: field(second, Unit::Second)?,
        minute: field(minute, Unit::Minute)?,
        hour: field(hour, Unit::Hour)?,
        day_of_month: field(day_of_month, Unit::DayOfMonth)?,
        month: field(month, Unit::Month)?,
        day_of_week: field(day_of_week, Unit::DayOfWeek)?,
    })
}

#[cfg(test)]
mod tests;
