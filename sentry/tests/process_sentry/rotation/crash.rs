//! Replicas are killed whenever a document was written.

use std::{path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use trilby_testkit::services::Sentry;

use super::{BUNDLE, LIMIT, annotate, caller, config_map, control_plane, sentry};
use crate::caller::request;

/// How often it is looked whether something was written.
const LOOK: Duration = Duration::from_millis(20);

struct Documents {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

impl Documents {
    async fn new(kubeconfig: PathBuf, namespace: &str) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client, namespace),
        }
    }

    /// The versions of both objects, and the phase; whatever is stored must be whole. `None` if nobody answered.
    async fn look(&self) -> Option<([Option<String>; 2], String)> {
        let secret = self.secrets.get(BUNDLE).await.ok()?;
        let config_map = self.config_maps.get(BUNDLE).await.ok()?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| {
            let value = data
                .get(key)
                .map(|value| value.0.clone())
                .unwrap_or_default();
            String::from_utf8(value).unwrap()
        };
        for (key, what) in [
            ("ca.crt", "CERTIFICATE"),
            ("issuer.crt", "CERTIFICATE"),
            ("issuer.key", "PRIVATE KEY"),
        ] {
            assert!(text(key).contains(&format!("END {what}")), "{key}");
        }
        let record = text("rotation.json");
        let phase = match record.as_str() {
            "" => "stable".to_owned(),
            record => {
                let record: Value = serde_json::from_str(record).unwrap();
                record["phase"].as_str().unwrap().to_owned()
            }
        };
        let versions = [
            secret.metadata.resource_version,
            config_map.metadata.resource_version,
        ];
        Some((versions, phase))
    }
}

#[tokio::test]
async fn killed_after_every_write_the_replicas_finish_the_rotation() {
    let (api, system) = control_plane("4s").await;
    let mut replicas = [
        sentry(api.kubeconfig(), &system),
        sentry(api.kubeconfig(), &system),
    ];
    for replica in &mut replicas {
        replica.start().await;
    }
    let first = config_map(api, &system, "ca.crt").await;
    let documents = Documents::new(api.kubeconfig().to_owned(), &system).await;
    let mut versions = [None, None];
    annotate(api, &system, "dapr.io/rotate-root=now").await;
    let mut kills = 0;
    let mut phases = Vec::new();
    let rotation = async {
        loop {
            let Some((now, phase)) = documents.look().await.filter(|seen| seen.0 != versions)
            else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            versions = now;
            if phases.last() != Some(&phase) {
                phases.push(phase.clone());
            }
            // The other one may have written; both get their turn.
            kill(&mut replicas[kills % 2]).await;
            kills += 1;
            if phase == "retired" {
                break;
            }
        }
    };
    tokio::time::timeout(LIMIT, rotation)
        .await
        .expect("the rotation ends");
    // A look may come too late for a step, but never sees one undone.
    let order = ["stable", "prepared", "distributed", "active", "retired"];
    let places = phases
        .iter()
        .map(|phase| order.iter().position(|known| known == phase).unwrap());
    assert!(places.is_sorted(), "{phases:?}");
    assert!(kills >= 3, "{phases:?}");
    for replica in &mut replicas {
        replica.healthy().await;
    }
    // The copy follows, whoever made it.
    let second = trilby_testkit::eventually::eventually("the old root is gone", async || {
        let anchors = config_map(api, &system, "ca.crt").await;
        match anchors.contains(first.trim()) {
            true => Err(trilby_testkit::unexpected(anchors)),
            false => Ok(anchors),
        }
    })
    .await;
    are_trusted(&replicas, &system, [&first, &second]).await;
}

/// Each replica answers to whoever trusts one of the roots alone.
async fn are_trusted(replicas: &[Sentry], system: &str, roots: [&str; 2]) {
    for replica in replicas {
        for anchors in roots {
            let caller = caller(replica, system, anchors);
            let (code, text) = caller.refusal(request("x", "y", "")).await;
            assert_eq!(code, tonic::Code::PermissionDenied, "it is trusted: {text}");
        }
    }
}

async fn kill(replica: &mut Sentry) {
    replica.kill().await;
    replica.launch();
}
