//! Redis as a cluster, and behind sentinels: real servers.

use bytes::Bytes;
use trilby_components::conformance::state::calls::{self, Store, transact};
use trilby_components::{
    conformance,
    registry::CreateError,
    state::{
        Consistency, GetRequest, KeysLike, LikePattern, Operation, SetRequest, StateError,
        StateStore, Value,
    },
};
use trilby_testkit::{
    eventually::eventually,
    servers::redis::{
        cluster::RedisCluster,
        sentinel::{MASTER, WatchedRedis},
    },
};

async fn create(pairs: &[(&str, &str)]) -> Result<Store, CreateError> {
    let backends = trilby_components_redis::backends();
    calls::create(backends, ("state.redis", "v1"), pairs).await
}

async fn in_cluster(cluster: &RedisCluster) -> Store {
    let hosts = cluster.addresses();
    let pairs = [("redisHost", hosts.as_str()), ("redisType", "cluster")];
    create(&pairs).await.expect("the cluster runs")
}

async fn behind_sentinels(watched: &WatchedRedis) -> Store {
    // Nobody listens where the first one is said to be.
    let hosts = format!("127.0.0.1:9,{}", watched.address());
    let pairs = [
        ("redisHost", hosts.as_str()),
        ("failover", "true"),
        ("sentinelMasterName", MASTER),
    ];
    create(&pairs).await.expect("the sentinel runs")
}

fn set(key: &str, value: &str) -> SetRequest {
    let value = Bytes::copy_from_slice(value.as_bytes());
    SetRequest::new(key, Value::Binary(value))
}

async fn value(store: &dyn StateStore, key: &str) -> Result<Option<Bytes>, StateError> {
    let item = store.get(GetRequest::new(key)).await?;
    Ok(item.map(|item| item.value))
}

#[tokio::test]
async fn a_cluster_is_a_state_store() {
    let cluster = RedisCluster::start().await;
    let store = in_cluster(&cluster).await;
    conformance::state::run(&*store, "app").await;
}

#[tokio::test]
async fn keys_are_spread_and_listed_over_all_servers() {
    let cluster = RedisCluster::start().await;
    let store = in_cluster(&cluster).await;
    for number in 0..60 {
        let mut write = set(&format!("app||{number}"), "x");
        write.options.consistency = Consistency::Strong;
        store.set(write).await.unwrap();
    }
    for server in cluster.servers() {
        assert_ne!(server.command(&["DBSIZE"]), "0");
    }
    let listing = store.key_listing().expect("it lists keys");
    let pattern = LikePattern::parse("app||%").expect("a pattern");
    let page = listing.keys_like(KeysLike::new(pattern)).await.unwrap();
    assert_eq!(page.keys.len(), 60);
}

#[tokio::test]
async fn a_transaction_over_several_slots_is_judged_before_anything_is_written() {
    let cluster = RedisCluster::start().await;
    let store = in_cluster(&cluster).await;
    store.set(set("guarded", "old")).await.unwrap();
    let mut stale = set("guarded", "new");
    stale.etag = Some("9".into());
    let operations = vec![
        Operation::Upsert(set("free", "x")),
        Operation::Upsert(stale),
    ];
    let refused = transact(&store, operations).await.unwrap_err();
    assert_eq!(
        refused,
        StateError::EtagMismatch("failed to set key guarded: its version is 1".into())
    );
    assert_eq!(value(&*store, "free").await, Ok(None));
    let operations = ["free", "guarded", "third"].map(|key| Operation::Upsert(set(key, "y")));
    transact(&store, operations).await.unwrap();
    for key in ["free", "guarded", "third"] {
        assert_eq!(value(&*store, key).await, Ok(Some("y".into())), "{key}");
    }
}

#[tokio::test]
async fn a_slot_is_followed_while_it_moves() {
    let cluster = RedisCluster::start().await;
    let store = in_cluster(&cluster).await;
    let key = "app||moving";
    store.set(set(key, "before")).await.unwrap();
    let slot = cluster.slot(key);
    let from = &cluster.servers()[cluster.owner(slot)];
    let to = &cluster.servers()[(cluster.owner(slot) + 1) % 3];
    let (slot, port) = (slot.to_string(), to.address().port().to_string());
    let (from_id, to_id) = (
        from.command(&["CLUSTER", "MYID"]),
        to.command(&["CLUSTER", "MYID"]),
    );
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    from.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
    // The old server still has the slot, and sends everybody on for this key.
    assert_eq!(value(&*store, key).await, Ok(Some("before".into())));
    let mut write = set(key, "meanwhile");
    write.etag = Some("1".into());
    store.set(write).await.unwrap();
    for server in [to, from] {
        server.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    let mut write = set(key, "after");
    write.etag = Some("2".into());
    store.set(write).await.unwrap();
    assert_eq!(to.command(&["HGET", key, "data"]), "after");
}

#[tokio::test]
async fn a_server_of_a_cluster_may_go_and_come_back() {
    let mut cluster = RedisCluster::start().await;
    let store = in_cluster(&cluster).await;
    store.set(set("key", "x")).await.unwrap();
    let owner = cluster.owner(cluster.slot("key"));
    cluster.servers_mut()[owner].stop().await;
    let error = value(&*store, "key").await.unwrap_err();
    assert!(matches!(error, StateError::Unavailable(_)), "{error}");
    cluster.servers_mut()[owner].resume().await;
    eventually("the key is there again", async || {
        match value(&*store, "key").await {
            Ok(Some(value)) if value == "x" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn the_master_of_sentinels_is_followed() {
    let mut watched = WatchedRedis::start().await;
    let store = behind_sentinels(&watched).await;
    let mut write = set("key", "x");
    write.options.consistency = Consistency::Strong;
    store.set(write).await.unwrap();
    watched.servers_mut()[0].stop().await;
    eventually("the replica has become the master", async || {
        store
            .set(set("key", "y"))
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(watched.servers()[1].command(&["HGET", "key", "data"]), "y");
}

#[tokio::test]
async fn who_is_no_master_any_more_is_left() {
    let watched = WatchedRedis::start().await;
    let store = behind_sentinels(&watched).await;
    store.set(set("key", "x")).await.unwrap();
    let [former, next] = watched.servers();
    watched.failover();
    eventually("the former master is a replica", async || {
        let role = former.command(&["ROLE"]);
        if role.starts_with("slave") {
            Ok(())
        } else {
            Err(role)
        }
    })
    .await;
    eventually("writes go to the new master", async || {
        store
            .set(set("key", "y"))
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(next.command(&["HGET", "key", "data"]), "y");
}

#[tokio::test]
async fn a_master_that_no_sentinel_knows_is_named() {
    let watched = WatchedRedis::start().await;
    let host = watched.address().to_string();
    let pairs = [
        ("redisHost", host.as_str()),
        ("failover", "true"),
        ("sentinelMasterName", "other"),
    ];
    let Err(error) = create(&pairs).await else {
        panic!("nobody knows it");
    };
    assert!(error.is_transient(), "{error}");
    let expected = format!("other: {host} does not know it");
    assert!(error.to_string().contains(&expected), "{error}");
}
