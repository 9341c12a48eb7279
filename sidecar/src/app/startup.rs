//! What happens once the servers run: the application is waited for, asked what it hosts, and followed while its
//! health comes and goes.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::Instant;
use trilby_actors::{AppConfig as HostedConfig, HostedActors};
use trilby_bootstrap::{Latch, Process};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_sidecar_args::AppProtocol;

use super::Ending;
use crate::app_health::{wait_until_listening, watch_health};
use crate::blocks::Blocks;
use crate::blocks::invoke::headers::{APP_ID, Origin};
use crate::blocks::invoke::{Call, Outcome};
use crate::channel::{AppChannel, Connector};
use crate::config::{AppConfig, Config};
use crate::payload::Payload;

/// What the application says about its actors.
const CONFIG_PATH: &str = "dapr/config";

/// Follows the application from its start to the sidecar's end.
pub(super) fn spawn(
    (process, ending): (&Process, &Ending),
    (config, began): (Config, Instant),
    blocks: Arc<Blocks>,
    (health, consuming): (watch::Sender<bool>, watch::Sender<bool>),
) {
    let ready = process.readiness().latch("runtime");
    let serving = ending.serving.clone();
    process.spawn("application", async move {
        let startup = Startup {
            config,
            blocks,
            began,
            consuming,
        };
        tokio::select! {
            () = serving.cancelled() => Ok(()),
            result = startup.run(&ready, health) => result,
        }
    });
}

struct Startup {
    config: Config,
    blocks: Arc<Blocks>,
    began: Instant,
    /// Whether the application takes events and messages: it is ready, and healthy.
    consuming: watch::Sender<bool>,
}

impl Startup {
    async fn run(self, ready: &Latch, health: watch::Sender<bool>) -> anyhow::Result<()> {
        let (Some(app), Some(channel)) = (&self.config.app, &self.blocks.invoke.app) else {
            self.host(HostedActors::default());
            self.finished(ready);
            return std::future::pending().await;
        };
        wait_until_listening(app, &connector(app)).await;
        let mut healthy = health.subscribe();
        let probing = async {
            match &app.health {
                Some(check) => watch_health(channel.clone(), check.clone(), health).await,
                None => std::future::pending().await,
            }
        };
        let following = async {
            healthy
                .wait_for(|healthy| *healthy)
                .await
                .context("nobody watches the application's health")?;
            let hosted = self.ask(app, channel).await;
            self.host(hosted.clone());
            self.blocks.subscriptions.begin().await;
            self.finished(ready);
            self.consuming.send_replace(true);
            self.follow(healthy, hosted).await
        };
        tokio::select! {
            () = probing => anyhow::bail!("the application's health is no longer watched"),
            result = following => result,
        }
    }

    /// Hosts actors while the application is healthy.
    async fn follow(
        &self,
        mut healthy: watch::Receiver<bool>,
        hosted: HostedActors,
    ) -> anyhow::Result<()> {
        let gone = "nobody watches the application's health";
        loop {
            healthy.wait_for(|healthy| !healthy).await.context(gone)?;
            self.consuming.send_replace(false);
            self.blocks.actors.runtime().set_hosted(None);
            healthy.wait_for(|healthy| *healthy).await.context(gone)?;
            self.host(hosted.clone());
            self.consuming.send_replace(true);
        }
    }

    fn host(&self, hosted: HostedActors) {
        self.blocks.actors.runtime().set_hosted(Some(hosted));
    }

    /// Asks the application what it hosts. One that does not say, or says it wrongly, hosts nothing.
    async fn ask(&self, app: &AppConfig, channel: &AppChannel) -> HostedActors {
        let AppChannel::Http(_) = channel else {
            return HostedActors::default();
        };
        if !app.asks_config {
            tracing::warn!(
                "Skipping programmatic dapr configuration loading (see 'disable-init-endpoints' flag/annotation)"
            );
            return HostedActors::default();
        }
        match self.app_config(channel).await {
            Ok(hosted) => hosted,
            Err(error) => {
                tracing::warn!(%error, "the application's configuration is not used: it hosts no actors");
                HostedActors::default()
            }
        }
    }

    async fn app_config(&self, channel: &AppChannel) -> anyhow::Result<HostedActors> {
        let answer = channel.invoke(self.question()?).await?;
        match answer.outcome {
            Outcome::Http(status) if status == http::StatusCode::OK => {}
            _ => return Ok(HostedActors::default()),
        }
        let body = answer.body.collect(self.blocks.invoke.max_body).await?;
        let config = HostedConfig::from_json(&body)?;
        Ok(HostedActors::new(
            &config,
            self.config.control_plane.disseminate_timeout,
        )?)
    }

    fn question(&self) -> anyhow::Result<Call> {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            APP_ID,
            self.config
                .app_id
                .parse()
                .context("app-id cannot be sent as a header")?,
        );
        Ok(Call {
            method: CONFIG_PATH.to_owned(),
            verb: Verb::Get,
            query: String::new(),
            content_type: "application/json".to_owned(),
            type_url: String::new(),
            headers,
            origin: Origin::Http,
            body: Payload::empty(),
        })
    }

    fn finished(&self, ready: &Latch) {
        ready.ready();
        let elapsed = self.began.elapsed().as_millis();
        tracing::info!("dapr initialized. Status: Running. Init Elapsed {elapsed}ms");
    }
}

fn connector(app: &AppConfig) -> Connector {
    match app.protocol {
        AppProtocol::Https | AppProtocol::Grpcs => Connector::tls(&app.host, app.port),
        AppProtocol::Http | AppProtocol::H2c | AppProtocol::Grpc => {
            Connector::plain(&app.host, app.port)
        }
    }
}
