//! Queries as messages. A filter is its JSON text, which the component reads.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use trilby_components::state::{
    Filter, Match, Path, Query, QueryPage, QueryRequest, Scalar, StateError,
};
use trilby_proto::components::v1::{
    Pagination, Query as Message, QueryItem, QueryRequest as Request, QueryResponse, Sorting,
    sorting::Order,
};

use super::wire::item;

/// What separates the parts of a key.
const SEPARATOR: &str = "||";

/// The prefix that answers have to have, and the message.
pub(super) fn request(request: QueryRequest) -> (String, Request) {
    let Query { filter, sort, page } = request.query;
    let sort = sort.into_iter().map(|sort| Sorting {
        key: dotted(&sort.path),
        order: match sort.descending {
            true => Order::Desc.into(),
            false => Order::Asc.into(),
        },
    });
    let query = Message {
        filter: filter.as_ref().map(units).unwrap_or_default(),
        sort: sort.collect(),
        pagination: Some(Pagination {
            limit: page.limit.unwrap_or_default().into(),
            token: page.token.unwrap_or_default(),
        }),
    };
    let message = Request {
        query: Some(query),
        metadata: request.metadata.into_iter().collect(),
    };
    (request.prefix, message)
}

/// The one element of the outermost filter, its operand as JSON.
fn units(filter: &Filter) -> HashMap<String, prost_types::Any> {
    let (name, operand) = unit(filter);
    let value = prost_types::Any {
        type_url: String::new(),
        value: operand.to_string().into_bytes(),
    };
    HashMap::from([(name.to_owned(), value)])
}

/// A filter's name and operand. It is as deep as the parser of queries lets it be.
fn unit(filter: &Filter) -> (&'static str, Value) {
    let all = |filters: &[Filter]| {
        let units = filters.iter().map(unit);
        units
            .map(|(name, operand)| json!({ name: operand }))
            .collect()
    };
    match filter {
        Filter::Compare(comparison, path, value) => (comparison.name(), field(path, scalar(value))),
        Filter::In(path, values) => ("IN", field(path, values.iter().map(scalar).collect())),
        Filter::And(filters) => ("AND", all(filters)),
        Filter::Or(filters) => ("OR", all(filters)),
    }
}

fn field(path: &Path, value: Value) -> Value {
    Value::Object(Map::from_iter([(dotted(path), value)]))
}

fn dotted(path: &Path) -> String {
    path.names().join(".")
}

fn scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Number(number) => Value::Number(number.clone()),
        Scalar::Text(text) => Value::String(text.clone()),
    }
}

/// What was found of the application's own. The message cannot say whose keys are asked for, so a component answers with
/// those of everybody.
pub(super) fn page(prefix: &str, answer: QueryResponse) -> QueryPage {
    let ours = |found: &QueryItem| {
        let rest = found.key.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.contains(SEPARATOR))
    };
    let items = answer.items.into_iter().filter(ours);
    QueryPage {
        matches: items.map(found).collect(),
        token: (!answer.token.is_empty()).then_some(answer.token),
    }
}

fn found(found: QueryItem) -> Match {
    let QueryItem {
        key,
        data,
        etag,
        error,
        ..
    } = found;
    let nothing = || StateError::Store("the component found a key without a value".to_owned());
    let item = match error.is_empty() {
        true => item(data, etag, &HashMap::new()).ok_or_else(nothing),
        false => Err(StateError::Store(error)),
    };
    Match { key, item }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};
    use trilby_components::state::{Query, QueryRequest, StateError};
    use trilby_proto::components::v1::{QueryItem, QueryResponse};

    use super::{page, request};

    fn asked(text: &str) -> super::Message {
        let query = Query::parse(text.as_bytes()).expect("it is a query");
        let (prefix, message) = request(QueryRequest {
            query,
            prefix: "app||".to_owned(),
            metadata: [].into(),
        });
        assert_eq!(prefix, "app||");
        message.query.expect("there is one")
    }

    #[test]
    fn a_filter_travels_as_its_json() {
        let text = r#"{"OR":[{"EQ":{"a.b":9007199254740993}},{"AND":[{"IN":{"c":["x",null]}},{"GT":{"d":1.5}}]}]}"#;
        let query = asked(&format!(r#"{{"filter":{text}}}"#));
        let filter: Vec<_> = query.filter.into_iter().collect();
        let [(name, operand)] = filter.as_slice() else {
            panic!("{filter:?}");
        };
        let operand: Value = serde_json::from_slice(&operand.value).expect("it is JSON");
        let whole: Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(json!({ name: operand }), whole);
    }

    #[test]
    fn order_and_page_travel_beside_it() {
        let query = asked(
            r#"{"sort":[{"key":"a.b","order":"DESC"},{"key":"c"}],"page":{"limit":3,"token":"t"}}"#,
        );
        let sort: Vec<_> = query
            .sort
            .iter()
            .map(|one| (&*one.key, one.order))
            .collect();
        assert_eq!(sort, [("a.b", 1), ("c", 0)]);
        let page = query.pagination.expect("there is one");
        assert_eq!((page.limit, page.token.as_str()), (3, "t"));
        assert!(query.filter.is_empty());
    }

    #[test]
    fn keys_of_other_applications_are_not_shown() {
        let found = |key: &str, error: &str| QueryItem {
            key: key.to_owned(),
            data: Bytes::from_static(b"1"),
            error: error.to_owned(),
            ..QueryItem::default()
        };
        let items = vec![
            found("app||a", ""),
            found("other||b", ""),
            found("app||actor||c", ""),
            found("app||d", "broken"),
        ];
        let answer = QueryResponse {
            items,
            token: "next".to_owned(),
            ..QueryResponse::default()
        };
        let page = page("app||", answer);
        let keys: Vec<_> = page.matches.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["app||a", "app||d"]);
        let broken = StateError::Store("broken".to_owned());
        assert_eq!(page.matches[1].item, Err(broken));
        assert_eq!(page.token.as_deref(), Some("next"));
    }
}
