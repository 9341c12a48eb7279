//! `bindings.redis` on a real server.

use std::sync::Arc;

use bytes::Bytes;
use trilby_components::RequestMetadata;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply};
use trilby_components::metadata::Metadata;
use trilby_components::registry::{ComponentContext, Instance, Registry};
use trilby_testkit::servers::redis::Redis;

async fn binding(redis: &Redis, more: &[(&str, &str)]) -> Arc<dyn OutputBinding> {
    let host = redis.address().to_string();
    let mut pairs = vec![("redisHost", host.as_str())];
    pairs.extend_from_slice(more);
    let metadata = Metadata::new(pairs).expect("no name is given twice");
    let registry = Registry::default().with(trilby_components_redis::backends());
    let context = ComponentContext::default();
    let created = registry.create("bindings.redis", "v1", context, metadata);
    match created.await.expect("redis runs") {
        Instance::Binding(binding) => binding.output.expect("it does what it is asked"),
        other => panic!("not a binding: {other:?}"),
    }
}

async fn invoke(
    binding: &Arc<dyn OutputBinding>,
    operation: &str,
    data: &'static str,
    metadata: &[(&str, &str)],
) -> Result<Reply, BindingError> {
    let metadata = metadata.iter();
    let metadata: RequestMetadata = metadata
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let invocation = Invocation {
        operation: operation.to_owned(),
        data: Bytes::from_static(data.as_bytes()),
        metadata,
    };
    binding.invoke(invocation).await
}

fn reply(data: &'static str) -> Result<Reply, BindingError> {
    Ok(Reply {
        data: Some(Bytes::from_static(data.as_bytes())),
        ..Reply::default()
    })
}

#[tokio::test]
async fn keys_are_written_read_counted_and_removed() {
    let redis = Redis::start().await;
    let binding = binding(&redis, &[]).await;
    let (key, nothing) = ([("key", "k")], Ok(Reply::default()));
    assert_eq!(invoke(&binding, "create", "\"x\"", &key).await, nothing);
    assert_eq!(redis.command(&["GET", "k"]), "\"x\"");
    assert_eq!(invoke(&binding, "get", "", &key).await, reply("\"x\""));
    assert_eq!(invoke(&binding, "delete", "", &key).await, nothing);
    assert_eq!(invoke(&binding, "get", "", &key).await, nothing);
    for _ in 0..2 {
        assert_eq!(invoke(&binding, "increment", "", &key).await, nothing);
    }
    let removing = [("key", "k"), ("delete", "true")];
    assert_eq!(invoke(&binding, "get", "", &removing).await, reply("2"));
    assert_eq!(redis.command(&["EXISTS", "k"]), "0");
}

#[tokio::test]
async fn a_key_is_written_with_its_expiry() {
    let redis = Redis::start().await;
    let binding = binding(&redis, &[]).await;
    for (operation, expiry) in [("create", "100"), ("increment", "50s")] {
        let metadata = [("key", "k"), ("ttlInSeconds", expiry)];
        invoke(&binding, operation, "1", &metadata).await.unwrap();
        let left: u64 = redis.command(&["TTL", "k"]).parse().unwrap();
        let given: u64 = expiry.trim_end_matches('s').parse().unwrap();
        assert!((1..=given).contains(&left), "{operation}: {left}");
    }
    assert_eq!(redis.command(&["GET", "k"]), "2");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let redis = Redis::start().await;
    let binding = binding(&redis, &[]).await;
    for metadata in [&[][..], &[("key", "")], &[("Key", "k")]] {
        let refused = invoke(&binding, "create", "x", metadata).await;
        let expected = "redis binding: missing key in request metadata".to_owned();
        assert_eq!(refused, Err(BindingError::InvalidRequest(expected)));
    }
    invoke(&binding, "create", "text", &[("key", "k")])
        .await
        .unwrap();
    let refused = invoke(&binding, "increment", "", &[("key", "k")]).await;
    assert!(
        matches!(refused, Err(BindingError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_and_found_again() {
    let mut redis = Redis::start().await;
    let binding = binding(&redis, &[("redisMaxRetries", "-1")]).await;
    redis.stop().await;
    let refused = invoke(&binding, "get", "", &[("key", "k")]).await;
    assert!(
        matches!(refused, Err(BindingError::Unavailable(_))),
        "{refused:?}"
    );
    redis.resume().await;
    let found = invoke(&binding, "create", "x", &[("key", "k")]).await;
    assert_eq!(found, Ok(Reply::default()));
}
