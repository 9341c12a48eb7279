//! The Configuration of this application.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tonic::Status;
use trilby_crds::{Configuration, ConfigurationSpec};
use trilby_grpc::{Backoff, Follower};
use trilby_proto::operator::v1::{
    ConfigurationUpdateEvent, ConfigurationUpdateRequest, GetConfigurationRequest,
    ResourceEventType,
};

use super::{Messages, Operator, in_words, is_transient, streaming};
use crate::{
    configuration::decode,
    control::Control,
    ledger::{Outcome, State},
    manifest::{Received, Revision},
    resources::LoadError,
};

/// How long the operator may say that there is no such Configuration before it is believed: it and the
/// application may be created together.
const MISSING: Duration = Duration::from_secs(10);

/// The longest pause between two attempts to fetch it for the first time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Fetches the Configuration for the first time.
pub(super) async fn first(
    operator: &Operator,
    name: &str,
) -> Result<Arc<ConfigurationSpec>, LoadError> {
    let started = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
    loop {
        let status = match get(operator, name).await {
            Ok(spec) => return Ok(Arc::new(spec)),
            Err(status) => status,
        };
        let patience = match is_transient(&status) {
            true => operator.first_load,
            false => MISSING.min(operator.first_load),
        };
        let pause = backoff.pause();
        let problem = format!("{name:?}: {}", in_words(&status));
        if started.elapsed() + pause >= patience {
            return Err(LoadError::Configuration(problem));
        }
        tracing::warn!(?pause, "loading configuration {problem}, trying again");
        sleep(pause).await;
    }
}

async fn get(operator: &Operator, name: &str) -> Result<ConfigurationSpec, Status> {
    const METHOD: &str = "/dapr.proto.operator.v1.Operator/GetConfiguration";
    let mut client = operator.client.clone();
    let request = GetConfigurationRequest {
        name: name.to_owned(),
        namespace: operator.namespace.clone(),
    };
    let answer = operator.ask(METHOD, request, |request| client.get_configuration(request));
    let answer = answer.await?;
    let configuration = read(operator, name, &answer.configuration);
    let configuration = configuration
        .map_err(|error| Status::data_loss(format!("it is not a Configuration: {error}")))?;
    Ok(configuration.spec)
}

/// Decodes the Configuration, and notes what became of it.
fn read(operator: &Operator, name: &str, json: &[u8]) -> Result<Configuration, String> {
    let decoded = decode(json);
    operator.ledger.replace("Configuration", || {
        let outcome = match &decoded {
            Ok(_) => Outcome::Loaded,
            Err(reason) => Outcome::Failed {
                reason: reason.clone(),
                // Without one the sidecar does not run for long.
                older_in_force: true,
            },
        };
        [(name.to_owned(), State::new(&Revision::read(json), outcome))]
    });
    decoded
}

/// Publishes every change for as long as the process lives.
pub(super) async fn follow(
    operator: Operator,
    name: String,
    (current, control): (watch::Sender<Arc<ConfigurationSpec>>, Control),
) {
    let opened = Arc::new(Notify::new());
    let mut asked = control.clone();
    let refetch = async {
        loop {
            // Changes while the stream was away are not told.
            tokio::select! {
                () = opened.notified() => {}
                () = asked.asked() => {}
            }
            match get(&operator, &name).await {
                Ok(spec) => publish(&current, spec),
                Err(status) => tracing::warn!(
                    configuration = name,
                    status = in_words(&status),
                    "fetching the configuration again failed, the last one stays in force"
                ),
            }
        }
    };
    let mut following = control.clone();
    let streaming = async {
        let end = following
            .while_following(|| {
                let mut changes = Changes {
                    operator: operator.clone(),
                    name: name.clone(),
                    opened: Arc::clone(&opened),
                    current: current.clone(),
                };
                async move { trilby_grpc::follow(&mut changes, Backoff::default()).await }
            })
            .await;
        tracing::warn!(
            status = in_words(&end),
            "the operator does not stream configurations, changes take effect at the next start or reload"
        );
    };
    tokio::join!(streaming, refetch);
}

fn publish(current: &watch::Sender<Arc<ConfigurationSpec>>, spec: ConfigurationSpec) {
    let changed = current.send_if_modified(|old| {
        let changed = **old != spec;
        if changed {
            *old = Arc::new(spec);
        }
        changed
    });
    if changed {
        tracing::info!("configuration changed");
    }
}

/// The stream of changes.
struct Changes {
    operator: Operator,
    name: String,
    opened: Arc<Notify>,
    current: watch::Sender<Arc<ConfigurationSpec>>,
}

#[async_trait]
impl Follower for Changes {
    type Item = ConfigurationUpdateEvent;
    type Stream = Messages<ConfigurationUpdateEvent>;

    async fn open(&mut self) -> Result<Self::Stream, Status> {
        let mut client = self.operator.client.clone();
        let request = ConfigurationUpdateRequest {
            namespace: self.operator.namespace.clone(),
        };
        let opened = Arc::clone(&self.opened);
        Ok(streaming(
            async move { client.configuration_update(request).await },
            move || opened.notify_one(),
        ))
    }

    async fn item(&mut self, event: ConfigurationUpdateEvent) -> Result<(), Status> {
        let name = Received::decode_name(&event.configuration);
        if name.as_deref() != Some(&self.name) {
            return Ok(());
        }
        if event.r#type() == ResourceEventType::Deleted {
            tracing::warn!(
                configuration = self.name,
                "the configuration was deleted: it stays in force until the sidecar starts again"
            );
            return Ok(());
        }
        match read(&self.operator, &self.name, &event.configuration) {
            Ok(configuration) => publish(&self.current, configuration.spec),
            Err(error) => tracing::error!(
                configuration = self.name,
                error,
                "the changed configuration cannot be used, the last one stays in force"
            ),
        }
        Ok(())
    }

    fn lost(&mut self, status: &Status, retry_in: Duration) {
        tracing::warn!(
            status = in_words(status),
            ?retry_in,
            "lost the operator's stream of configurations"
        );
    }
}
