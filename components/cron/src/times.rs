//! Times of the clock.

use jiff::{SignedDuration, Timestamp, ToSpan as _, Zoned, tz::TimeZone};

use crate::field::{Field, Unit};

/// How far into the future a time is looked for, in years, as upstream looks.
const YEARS: i16 = 5;

/// Times of the clock: seconds that every field wants. A time that a change of clocks leaves out does not happen, and one
/// that happens twice is one both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub(crate) second: Field,
    pub(crate) minute: Field,
    pub(crate) hour: Field,
    pub(crate) day_of_month: Field,
    pub(crate) month: Field,
    pub(crate) day_of_week: Field,
}

impl Times {
    /// The hour's beginning, each hour.
    pub(crate) fn hourly() -> Self {
        Self {
            second: Field::first(Unit::Second),
            minute: Field::first(Unit::Minute),
            hour: Field::all(Unit::Hour),
            day_of_month: Field::all(Unit::DayOfMonth),
            month: Field::all(Unit::Month),
            day_of_week: Field::all(Unit::DayOfWeek),
        }
    }

    /// The day's beginning, each day.
    pub(crate) fn daily() -> Self {
        Self {
            hour: Field::first(Unit::Hour),
            ..Self::hourly()
        }
    }

    /// The beginning of each Sunday.
    pub(crate) fn weekly() -> Self {
        Self {
            day_of_week: Field::first(Unit::DayOfWeek),
            ..Self::daily()
        }
    }

    /// The beginning of each month.
    pub(crate) fn monthly() -> Self {
        Self {
            day_of_month: Field::first(Unit::DayOfMonth),
            ..Self::daily()
        }
    }

    /// The beginning of each year.
    pub(crate) fn yearly() -> Self {
        Self {
            month: Field::first(Unit::Month),
            ..Self::monthly()
        }
    }

    /// The first time later than `after`, by the clocks of `zone`; none where there is none for five years.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let second = Timestamp::from_second(after.as_second()).ok()?;
        let mut time = second.checked_add(SignedDuration::from_secs(1)).ok()?;
        let last = time.to_zoned(zone.clone()).year().saturating_add(YEARS);
        loop {
            let clock = time.to_zoned(zone.clone());
            if clock.year() > last {
                return None;
            }
            match self.advanced(&clock)? {
                Some(later) if later > time => time = later,
                // A change of clocks must not lead back.
                Some(_) => time = time.checked_add(SignedDuration::from_hours(1)).ok()?,
                None => return Some(time),
            }
        }
    }

    /// The next time that may be wanted, as the largest unit that is not wanted goes on; the inner none if this one is
    /// wanted, the outer one at the end of time.
    fn advanced(&self, clock: &Zoned) -> Option<Option<Timestamp>> {
        let (second, minute) = (clock.second(), clock.minute());
        let later = if !self.month.wants(clock.month()) {
            let month = clock.first_of_month().ok()?.checked_add(1.month()).ok()?;
            month.start_of_day().ok()?.timestamp()
        } else if !self.wants_day(clock) {
            clock.tomorrow().ok()?.start_of_day().ok()?.timestamp()
        } else if !self.hour.wants(clock.hour()) {
            let left = 3600 - 60 * i64::from(minute) - i64::from(second);
            clock
                .timestamp()
                .checked_add(SignedDuration::from_secs(left))
                .ok()?
        } else if !self.minute.wants(minute) {
            let left = SignedDuration::from_secs(60 - i64::from(second));
            clock.timestamp().checked_add(left).ok()?
        } else if !self.second.wants(second) {
            clock
                .timestamp()
                .checked_add(SignedDuration::from_secs(1))
                .ok()?
        } else {
            return Some(None);
        };
        Some(Some(later))
    }

    /// As cron has it: where both fields of days name some, one of them is enough.
    fn wants_day(&self, clock: &Zoned) -> bool {
        let of_month = self.day_of_month.wants(clock.day());
        let of_week = self
            .day_of_week
            .wants(clock.weekday().to_sunday_zero_offset());
        match self.day_of_month.star || self.day_of_week.star {
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }
}
