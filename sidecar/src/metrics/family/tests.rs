use super::super::definition::{Definition, few, many};
use super::super::labels::values;
use super::super::value::{Bounds, Counter};
use super::{Family, SPARE};
use crate::metrics::rules::Rules;

static REQUESTS: Definition = Definition::counter(
    "requests",
    "",
    &[few("method"), many("path"), few("status")],
)
.limit(3);

fn family() -> Family<Counter> {
    Family::new(&REQUESTS, Rules::default(), Bounds::default())
}

fn shown(family: &Family<Counter>) -> Vec<(Vec<String>, u64)> {
    let series = (0..).map_while(|index| family.at(index));
    series
        .map(|series| {
            (
                values(series.key()).map(str::to_owned).collect(),
                series.get(),
            )
        })
        .collect()
}

fn count(family: &Family<Counter>, labels: [&str; 3]) {
    family.record(&labels, Counter::inc);
}

#[test]
fn labels_make_series() {
    let family = family();
    for path in ["/a", "/b", "/a"] {
        count(&family, ["GET", path, "200"]);
    }
    let series = shown(&family);
    assert_eq!(
        series[0],
        (vec!["GET".into(), "/a".into(), "200".into()], 2)
    );
    assert_eq!(series[1].1, 1);
    assert_eq!(family.overflowed(), 0);
}

#[test]
fn what_is_one_too_many_counts_as_other_and_keeps_its_other_labels() {
    let family = family();
    for path in ["/a", "/b", "/c", "/d", "/e", "/a"] {
        count(&family, ["GET", path, "200"]);
    }
    count(&family, ["POST", "/f", "500"]);
    let series = shown(&family);
    assert_eq!(series.len(), 5);
    assert_eq!(series[0].1, 2);
    assert_eq!(
        series[3],
        (vec!["GET".into(), "other".into(), "200".into()], 2)
    );
    assert_eq!(
        series[4],
        (vec!["POST".into(), "other".into(), "500".into()], 1)
    );
    assert_eq!(family.overflowed(), 3);
}

#[test]
fn what_cannot_be_shown_counts_as_other() {
    let family = family();
    let long = "x".repeat(300);
    for path in [long.as_str(), "caf\u{e9}", "a\nb"] {
        count(&family, ["GET", path, "200"]);
    }
    assert_eq!(
        shown(&family),
        [(vec!["GET".into(), "other".into(), "200".into()], 3)]
    );
}

#[test]
fn labels_that_should_have_few_values_are_bounded_as_well() {
    let family = family();
    for status in 0..10_000 {
        count(&family, ["GET", "/", &status.to_string()]);
    }
    let series = shown(&family);
    assert!(series.len() <= 3 + SPARE + 1, "{}", series.len());
    let total: u64 = series.iter().map(|(_, count)| count).sum();
    assert_eq!(total, 10_000);
}
