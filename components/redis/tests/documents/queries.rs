//! What indexes find.

use trilby_components::conformance::state::calls::{self, Store};
use trilby_components::state::{QueryPage, StateError};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::redis::Redis;

use super::{create, json, metadata, setting};

const FIELDS: [(&str, &str); 3] = [("text", "TEXT"), ("tag", "TAG"), ("n", "NUMERIC")];

async fn query(store: &Store, index: &str, text: &str) -> Result<QueryPage, StateError> {
    let metadata = metadata("queryIndexName", index);
    calls::query(&**store, "app||", text, metadata).await
}

async fn found(store: &Store, text: &str) -> Vec<String> {
    let page = query(store, "i", text).await.unwrap();
    page.matches.into_iter().map(|found| found.key).collect()
}

/// Words that the module leaves out, what separates words to it, what its language is made of, and what it takes for
/// numbers.
const AWKWARD: &[&str] = &[
    "",
    " ",
    "OR",
    "or",
    "the",
    "to be or not to be",
    "inf",
    "nan",
    "1e5",
    "12abc",
    "a_b",
    "_",
    "x y",
    " x ",
    "x\ty",
    "x\ny",
    "\\",
    "a\\b",
    "a\\ b",
    "Straße",
    "ÄÖ äö",
    "日本語 text",
    "e\u{301}",
    "@var0:{x}",
    "*",
    "-x",
    "x|y",
    "(x",
    "x)",
    "{x}",
    "[1 2]",
    "\"x\"",
    "'",
    "~x",
    "%%x%%",
    "$x",
    "x=>{}",
    "a.b@c.d",
    "true",
    "null",
    "ismissing(x)",
    "running",
    "run",
    "X",
    "x",
    "don't",
    "a/b",
    "a,b",
    "\u{0}x",
    "x\u{7f}",
];

#[tokio::test]
async fn every_text_is_found_by_itself() {
    let redis = Redis::with_modules().await;
    let indexes = setting("i", &FIELDS);
    let store = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    let mut texts: Vec<String> = AWKWARD.iter().map(ToString::to_string).collect();
    texts.extend((b'!'..=b'~').map(|sign| format!("left{0}right {0} {0}end", char::from(sign))));
    texts.push("word ".repeat(100));
    texts.push("w".repeat(1_000));
    for (number, text) in texts.iter().enumerate() {
        let document = serde_json::json!({"text": text, "tag": text, "n": number});
        let key = format!("app||{number:03}");
        store.set(json(&key, document.to_string())).await.unwrap();
    }
    for field in ["text", "tag"] {
        for text in &texts {
            let expected = texts.iter().enumerate().filter(|(_, other)| *other == text);
            let expected: Vec<String> = expected.map(|(at, _)| format!("app||{at:03}")).collect();
            let filter =
                serde_json::json!({"filter": {"EQ": {field: text}}, "sort": [{"key": "n"}]});
            assert_eq!(
                found(&store, &filter.to_string()).await,
                expected,
                "{field} {text:?}"
            );
        }
    }
}

#[tokio::test]
async fn all_pages_are_all_there_is() {
    let redis = Redis::with_modules().await;
    let indexes = setting("i", &FIELDS);
    let store = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    // More than are asked for at once, and those of another application between them.
    for number in 0..700 {
        for application in ["app", "other"] {
            let document = format!(r#"{{"n":{number}}}"#);
            let key = format!("{application}||{number}");
            store.set(json(&key, document)).await.unwrap();
        }
    }
    assert_eq!(found(&store, "{}").await.len(), 700);
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let text = format!(
            r#"{{"filter":{{"LT":{{"n":690}}}},"sort":[{{"key":"n"}}],"page":{{"limit":200,"token":"{token}"}}}}"#
        );
        let page = query(&store, "i", &text).await.unwrap();
        if page.matches.is_empty() {
            break;
        }
        assert!(page.matches.len() <= 200);
        seen.extend(page.matches.into_iter().map(|found| found.key));
        token = page.token.unwrap();
    }
    let expected: Vec<String> = (0..690).map(|number| format!("app||{number}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let redis = Redis::with_modules().await;
    let indexes = setting("i", &FIELDS);
    let store = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    for (index, text, words) in [
        ("", "{}", "query index not found"),
        ("j", "{}", "query index schema \"j\" not found"),
        (
            "i",
            r#"{"sort":[{"key":"other"}]}"#,
            "\"other\" is not indexed",
        ),
        (
            "i",
            r#"{"sort":[{"key":"n"},{"key":"tag"}]}"#,
            "multiple SORTBY",
        ),
    ] {
        let refused = query(&store, index, text).await;
        assert!(
            matches!(&refused, Err(StateError::InvalidRequest(reason)) if reason.contains(words)),
            "{refused:?}"
        );
    }
}

/// Upstream takes it away from all others with each start.
#[tokio::test]
async fn an_index_stays_while_it_is_the_same() {
    let redis = Redis::with_modules().await;
    let name =
        |alias: &str| redis.command(&["FT.SEARCH", "i", &format!("@{alias}:[1 1]"), "NOCONTENT"]);
    let indexes = setting("i", &FIELDS);
    let store = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    store.set(json("app||1", r#"{"n":1}"#)).await.unwrap();
    assert_eq!(name("var2"), "1\napp||1");
    // It marks the index: nobody who makes one anew would keep it.
    redis.command(&["FT.ALIASADD", "mark", "i"]);
    let again = create(&redis, &[("queryIndexes", &indexes)]).await.unwrap();
    assert_eq!(
        redis.command(&["FT.SEARCH", "mark", "*", "NOCONTENT"]),
        "1\napp||1"
    );
    assert_eq!(found(&again, "{}").await, ["app||1"]);
    let other = setting("i", &[("n", "NUMERIC")]);
    create(&redis, &[("queryIndexes", &other)]).await.unwrap();
    eventually("the new index has the document", async || {
        match name("var0").as_str() {
            "1\napp||1" => Ok(()),
            answer => Err(answer.to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn indexes_that_cannot_be_are_refused() {
    let redis = Redis::start().await;
    let indexes = setting("i", &FIELDS);
    for (extra, words) in [
        (vec![("queryIndexes", indexes.as_str())], "lacks the module"),
        (vec![("queryIndexes", "[{}]")], "empty query schema name"),
        (
            vec![("queryIndexes", &indexes), ("redisDB", "1")],
            "database 0",
        ),
        (
            vec![("queryIndexes", &indexes), ("redisType", "cluster")],
            "cluster",
        ),
    ] {
        let error = create(&redis, &extra).await.err().expect("it is refused");
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
