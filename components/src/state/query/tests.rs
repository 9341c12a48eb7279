use super::{Comparison, Filter, Paging, Query, Scalar};

fn parse(text: &str) -> Query {
    Query::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    Query::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_whole_query_is_read() {
    let query = parse(
        r#"{"filter":{"OR":[{"EQ":{"person.org":"Dev Ops"}},
            {"AND":[{"GTE":{"n":9007199254740993}},{"IN":{"state":["CA",true,null]}}]}]},
            "sort":[{"key":"state","order":"DESC"},{"key":"person.id"}],
            "page":{"limit":3,"token":"6"}}"#,
    );
    let Some(Filter::Or(units)) = &query.filter else {
        panic!("{query:?}");
    };
    let Filter::Compare(Comparison::Equal, path, Scalar::Text(text)) = &units[0] else {
        panic!("{units:?}");
    };
    assert_eq!(
        (path.names(), text.as_str()),
        (&["person", "org"].map(String::from)[..], "Dev Ops")
    );
    let Filter::And(both) = &units[1] else {
        panic!("{units:?}");
    };
    let Filter::Compare(Comparison::GreaterOrEqual, _, Scalar::Number(number)) = &both[0] else {
        panic!("{both:?}");
    };
    assert_eq!(number.to_string(), "9007199254740993");
    let Filter::In(_, values) = &both[1] else {
        panic!("{both:?}");
    };
    let expected = [Scalar::Text("CA".into()), Scalar::Bool(true), Scalar::Null];
    assert_eq!(values, &expected);
    let sort: Vec<_> = query.sort.iter().map(|sort| sort.descending).collect();
    assert_eq!(sort, [true, false]);
    let token = Some("6".to_owned());
    assert_eq!(
        query.page,
        Paging {
            limit: Some(3),
            token
        }
    );
}

#[test]
fn what_is_not_said_is_not_asked() {
    for text in [
        "{}",
        "null",
        r#"{"filter":{},"sort":[],"page":{},"other":1}"#,
        r#"{"filter":null,"sort":null,"page":null}"#,
        r#"{"page":{"limit":0,"token":""}}"#,
        r#"{"page":{"limit":-1}}"#,
    ] {
        assert_eq!(parse(text), Query::default(), "{text}");
    }
    let upper =
        parse(r#"{"Filter":{"EQ":{"a":1}},"Page":{"Limit":1},"Sort":[{"Key":"a","order":"asc"}]}"#);
    assert!(upper.filter.is_some() && upper.page.limit == Some(1) && upper.sort.len() == 1);
}

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, expected) in [
        ("[]", "a query must be a map"),
        (r#"{"filter":[]}"#, "filter: filter unit must be a map"),
        (
            r#"{"filter":{"EQ":{"a":1},"NEQ":{"a":1}}}"#,
            "filter: filter unit must have a single element",
        ),
        (
            r#"{"filter":{"XX":{"a":1}}}"#,
            r#"filter.XX: unsupported filter "XX""#,
        ),
        (
            r#"{"filter":{"EQ":1}}"#,
            "filter.EQ: EQ filter must be a map",
        ),
        (
            r#"{"filter":{"LTE":{"a":1,"b":2}}}"#,
            "filter.LTE: LTE filter must contain a single key/value pair",
        ),
        (
            r#"{"filter":{"IN":{"a":1}}}"#,
            "filter.IN: IN filter value must be an array",
        ),
        (
            r#"{"filter":{"IN":{"a.b":[]}}}"#,
            r#"filter.IN: empty IN operator for key "a.b""#,
        ),
        (
            r#"{"filter":{"AND":[{"EQ":{"a":1}}]}}"#,
            "filter.AND: AND filter must contain at least two entries",
        ),
        (
            r#"{"filter":{"OR":{}}}"#,
            "filter.OR: OR filter must be an array",
        ),
        (
            r#"{"filter":{"OR":[{"EQ":{"a":1}},{"AND":[{"EQ":{"a":1}},{"EQ":{"a":[]}}]}]}}"#,
            "filter.OR[1].AND[1].EQ: a field is compared with a text, a number, true, false or null",
        ),
        (
            r#"{"filter":{"EQ":{"a..b":1}}}"#,
            r#"filter.EQ: the key "a..b" has an empty name between its dots"#,
        ),
        (r#"{"sort":{}}"#, "sort: it must be an array"),
        (r#"{"sort":[{"key":1}]}"#, "sort[0]: its key must be a text"),
        (
            r#"{"sort":[{"key":"a","order":"; DROP"}]}"#,
            r#"sort[0]: order "; DROP" is not ASC or DESC"#,
        ),
        (
            r#"{"page":{"limit":"3"}}"#,
            "page.limit: it must be a whole number",
        ),
        (r#"{"page":{"token":3}}"#, "page.token: it must be a text"),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    assert!(refusal("{").starts_with("EOF"), "{}", refusal("{"));
    assert!(refusal("").starts_with("EOF"), "{}", refusal(""));
}

#[test]
fn nothing_is_unbounded() {
    let nested = |depth: usize| {
        let (open, close) = (
            r#"{"AND":[{"EQ":{"a":1}},"#.repeat(depth),
            "]}".repeat(depth),
        );
        format!(r#"{{"filter":{open}{{"EQ":{{"a":1}}}}{close}}}"#)
    };
    assert!(parse(&nested(16)).filter.is_some());
    assert!(refusal(&nested(17)).ends_with("filters are nested more than 16 deep"));
    assert!(refusal(&nested(100_000)).contains("recursion limit"));
    let choice = |values: usize| {
        let values = vec!["1"; values].join(",");
        format!(r#"{{"filter":{{"IN":{{"a":[{values}]}}}}}}"#)
    };
    assert!(parse(&choice(1_000)).filter.is_some());
    assert!(refusal(&choice(1_001)).ends_with("at most 1000 comparisons"));
    let sorts = vec![r#"{"key":"a"}"#; 17].join(",");
    assert!(refusal(&format!(r#"{{"sort":[{sorts}]}}"#)).ends_with("at most 16 keys"));
    let key = vec!["a"; 33].join(".");
    assert!(
        refusal(&format!(r#"{{"filter":{{"EQ":{{"{key}":1}}}}}}"#)).ends_with("at most 32 names")
    );
}
