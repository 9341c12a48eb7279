//! `bindings.postgresql` on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, CreateError, Instance, Registry};
use trilby_testkit::servers::postgres::{Postgres, USER};

/// Longer than any limit that is set here, and than a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

type Output = Arc<dyn OutputBinding>;

async fn create(address: SocketAddr, extra: &[(&str, &str)]) -> Result<Output, CreateError> {
    let (host, port) = (address.ip(), address.port());
    let string = format!("host={host} port={port} user={USER} database={USER}");
    let metadata = Metadata::new([&[("url", string.as_str())], extra].concat()).unwrap();
    let registry = Registry::default().with(trilby_components_postgresql::backends());
    let context = ComponentContext::default();
    let created = registry.create("bindings.postgres", "v1", context, metadata);
    match timeout(PATIENCE, created).await.expect("it ends")? {
        Instance::Binding(binding) => Ok(binding.output.unwrap()),
        other => panic!("not a binding: {other:?}"),
    }
}

async fn open(postgres: &Postgres, extra: &[(&str, &str)]) -> Output {
    create(postgres.address(), extra)
        .await
        .expect("postgres runs")
}

async fn ask(
    binding: &Output,
    operation: &str,
    sql: &str,
    params: &Value,
) -> Result<Reply, BindingError> {
    let params = match params {
        Value::Null => String::new(),
        params => params.to_string(),
    };
    let metadata = [
        ("sql".to_owned(), sql.to_owned()),
        ("params".to_owned(), params),
    ];
    let invocation = Invocation {
        operation: operation.to_owned(),
        metadata: metadata.into(),
        ..Invocation::default()
    };
    let asked = binding.invoke(invocation);
    timeout(PATIENCE, asked).await.expect("it ends")
}

async fn exec(binding: &Output, sql: &str, params: Value) -> String {
    let reply = ask(binding, "exec", sql, &params).await.unwrap();
    assert_eq!(reply.data, None);
    reply.metadata["rows-affected"].clone()
}

async fn query(binding: &Output, sql: &str, params: Value) -> Value {
    let reply = ask(binding, "query", sql, &params).await;
    let data = reply.unwrap_or_else(|error| panic!("{sql}: {error}")).data;
    serde_json::from_slice(&data.unwrap()).unwrap()
}

