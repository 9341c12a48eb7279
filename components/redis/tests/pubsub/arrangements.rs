//! A cluster, and a master that sentinels know.

use trilby_components::conformance::pubsub::{Seen, Subscribed, run_as};
use trilby_testkit::eventually::eventually;
use trilby_testkit::servers::redis::{
    cluster::RedisCluster,
    sentinel::{MASTER, WatchedRedis},
};

use super::{SOON, TRAITS, create, publish};

#[tokio::test]
async fn a_cluster_is_a_broker() {
    let cluster = RedisCluster::start().await;
    let hosts = cluster.addresses();
    let mut pairs = vec![("redisHost", hosts.as_str()), ("redisType", "cluster")];
    pairs.extend(SOON);
    let broker = create("app", &pairs).await.expect("the cluster runs");
    run_as(&*broker, "app", TRAITS).await;
    // Scripts find the server that has the stream, too.
    let owner = &cluster.servers()[cluster.owner(cluster.slot("app-one"))];
    let consumers = owner.command(&["XINFO", "CONSUMERS", "app-one", "app"]);
    assert_eq!(consumers, "", "they have left");
}

#[tokio::test]
async fn a_subscription_follows_the_master_of_sentinels() {
    let mut watched = WatchedRedis::start().await;
    let host = watched.address().to_string();
    let mut pairs = vec![
        ("redisHost", host.as_str()),
        ("failover", "true"),
        ("sentinelMasterName", MASTER),
    ];
    pairs.extend(SOON);
    let broker = create("app", &pairs).await.expect("the sentinel runs");
    let subscribed = Subscribed::to(&*broker, "t", Seen::default()).await;
    publish(&broker, "t", "before").await.unwrap();
    let before = |texts: &[String]| texts.iter().any(|text| text == "before");
    subscribed.seen.until("before", before).await;
    watched.servers_mut()[0].stop().await;
    eventually("the replica has become the master", async || {
        publish(&broker, "t", "after").await
    })
    .await;
    let after = |texts: &[String]| texts.iter().any(|text| text == "after");
    subscribed.seen.until("after", after).await;
    subscribed.end().await;
}
