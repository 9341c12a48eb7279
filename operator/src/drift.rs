//! What the definitions of Dapr's kinds in the cluster lack, or have too much, beside those that this operator was built
//! with. Definitions are not upgraded with the chart, and upstream's may be there instead: it works with all of them, and
//! says what that costs.

mod compare;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use trilby_crds::{GROUP, manifests};
use trilby_webhook::Complaint;

use crate::{
    cluster::{is_status, reason},
    metrics::Metrics,
    resource::Kind,
};
pub(crate) use compare::Effect;
use compare::{Difference, compare};

/// How often the definitions are looked at: they change by hand, and seldom.
const INTERVAL: Duration = Duration::from_secs(600);
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Differences of one definition and effect that the log names; the number of all is told with them.
const NAMED: usize = 8;

/// See the module.
#[derive(Clone)]
pub(crate) struct Drift {
    pub client: Client,
    pub metrics: Metrics,
}

/// What was seen last, by definition: its version, so that one that did not change costs one request.
type Seen = BTreeMap<String, Option<String>>;

impl Drift {
    /// Looks until `term` ends.
    pub(crate) async fn run(self, term: CancellationToken) {
        term.run_until_cancelled(self.look()).await;
    }

    async fn look(&self) {
        let (mut seen, mut complaint) = (Seen::new(), Complaint::default());
        loop {
            match self.pass(&mut seen).await {
                Ok(()) => complaint.settle("the definitions of Dapr's kinds can be read again"),
                Err(error) => {
                    complaint.raise("the definitions of Dapr's kinds cannot be read", &error)
                }
            }
            sleep(INTERVAL).await;
        }
    }

    async fn pass(&self, seen: &mut Seen) -> Result<(), ReadError> {
        // Made only if something changed: they are large.
        let mut ours = None;
        for kind in Kind::ALL {
            let name = format!("{}.{GROUP}", kind.plural());
            let found = self.read(&name).await?;
            let version = found
                .as_ref()
                .and_then(|it| it.metadata.resource_version.clone());
            if seen.get(&name) == Some(&version) {
                continue;
            }
            let ours = ours.get_or_insert_with(manifests).iter();
            let ours = ours
                .map(|manifest| &manifest.definition)
                .find(|it| it.metadata.name.as_ref() == Some(&name))
                .expect("every kind has a definition");
            self.report(&name, &differences(ours, found.as_ref()));
            seen.insert(name, version);
        }
        Ok(())
    }

    /// The definition of this name, if there is one.
    async fn read(&self, name: &str) -> Result<Option<DynamicObject>, ReadError> {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let definitions: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        match timeout(TIMEOUT, definitions.get(name)).await {
            Ok(Ok(definition)) => Ok(Some(definition)),
            Ok(Err(error)) if is_status(&error, 404) => Ok(None),
            Ok(Err(error)) => Err(ReadError(name.to_owned(), reason(&error))),
            Err(_) => Err(ReadError(
                name.to_owned(),
                format!("no answer within {TIMEOUT:?}"),
            )),
        }
    }

    fn report(&self, name: &str, differences: &[Difference]) {
        for effect in Effect::ALL {
            let of_effect = || differences.iter().filter(|it| it.effect == effect);
            let count = of_effect().count();
            self.metrics.drift(name, effect, count);
            if count == 0 {
                continue;
            }
            let named: Vec<_> = of_effect().take(NAMED).map(|it| it.what.as_str()).collect();
            let (meaning, named) = (effect.meaning(), named.join("; "));
            match effect {
                Effect::Extra => info!(definition = name, count, named, "{meaning}"),
                _ => warn!(definition = name, count, named, "{meaning}"),
            }
        }
    }
}

/// Which definition, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
struct ReadError(String, String);

fn differences(ours: &CustomResourceDefinition, found: Option<&DynamicObject>) -> Vec<Difference> {
    let Some(found) = found else {
        return vec![Difference {
            effect: Effect::Missing,
            what: "the whole definition".to_owned(),
        }];
    };
    let ours = serde_json::to_value(&ours.spec).unwrap_or(Value::Null);
    compare(&ours, &found.data["spec"])
}