#[tokio::test]
async fn statements_are_carried_out() {
    let postgres = Postgres::start().await;
    for extra in [&[][..], &[("queryExecMode", "exec")]] {
        let binding = open(&postgres, extra).await;
        exec(
            &binding,
            "DROP TABLE IF EXISTS a; CREATE TABLE a (n int, t text)",
            Value::Null,
        )
        .await;
        let insert = "INSERT INTO a VALUES ($1, $2), ($3, $4)";
        assert_eq!(
            exec(&binding, insert, json!([1, "it's", 2.0, null])).await,
            "2"
        );
        let rows = query(&binding, "SELECT * FROM a ORDER BY n", Value::Null).await;
        assert_eq!(rows, json!([[1, "it's"], [2, null]]));
        let rows = query(
            &binding,
            "SELECT t FROM a WHERE n = ANY($1::int[])",
            json!([[1, 7]]),
        )
        .await;
        assert_eq!(rows, json!([["it's"]]));
        assert_eq!(
            query(&binding, "SELECT 1 WHERE false", json!([])).await,
            json!([])
        );
        let reply = ask(&binding, "exec", "DELETE FROM a", &Value::Null)
            .await
            .unwrap();
        assert_eq!(reply.metadata["operation"], "exec");
        assert_eq!(reply.metadata["sql"], "DELETE FROM a");
        assert_eq!(reply.metadata["rows-affected"], "2");
        for name in ["start-time", "end-time", "duration"] {
            assert!(reply.metadata.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn values_keep_every_digit() {
    let postgres = Postgres::start().await;
    let binding = open(&postgres, &[]).await;
    exec(
        &binding,
        "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN small AS int",
        Value::Null,
    )
    .await;
    for (sql, expected) in [
        ("true", "true"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.5::float4", "1.5"),
        (
            "12345678901234567890.12345678901234567890",
            "12345678901234567890.12345678901234567890",
        ),
        ("-0.00012::numeric", "-0.00012"),
        ("100000::numeric", "100000"),
        ("0::numeric(5, 2)", "0.00"),
        ("'NaN'::numeric", "\"NaN\""),
        (
            "'{\"n\": 12345678901234567890}'::json",
            "{\"n\": 12345678901234567890}",
        ),
        ("'[1, null]'::jsonb", "[1, null]"),
        ("'\\x00ff'::bytea", "\"AP8=\""),
        (
            "'2024-02-29 12:30:00.5+02'::timestamptz",
            "\"2024-02-29T10:30:00.5Z\"",
        ),
        ("'1999-12-31'::date", "\"1999-12-31T00:00:00Z\""),
        ("ARRAY[1, null, 3]", "[1,null,3]"),
        ("ARRAY['a\"', 'b']", "[\"a\\\"\",\"b\"]"),
        ("'good'::mood", "\"good\""),
        ("7::small", "7"),
        ("'10.0.0.1'::inet", "\"10.0.0.1/32\""),
        ("'::1/64'::inet", "\"::1/64\""),
        ("null", "null"),
    ] {
        let reply = ask(&binding, "query", &format!("SELECT {sql}"), &Value::Null)
            .await
            .unwrap();
        let data = reply.data.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&data),
            format!("[[{expected}]]"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn what_json_has_no_form_for_is_named() {
    let postgres = Postgres::start().await;
    let binding = open(&postgres, &[]).await;
    for sql in [
        "'1 day'::interval",
        "'NaN'::float8",
        "'infinity'::timestamp",
    ] {
        let sql = format!("SELECT {sql} AS odd");
        let refused = ask(&binding, "query", &sql, &Value::Null)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("odd"), "{refused}");
        assert!(refused.to_string().contains("cast it to text"), "{refused}");
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told() {
    let postgres = Postgres::start().await;
    let binding = open(&postgres, &[("timeout", "1s")]).await;
    let syntax = ask(&binding, "exec", "SELEC 1", &Value::Null).await;
    assert!(
        matches!(&syntax, Err(BindingError::Refused { error, .. }) if error.contains("42601")),
        "{syntax:?}"
    );
    let value = ask(&binding, "query", "SELECT $1::int", &json!(["one"])).await;
    assert!(
        matches!(value, Err(BindingError::InvalidRequest(_))),
        "{value:?}"
    );
    let slow = ask(&binding, "query", "SELECT pg_sleep(60)", &Value::Null).await;
    assert!(
        matches!(slow, Err(BindingError::Unavailable(_))),
        "{slow:?}"
    );
    assert_eq!(query(&binding, "SELECT 1", Value::Null).await, json!([[1]]));
}

/// In upstream, any caller can end the component for all others, for good.
#[tokio::test]
async fn close_is_not_a_callers_operation() {
    let postgres = Postgres::start().await;
    let binding = open(&postgres, &[]).await;
    let closed = ask(&binding, "close", "SELECT 1", &Value::Null).await;
    assert!(
        matches!(closed, Err(BindingError::InvalidRequest(_))),
        "{closed:?}"
    );
    assert_eq!(query(&binding, "SELECT 1", Value::Null).await, json!([[1]]));
}

#[tokio::test]
async fn a_transaction_left_open_swallows_nothing_of_others() {
    let postgres = Postgres::start().await;
    let binding = open(&postgres, &[]).await;
    exec(&binding, "CREATE TABLE a (n int)", Value::Null).await;
    exec(&binding, "BEGIN; INSERT INTO a VALUES (1)", Value::Null).await;
    exec(&binding, "INSERT INTO a VALUES (2)", Value::Null).await;
    assert_eq!(postgres.sql("SELECT n FROM a"), "2");
}

#[tokio::test]
async fn it_heals_when_the_server_is_back() {
    let mut postgres = Postgres::start().await;
    let binding = open(&postgres, &[]).await;
    postgres.stop().await;
    let away = ask(&binding, "query", "SELECT 1", &Value::Null).await;
    assert!(
        matches!(away, Err(BindingError::Unavailable(_))),
        "{away:?}"
    );
    assert!(create(postgres.address(), &[]).await.is_err());
    postgres.resume().await;
    assert_eq!(query(&binding, "SELECT 1", Value::Null).await, json!([[1]]));
}

#[tokio::test]
async fn logins_of_cloud_providers_are_refused_by_name() {
    let address = "127.0.0.1:1".parse().unwrap();
    for (property, extra) in [
        ("useAWSIAM", ("useAWSIAM", "true")),
        ("timeout", ("timeout", "1ms")),
    ] {
        let refused = create(address, &[extra]).await.err().unwrap();
        assert!(refused.to_string().contains(property), "{refused}");
    }
}
