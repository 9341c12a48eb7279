//! `bindings.mysql` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::servers::mariadb::{Mariadb, USER};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

type Output = Arc<dyn OutputBinding>;

async fn create(address: SocketAddr, rest: &str) -> Result<Output, CreateError> {
    let url = format!("{USER}@tcp({address})/{rest}");
    let metadata = Metadata::new([("url", url)]).unwrap();
    let registry = Registry::default().with(trilby_components_mysql::backends());
    let context = ComponentContext::default();
    let created = registry.create("bindings.mysql", "v1", context, metadata);
    match timeout(PATIENCE, created).await.expect("it ends")? {
        Instance::Binding(binding) => Ok(binding.output.unwrap()),
        other => panic!("not a binding: {other:?}"),
    }
}

/// A server with the database `shop`, and a binding to it.
async fn start() -> (Mariadb, Output) {
    let mariadb = Mariadb::start().await;
    mariadb.sql("CREATE DATABASE shop");
    let binding = create(mariadb.address(), "shop?parseTime=true").await;
    (mariadb, binding.expect("mariadb runs"))
}

async fn ask(
    binding: &Output,
    operation: &str,
    sql: &str,
    params: &Value,
) -> Result<Reply, BindingError> {
    let metadata = [("sql", sql.to_owned()), ("params", params.to_string())];
    let metadata = metadata.into_iter();
    let invocation = Invocation {
        operation: operation.to_owned(),
        metadata: metadata.map(|(k, v)| (k.to_owned(), v)).collect(),
        ..Invocation::default()
    };
    let asked = binding.invoke(invocation);
    timeout(PATIENCE, asked).await.expect("it ends")
}

async fn exec(binding: &Output, sql: &str, params: Value) -> String {
    let reply = ask(binding, "exec", sql, &params).await;
    let reply = reply.unwrap_or_else(|error| panic!("{sql}: {error}"));
    reply.metadata["rows-affected"].clone()
}

async fn query(binding: &Output, sql: &str, params: Value) -> Value {
    let reply = ask(binding, "query", sql, &params).await;
    let reply = reply.unwrap_or_else(|error| panic!("{sql}: {error}"));
    serde_json::from_slice(&reply.data.unwrap()).unwrap()
}

#[tokio::test]
async fn statements_are_carried_out() {
    let (_mariadb, binding) = start().await;
    exec(&binding, "CREATE TABLE a (n int, t varchar(9))", json!([])).await;
    let insert = "INSERT INTO a VALUES (?, ?), (?, ?)";
    assert_eq!(
        exec(&binding, insert, json!([1, "it's", 2.0, null])).await,
        "2"
    );
    let rows = query(&binding, "SELECT * FROM a ORDER BY n LIMIT ?", json!([10])).await;
    assert_eq!(rows, json!([{"n": 1, "t": "it's"}, {"n": 2}]));
    assert_eq!(
        query(&binding, "SELECT * FROM a WHERE false", json!([])).await,
        Value::Null
    );
    let odd = ask(&binding, "query", "SELECT ?", &json!([[1]])).await;
    assert!(
        matches!(odd, Err(BindingError::InvalidRequest(_))),
        "{odd:?}"
    );
    let syntax = ask(&binding, "exec", "SELEC 1", &json!([])).await;
    assert!(
        matches!(&syntax, Err(BindingError::Refused { error, .. }) if error.contains("1064")),
        "{syntax:?}"
    );
}

#[tokio::test]
async fn values_are_told_as_upstreams_driver_tells_them() {
    let (_mariadb, binding) = start().await;
    for (sql, expected) in [
        ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
        (
            "CAST(18446744073709551615 AS UNSIGNED)",
            json!(18_446_744_073_709_551_615_u64),
        ),
        ("1.50", json!("1.50")),
        ("CAST(1.5 AS DOUBLE)", json!(1.5)),
        ("CAST(0.1 AS FLOAT)", json!(0.1)),
        ("'ä'", json!("ä")),
        ("X'00ff'", json!("AP8=")),
        (
            "TIMESTAMP '2024-02-29 12:30:00.5'",
            json!("2024-02-29T12:30:00.5Z"),
        ),
        ("DATE '2024-02-29'", json!("2024-02-29T00:00:00Z")),
        ("TIME '-30:15:01.50'", json!("-30:15:01.50")),
        ("true", json!(1)),
    ] {
        let rows = query(&binding, &format!("SELECT {sql} AS v"), json!([])).await;
        assert_eq!(rows, json!([{"v": expected}]), "{sql}");
    }
}

/// In upstream, any caller can end the component for all others, for good.
#[tokio::test]
async fn close_is_not_a_callers_operation() {
    let (_mariadb, binding) = start().await;
    let closed = ask(&binding, "close", "SELECT 1", &json!([])).await;
    assert!(
        matches!(closed, Err(BindingError::InvalidRequest(_))),
        "{closed:?}"
    );
    assert_eq!(
        query(&binding, "SELECT 1 AS v", json!([])).await,
        json!([{"v": 1}])
    );
}

#[tokio::test]
async fn one_request_is_one_statement() {
    let (mariadb, binding) = start().await;
    exec(&binding, "CREATE TABLE a (n int)", json!([])).await;
    let both = "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)";
    let refused = ask(&binding, "exec", both, &json!([])).await;
    assert!(
        matches!(refused, Err(BindingError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(mariadb.sql("SELECT COUNT(*) FROM shop.a"), "0");
}

#[tokio::test]
async fn a_transaction_left_open_swallows_nothing_of_others() {
    let (mariadb, binding) = start().await;
    exec(&binding, "CREATE TABLE a (n int)", json!([])).await;
    for sql in ["START TRANSACTION", "SET autocommit = 0"] {
        exec(&binding, sql, json!([])).await;
        exec(&binding, "INSERT INTO a VALUES (1)", json!([])).await;
    }
    assert_eq!(mariadb.sql("SELECT COUNT(*) FROM shop.a"), "2");
}

#[tokio::test]
async fn the_session_is_the_servers() {
    let (mariadb, _) = start().await;
    mariadb.sql("SET GLOBAL sql_mode = 'ANSI_QUOTES'; SET GLOBAL time_zone = '+05:00'");
    let plain = create(mariadb.address(), "shop").await.unwrap();
    let asked = "SELECT @@sql_mode AS mode, @@time_zone AS zone";
    let rows = query(&plain, asked, json!([])).await;
    assert_eq!(rows, json!([{"mode": "ANSI_QUOTES", "zone": "+05:00"}]));
    let own = create(mariadb.address(), "shop?time_zone=%27%2B01%3A00%27")
        .await
        .unwrap();
    assert_eq!(query(&own, asked, json!([])).await[0]["zone"], "+01:00");
}

#[tokio::test]
async fn it_heals_when_the_server_is_back() {
    let (mut mariadb, binding) = start().await;
    mariadb.stop().await;
    let away = ask(&binding, "query", "SELECT 1 AS v", &json!([])).await;
    assert!(
        matches!(away, Err(BindingError::Unavailable(_))),
        "{away:?}"
    );
    mariadb.resume().await;
    assert_eq!(
        query(&binding, "SELECT 1 AS v", json!([])).await,
        json!([{"v": 1}])
    );
    let missing = create(mariadb.address(), "nowhere").await.err().unwrap();
    assert!(missing.to_string().contains("nowhere"), "{missing}");
    let wrong = create(mariadb.address(), "shop?tls=else")
        .await
        .err()
        .unwrap();
    assert!(wrong.to_string().contains("property url"), "{wrong}");
}
