//! What one replica hears counts for all.

use trilby_identity::Anchors;
use trilby_testkit::{assert_eventually, eventually::within, unexpected};

use super::{Home, LIMIT, annotate, cluster::World, delete_pod, status};

impl World {
    /// How many are known to trust the next root, by what replicas share.
    async fn shared(&self) -> usize {
        let evidence = "configmap/dapr-trust-evidence";
        let found = self.api.get_json(&self.system, evidence).await;
        found["data"].as_object().map_or(0, serde_json::Map::len)
    }

    fn listed(&self, pod: &str) -> String {
        format!("- {}/{pod}\n", self.shop)
    }
}

#[tokio::test]
async fn what_one_replica_heard_moves_the_rotation_that_another_goes_on_with() {
    // So long that nothing moves by the lives of certificates.
    let mut world = World::confined("1h").await;
    let (api, system) = (world.api, world.system.clone());
    let (cart, till) = (world.listed("cart"), world.listed("till"));
    annotate(api, &system, "dapr.io/rotate-root=now").await;
    let waits_for_both = |status: &str| status.contains(&cart) && status.contains(&till);
    let waits = status(api, &system, waits_for_both).await;
    assert!(waits.starts_with("phase: distributed\n"), "{waits}");

    // The status may be the other replica's, which knows of the new root first.
    let distributed = r#"dapr_sentry_rotation_phase{phase="distributed"} 1"#;
    let asked = &world.replicas[0];
    assert_eventually!(asked.metrics().await.contains(distributed), LIMIT);

    // It begins with the old root, learns the new one from the answer, and asks again because of that.
    let token = world.token("cart").await;
    let home = Home {
        sentry: world.replicas[0].grpc_address().to_string(),
        system: &system,
        namespace: &world.shop,
        token: Some(&token),
    };
    let anchors = Anchors::Pem(world.first.clone());
    let workload = home.workload("cart", anchors).await;
    assert_eventually!(world.shared().await == 1, LIMIT);
    drop(workload);
    world.replicas[0].kill().await;

    // The one that is left looks at all pods again, and thinks of one alone: nobody has asked it for anything.
    let log = world.replicas[1].log();
    within(LIMIT, "it waits for the other pod alone", async || {
        let text = log.text();
        match text.lines().any(|line| line.ends_with("workloads=1")) {
            true => Ok(()),
            false => Err(unexpected(text)),
        }
    })
    .await;
    let waits_for_till = |status: &str| !status.contains(&cart) && status.contains(&till);
    status(api, &system, waits_for_till).await;
    delete_pod(api, &world.shop, "till").await;
    status(api, &system, |status| status.starts_with("phase: active\n")).await;
    let text = log.text();
    assert!(!text.contains("certificate issued"), "{text}");
}
