//! What the API server calls: both webhooks, on one socket.

use anyhow::Context as _;
use kube::Client;
use trilby_bootstrap::{Latch, Process, net};
use trilby_identity::Identity;
use trilby_webhook::{Keeper, Server};

use crate::{
    app::Config,
    conversion,
    metrics::Metrics,
    validation::{self, Webhook},
};

/// The webhooks, with an open socket.
pub(crate) struct Webhooks {
    server: Server,
    conversion: Keeper<conversion::Registration>,
    validation: Option<Keeper<validation::Registration>>,
}

impl Webhooks {
    /// Opens the socket, if there is to be one. That the webhooks are registered makes nobody wait: sidecars can do
    /// without.
    ///
    /// # Errors
    /// The port is taken.
    pub(crate) fn open(
        config: &Config,
        (client, identity): (&Client, &Identity),
        (latch, metrics): (Latch, &Metrics),
    ) -> anyhow::Result<Option<Self>> {
        let Some(listen) = &config.webhooks else {
            latch.ready();
            return Ok(None);
        };
        let listener = net::listen_async(&listen.address, listen.port).context("webhooks")?;
        let mut routes = conversion::routes();
        if let Some(strictness) = config.validation {
            routes = routes.merge(validation::routes(Webhook {
                strictness,
                client: client.clone(),
                scope: config.scope(),
                metrics: metrics.clone(),
            }));
        }
        let conversion = conversion::Registration {
            namespace: config.namespace.clone(),
        };
        let validation = config.validation.map(|_| validation::Registration);

        Ok(Some(Self {
            conversion: Keeper::new((conversion, client.clone()), identity.bundle(), None),
            validation: validation
                .map(|target| Keeper::new((target, client.clone()), identity.bundle(), None)),
            server: Server {
                listener,
                routes,
                identity: identity.clone(),
                latch,
            },
        }))
    }

    /// Serves, and keeps the registrations true, as tasks of the process.
    pub(crate) fn start(self, process: &Process) {
        let shutdown = || process.shutdown();
        process.spawn("webhooks", trilby_webhook::serve(self.server, shutdown()));
        process.spawn("conversion-registration", self.conversion.keep(shutdown()));
        if let Some(validation) = self.validation {
            process.spawn("validation-registration", validation.keep(shutdown()));
        }
    }
}
