//! Tracing: exporters that follow the Configuration while requests run.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use trilby_bootstrap::Process;
use trilby_crds::ConfigurationSpec;
use trilby_resources::Resources;
use trilby_telemetry::{Exports, Settings, Stats, Tracing};

use super::Ending;
use crate::config::Config;

/// How long the last spans may take when the sidecar ends; less than the process waits for its tasks.
const LAST_SPANS: Duration = Duration::from_millis(700);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts what `spec.tracing` asks for, and starts it anew when that changes.
///
/// # Errors
/// The first Configuration asks for something that cannot work.
pub(super) fn start(
    (process, ending): (&Process, &Ending),
    config: &Config,
    resources: &Resources,
) -> anyhow::Result<Tracing> {
    let mut configurations = resources.configuration();
    let follower = Follower {
        tracing: Tracing::off(),
        app_id: config.app_id.clone(),
        variables: config.environment.tracing.clone(),
        stats: Arc::default(),
        running: FuturesUnordered::new(),
    };
    let first = follower.settings(&configurations.borrow_and_update());
    let first = first.context("the Configuration's spec.tracing")?;
    follower
        .install(&first)
        .context("the Configuration's spec.tracing")?;
    let tracing = follower.tracing.clone();
    let closing = ending.closing.clone();
    process.spawn("tracing", async move {
        follower.follow(configurations, first, closing).await;
        Ok(())
    });
    Ok(tracing)
}

/// Keeps exporters as the Configuration wants them.
struct Follower {
    tracing: Tracing,
    app_id: String,
    variables: trilby_telemetry::Variables,
    stats: Arc<Stats>,
    /// Exporters in force, and those that still deliver what they took before.
    running: FuturesUnordered<Running>,
}

impl Follower {
    fn settings(&self, configuration: &ConfigurationSpec) -> anyhow::Result<Settings> {
        Ok(Settings::new(
            configuration.tracing.as_ref(),
            &self.variables,
        )?)
    }

    /// Puts exporters in the place of those before. If they cannot be made, those before stay.
    fn install(&self, settings: &Settings) -> anyhow::Result<()> {
        let process = (self.app_id.as_str(), &self.variables);
        let provider = trilby_identity::crypto_provider();
        let exports = Exports::new(settings, process, (&provider, &self.stats))?;
        tracing::info!(target: "dapr.runtime", "Dapr trace sampler initialized: {}", exports.sampler());
        self.running.push(Box::pin(exports.install(&self.tracing)));
        Ok(())
    }

    async fn follow(
        mut self,
        mut configurations: tokio::sync::watch::Receiver<Arc<ConfigurationSpec>>,
        mut in_force: Settings,
        closing: tokio_util::sync::CancellationToken,
    ) {
        let mut followed = true;
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                Some(()) = self.running.next() => {}
                changed = configurations.changed(), if followed => match changed {
                    Ok(()) => {
                        let configuration = Arc::clone(&configurations.borrow_and_update());
                        self.change(&configuration, &mut in_force);
                    }
                    // Without a named Configuration there is nothing to follow.
                    Err(_) => followed = false,
                },
            }
        }
        self.finish().await;
    }

    fn change(&self, configuration: &ConfigurationSpec, in_force: &mut Settings) {
        let changed = self.settings(configuration);
        let changed = match changed {
            Ok(settings) if settings == *in_force => return,
            Ok(settings) => self.install(&settings).map(|()| settings),
            Err(error) => Err(error),
        };
        match changed {
            Ok(settings) => *in_force = settings,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "changed spec.tracing is refused, the old one stays in force"
                );
            }
        }
    }

    /// Delivers what is left, for as long as that may take.
    async fn finish(mut self) {
        self.tracing.stop();
        let delivered = timeout(LAST_SPANS, async {
            while self.running.next().await.is_some() {}
        })
        .await;
        let (exported, dropped) = (self.stats.exported(), self.stats.dropped());
        if delivered.is_err() {
            tracing::warn!(
                exported,
                dropped,
                "ending before the last spans were exported"
            );
        } else if exported + dropped > 0 {
            tracing::info!(exported, dropped, "tracing ended");
        }
    }
}
