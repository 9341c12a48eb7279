use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{Rhythm, Spec};
use crate::zone::Zone;

fn every(text: &str) -> Duration {
    match Spec::parse(text).unwrap().rhythm {
        Rhythm::Every(pause) => pause,
        Rhythm::At(_) => panic!("{text} is no pause"),
    }
}

fn next(text: &str, after: &str, zone: &TimeZone) -> Option<String> {
    let Rhythm::At(times) = Spec::parse(text).unwrap().rhythm else {
        panic!("{text} is no time of the clock");
    };
    let after: Timestamp = after.parse().unwrap();
    times.next(after, zone).map(|next| next.to_string())
}

fn check(text: &str, after: &str, expected: &str) {
    let found = next(text, after, &TimeZone::UTC);
    assert_eq!(found.as_deref(), Some(expected), "{text} after {after}");
}

#[test]
fn five_fields_six_fields_and_descriptors() {
    check("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z");
    check(
        "15 * * * * *",
        "2026-01-01T00:00:15Z",
        "2026-01-01T00:01:15Z",
    );
    check(
        "*/10 * * * * *",
        "2026-01-01T00:00:09.5Z",
        "2026-01-01T00:00:10Z",
    );
    check(
        "30 8 * * mon-fri",
        "2026-01-02T09:00:00Z",
        "2026-01-05T08:30:00Z",
    );
    check(
        "0 0 29 feb *",
        "2026-01-01T00:00:00Z",
        "2028-02-29T00:00:00Z",
    );
    check("@hourly", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z");
    check("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    check("@midnight", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    check("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z");
    check("@monthly", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    check("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check("@annually", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
}

#[test]
fn one_of_both_fields_of_days_is_enough_unless_one_is_a_star() {
    // 2026-01-01 is a Thursday.
    check(
        "0 0 13 * fri",
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
    );
    check(
        "0 0 13 * fri",
        "2026-01-09T00:00:00Z",
        "2026-01-13T00:00:00Z",
    );
    check("0 0 13 * *", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z");
    check(
        "0 0 */2 * fri",
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
    );
}

#[test]
fn pauses() {
    assert_eq!(every("@every 1h30m"), Duration::from_secs(5400));
    assert_eq!(every("TZ=UTC @every 100ms"), Duration::from_millis(100));
}

#[test]
fn days_that_never_come_are_not_looked_for_without_end() {
    assert_eq!(
        next("0 0 30 2 *", "2026-01-01T00:00:00Z", &TimeZone::UTC),
        None
    );
    let last = Timestamp::MAX.to_string();
    assert_eq!(next("* * * * *", &last, &TimeZone::UTC), None);
}

#[test]
fn zones_are_named_before_the_rest() {
    for text in ["TZ=Asia/Tokyo @daily", "CRON_TZ=Asia/Tokyo   0 0 * * *"] {
        let spec = Spec::parse(text).unwrap();
        assert_eq!(spec.zone.as_deref(), Some("Asia/Tokyo"));
    }
    assert_eq!(Spec::parse("@daily").unwrap().zone, None);
}

#[tokio::test]
async fn clocks_that_change_leave_times_out_or_repeat_them() {
    let zone = Zone::named("Europe/Berlin").await.unwrap().clocks;
    let check = |text, after, expected: &str| {
        assert_eq!(
            next(text, after, &zone).as_deref(),
            Some(expected),
            "{text} after {after}"
        );
    };
    // On 2026-03-29 there is no 02:30.
    check("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z");
    check("0 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z");
    // On 2026-10-25 there are two.
    check("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z");
    check("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
    check("30 2 * * *", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z");
    // Where midnight itself is left out, the day begins at one.
    let zone = Zone::named("America/Asuncion").await.unwrap().clocks;
    let found = next("0 * 1 * *", "2023-10-01T03:59:59Z", &zone);
    assert_eq!(found.as_deref(), Some("2023-10-01T04:00:00Z"));
    assert_eq!(
        next("@monthly", "2023-09-15T12:00:00Z", &zone).as_deref(),
        Some("2023-11-01T03:00:00Z")
    );
}

#[test]
fn what_is_no_schedule_is_refused_and_named() {
    for (text, named) in [
        ("", "fields, found 0"),
        ("* * * *", "found 4"),
        ("* * * * * * *", "found 7"),
        ("61 * * * *", "minute"),
        ("* * * 13 *", "month"),
        ("@never", "@never"),
        ("@every", "@every"),
        ("@every 0s", "@every 0s"),
        ("@every -5s", "@every -5s"),
        ("@every soon", "soon"),
        ("TZ=UTC", "time zone"),
        ("CRON_TZ=", "time zone"),
        ("@Hourly", "@Hourly"),
    ] {
        let error = Spec::parse(text).unwrap_err().to_string();
        assert!(error.contains(named), "{text:?}: {error}");
    }
    assert!(Spec::parse(&"1,".repeat(1000)).is_err());
}
