//! Whether a document says what a filter asks for, for stores whose own answer is less exact.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Comparison, Filter, Path, Scalar};

/// No whole number of JSON is further from zero.
const FARTHEST: f64 = 1e20;

impl Filter {
    /// Whether the document fits. A list compares as any of its members does, and differs as all of them do.
    #[must_use]
    pub fn fits(&self, document: &Value) -> bool {
        match self {
            Self::Compare(comparison, path, wanted) => {
                let found = path.find(document);
                found.is_some_and(|found| compares(*comparison, found, wanted))
            }
            Self::In(path, values) => path.find(document).is_some_and(|found| {
                let mut values = values.iter();
                values.any(|wanted| compares(Comparison::Equal, found, wanted))
            }),
            Self::And(filters) => filters.iter().all(|filter| filter.fits(document)),
            Self::Or(filters) => filters.iter().any(|filter| filter.fits(document)),
        }
    }
}

impl Path {
    fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let mut names = self.names().iter();
        names.try_fold(document, |within, name| within.as_object()?.get(name))
    }
}

fn compares(comparison: Comparison, found: &Value, wanted: &Scalar) -> bool {
    if comparison == Comparison::NotEqual {
        return !compares(Comparison::Equal, found, wanted);
    }
    match found {
        Value::Array(members) => members
            .iter()
            .any(|member| member_compares(comparison, member, wanted)),
        found => member_compares(comparison, found, wanted),
    }
}

fn member_compares(comparison: Comparison, found: &Value, wanted: &Scalar) -> bool {
    match (found, wanted) {
        (Value::Number(found), Scalar::Number(wanted)) => {
            let order = order(found, wanted);
            order.is_some_and(|order| match comparison {
                Comparison::Equal => order.is_eq(),
                Comparison::NotEqual => order.is_ne(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
            })
        }
        _ if comparison.is_ordered() => false,
        (Value::String(found), Scalar::Text(wanted)) => found == wanted,
        (Value::Bool(found), Scalar::Bool(wanted)) => found == wanted,
        (Value::Null, Scalar::Null) => true,
        _ => false,
    }
}

/// Exact, also where a number of the machine is not.
fn order(one: &Number, other: &Number) -> Option<Ordering> {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(one), None) => Some(against(one, other.as_f64()?)),
        (None, Some(other)) => Some(against(other, one.as_f64()?).reverse()),
        (None, None) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

fn against(whole: i128, float: f64) -> Ordering {
    if float.abs() >= FARTHEST {
        return 0.0_f64.total_cmp(&float);
    }
    let below = float.floor();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and not that far from zero"
    )]
    let order = whole.cmp(&(below as i128));
    match order {
        Ordering::Equal if float > below => Ordering::Less,
        order => order,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Query;

    fn fits(filter: serde_json::Value, document: &serde_json::Value) -> bool {
        let query = json!({ "filter": filter }).to_string();
        let filter = Query::parse(query.as_bytes()).unwrap().filter;
        filter.expect("there is one").fits(document)
    }

    #[test]
    fn fields_compare_with_values_of_their_kind() {
        let document = json!({"a": {"b": "x"}, "n": 5, "t": true, "z": null, "l": [1, "y"]});
        for (filter, expected) in [
            (json!({"EQ": {"a.b": "x"}}), true),
            (json!({"EQ": {"a.b": "X"}}), false),
            (json!({"NEQ": {"a.b": "y"}}), true),
            (json!({"NEQ": {"a.c": "y"}}), false),
            (json!({"EQ": {"n": "5"}}), false),
            (json!({"EQ": {"n": 5.0}}), true),
            (json!({"EQ": {"t": true}}), true),
            (json!({"EQ": {"z": null}}), true),
            (json!({"EQ": {"y": null}}), false),
            (json!({"GT": {"a.b": 1}}), false),
            (json!({"IN": {"l": ["z", "y"]}}), true),
            (json!({"NEQ": {"l": 1}}), false),
            (json!({"GTE": {"l": 1}}), true),
            (json!({"EQ": {"l.b": 1}}), false),
            (json!({"AND": [{"EQ": {"n": 5}}, {"LT": {"n": 5}}]}), false),
            (json!({"OR": [{"EQ": {"n": 6}}, {"LTE": {"n": 5}}]}), true),
        ] {
            assert_eq!(fits(filter.clone(), &document), expected, "{filter}");
        }
    }

    #[test]
    fn numbers_compare_exactly() {
        for (number, greater_than, expected) in [
            (
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992_u64),
                true,
            ),
            (
                json!(9_007_199_254_740_993_u64),
                json!(9_007_199_254_740_992.0),
                true,
            ),
            (
                json!(9_007_199_254_740_992.0),
                json!(9_007_199_254_740_993_u64),
                false,
            ),
            (json!(u64::MAX), json!(i64::MIN), true),
            (json!(-1), json!(-1.5), true),
            (json!(1.5), json!(1), true),
            (json!(1), json!(1e300), false),
            (json!(1), json!(-1e300), true),
        ] {
            let filter = json!({"GT": {"n": greater_than}});
            assert_eq!(
                fits(filter.clone(), &json!({ "n": number })),
                expected,
                "{number} {filter}"
            );
        }
    }
}
