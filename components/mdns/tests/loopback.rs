//! Two resolvers find each other, over sockets of the loopback interface alone.

use std::sync::Arc;
use std::time::Duration;

use trilby_components::name_resolution::{Instance, NameResolver, Query};
use trilby_components_mdns::{MdnsResolver, Settings};

/// Longer than any machine needs.
const LIMIT: Duration = Duration::from_secs(60);

fn start(app_id: &str, port: u16) -> Arc<MdnsResolver> {
    let instance = Instance {
        app_id: app_id.to_owned(),
        host: "127.0.0.1".to_owned(),
        internal_port: port,
        ..Instance::default()
    };
    let settings = Settings {
        interfaces: vec![loopback()],
    };
    let resolver = Arc::new(MdnsResolver::new(&instance, settings).expect("loopback is there"));
    let kept = Arc::clone(&resolver);
    tokio::spawn(async move { kept.keep().await });
    resolver
}

/// The name of the loopback interface.
fn loopback() -> String {
    let interfaces = if_addrs::get_if_addrs().expect("interfaces are listed");
    let loopback = interfaces
        .into_iter()
        .find(if_addrs::Interface::is_loopback);
    loopback.expect("a machine has a loopback interface").name
}

/// A name that no other test on this machine has.
fn app(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

async fn resolve(resolver: &MdnsResolver, app_id: &str) -> Result<String, String> {
    let query = Query {
        app_id,
        namespace: "",
        port: 1,
    };
    let resolved = resolver.resolve(&query).await;
    resolved.map_err(|error| error.to_string())
}

/// Asks until it is found: one browse may be too short on a busy machine.
async fn found(resolver: &MdnsResolver, app_id: &str) -> String {
    let asking = async {
        loop {
            if let Ok(address) = resolve(resolver, app_id).await {
                return address;
            }
        }
    };
    let found = tokio::time::timeout(LIMIT, asking).await;
    found.unwrap_or_else(|_| panic!("{app_id} is not found"))
}

#[tokio::test]
async fn sidecars_of_one_host_find_each_other() {
    let (a, b) = (app("mutual-a"), app("mutual-b"));
    let (of_a, of_b) = (start(&a, 7001), start(&b, 7002));
    assert_eq!(found(&of_a, &b).await, "127.0.0.1:7002");
    assert_eq!(found(&of_b, &a).await, "127.0.0.1:7001");
}

#[tokio::test]
async fn every_sidecar_of_an_application_gets_its_turn() {
    let (a, b) = (app("turns-a"), app("turns-b"));
    let (of_a, _b1, _b2) = (start(&a, 7011), start(&b, 7012), start(&b, 7013));
    let both = async {
        loop {
            let mut answers = [found(&of_a, &b).await, found(&of_a, &b).await];
            answers.sort();
            if answers == ["127.0.0.1:7012", "127.0.0.1:7013"] {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, both)
        .await
        .expect("both are found");
}

#[tokio::test]
async fn a_sidecar_that_withdraws_is_no_longer_found() {
    let (a, b) = (app("gone-a"), app("gone-b"));
    let (of_a, of_b) = (start(&a, 7021), start(&b, 7022));
    found(&of_a, &b).await;
    of_b.withdraw().await;
    of_a.forget(&b, "");
    let error = resolve(&of_a, &b).await.unwrap_err();
    assert_eq!(error, format!("couldn't find service: {b}"));
    assert_eq!(found(&of_b, &a).await, "127.0.0.1:7021");
}

#[tokio::test]
async fn a_name_that_dns_has_no_room_for_is_refused() {
    let instance = Instance {
        app_id: "x".repeat(64),
        host: "127.0.0.1".to_owned(),
        internal_port: 7031,
        ..Instance::default()
    };
    let error = MdnsResolver::new(&instance, Settings::default()).unwrap_err();
    assert!(error.to_string().contains("at most 63 bytes"), "{error}");
}
