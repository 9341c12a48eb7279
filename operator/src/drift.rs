//! What the definitions of Dapr's kinds in the cluster lack, or have too much, beside those that this operator was built
//! with. Helm never upgrades definitions, and upstream's may be there instead: the operator works with all of them, and
//! says what that costs. Where it is told to, it also brings them about ([`Upgrade`]).

mod compare;
mod difference;
mod plan;
mod upgrade;
mod usage;
mod verdict;

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
use trilby_crds::{GROUP, Manifest, manifests};
use trilby_grpc::Backoff;
use trilby_webhook::Complaint;

use crate::{
    cluster::{is_status, reason},
    metrics::Metrics,
    resource::Kind,
};
use compare::compare;
use difference::Difference;
pub(crate) use difference::Effect;
pub use upgrade::Upgrade;
pub(crate) use upgrade::Upgrader;
pub(crate) use verdict::Verdict;

/// How often the definitions are looked at: they change by hand, and seldom.
const INTERVAL: Duration = Duration::from_secs(600);
/// The first pause after a pass in which something could not be done.
const RETRY: Duration = Duration::from_secs(2);
/// One request to the API server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Differences of one definition and effect that the log names; the number of all is told with them.
const NAMED: usize = 8;

/// See the module.
#[derive(Clone)]
pub(crate) struct Drift {
    pub client: Client,
    pub metrics: Metrics,
    /// `None`: definitions are left as they are.
    pub upgrader: Option<Upgrader>,
}

/// What was seen last, by definition.
#[derive(Default)]
struct Seen(BTreeMap<String, Sight>);

struct Sight {
    /// So that one that did not change costs one request.
    resource_version: Option<String>,
    verdict: Verdict,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Settled,
    /// Something may go better soon.
    Unsettled,
}

impl Drift {
    /// Looks until `term` ends.
    pub(crate) async fn run(self, term: CancellationToken) {
        term.run_until_cancelled(self.look()).await;
    }

    async fn look(&self) {
        let (mut seen, mut complaint) = (Seen::default(), Complaint::default());
        let mut backoff = Backoff::new(RETRY, INTERVAL);
        loop {
            let pass = self.pass(&mut seen).await;
            match &pass {
                Ok(_) => complaint.settle("the definitions of Dapr's kinds can be read again"),
                Err(error) => {
                    complaint.raise("the definitions of Dapr's kinds cannot be read", error)
                }
            }
            if let Ok(Pass::Settled) = pass {
                backoff.reset();
                sleep(INTERVAL).await;
            } else {
                sleep(backoff.pause()).await;
            }
        }
    }

    async fn pass(&self, seen: &mut Seen) -> Result<Pass, ReadError> {
        // Made only if there is something to do: they are large.
        let mut ours = None;
        let mut pass = Pass::Settled;
        for kind in Kind::ALL {
            let name = format!("{}.{GROUP}", kind.plural());
            let found = self.read(&name).await?;
            let last = seen.0.get(&name);
            if last.is_some_and(|last| last.is_of(found.as_ref()) && self.is_done(&last.verdict)) {
                continue;
            }
            let ours = definition(ours.get_or_insert_with(manifests), &name);
            let sight = self.treat((&name, ours), found, last).await;
            if sight.verdict.is_unsettled() {
                pass = Pass::Unsettled;
            }
            seen.0.insert(name, sight);
        }
        Ok(pass)
    }

    /// Whether there is nothing more to do until the definition changes.
    fn is_done(&self, verdict: &Verdict) -> bool {
        self.upgrader.is_none() || *verdict == Verdict::Current
    }

    /// One definition, by its name: tells what it lacks, and brings it about.
    async fn treat(
        &self,
        (name, ours): (&str, &CustomResourceDefinition),
        found: Option<DynamicObject>,
        last: Option<&Sight>,
    ) -> Sight {
        if !last.is_some_and(|last| last.is_of(found.as_ref())) {
            self.report(name, &differences(ours, found.as_ref()));
        }
        let Some(upgrader) = &self.upgrader else {
            return Sight::new(found.as_ref(), Verdict::Current);
        };
        let (verdict, applied) = upgrader.look(ours, found.as_ref()).await;
        self.metrics.definition(name, &verdict);
        if applied.is_some() {
            self.report(name, &differences(ours, applied.as_ref()));
        }
        let now = applied.or(found);
        if last.is_none_or(|last| last.verdict != verdict) {
            upgrader.tell(name, now.as_ref(), &verdict).await;
        }
        Sight::new(now.as_ref(), verdict)
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
            let of_effect: Vec<_> = differences
                .iter()
                .filter(|it| it.effect == effect)
                .collect();
            let count = of_effect.len();
            self.metrics.drift(name, effect, count);
            if count == 0 {
                continue;
            }
            let named = of_effect.iter().take(NAMED).map(ToString::to_string);
            let named = named.collect::<Vec<_>>().join("; ");
            let meaning = effect.meaning();
            match effect {
                Effect::Extra | Effect::Hidden => {
                    info!(definition = name, count, named, "{meaning}");
                }
                _ => warn!(definition = name, count, named, "{meaning}"),
            }
        }
    }
}

impl Sight {
    fn new(definition: Option<&DynamicObject>, verdict: Verdict) -> Self {
        Self {
            resource_version: resource_version(definition),
            verdict,
        }
    }

    /// Whether the definition did not change since.
    fn is_of(&self, definition: Option<&DynamicObject>) -> bool {
        self.resource_version == resource_version(definition)
    }
}

/// Which definition, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
struct ReadError(String, String);

fn resource_version(definition: Option<&DynamicObject>) -> Option<String> {
    definition.and_then(|it| it.metadata.resource_version.clone())
}

fn definition<'a>(all: &'a [Manifest], name: &str) -> &'a CustomResourceDefinition {
    let mut all = all.iter().map(|manifest| &manifest.definition);
    all.find(|it| it.metadata.name.as_deref() == Some(name))
        .expect("every kind has a definition")
}

fn differences(ours: &CustomResourceDefinition, found: Option<&DynamicObject>) -> Vec<Difference> {
    let Some(found) = found else {
        return vec![Difference::no_definition()];
    };
    let ours = serde_json::to_value(&ours.spec).unwrap_or(Value::Null);
    compare(&ours, &found.data["spec"])
}
