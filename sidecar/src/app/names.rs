//! How other sidecars are found, and how they find this one.

use tokio::net::TcpListener;
use trilby_bootstrap::Process;
use trilby_components::name_resolution::Instance;
use trilby_sidecar_args::Mode;

use super::listeners::{Listeners, Socket, address_of};
use super::{Ending, Parts, Wiring};
use crate::config::Config;
use crate::host;
use crate::resolver::{Following, Names};

/// The loopback addresses as `dapr-internal-grpc-listen-address` has them, and as an address: a sidecar that
/// listens there is found there, as upstream's is.
const LOOPBACK: [(&str, &str); 3] = [
    ("127.0.0.1", "127.0.0.1"),
    ("localhost", "127.0.0.1"),
    ("[::1]", "::1"),
];

/// What is to be followed once the servers run; nothing if the build brings its own resolver.
pub(super) fn wire(
    wired: &Wiring<'_>,
    parts: Parts,
    internal: &TcpListener,
) -> (Names, Option<Following>) {
    if let Some(resolver) = parts.resolver {
        return (Names::fixed(resolver), None);
    }
    let names = Names::default();
    let following = Following {
        names: names.clone(),
        registry: parts.registry,
        configuration: wired.resources.configuration(),
        default: match wired.config.mode {
            Mode::Kubernetes => "kubernetes",
            Mode::Standalone => "mdns",
        },
        instance: instance(wired.config, address_of(internal).port()),
    };
    (names, Some(following))
}

fn instance(config: &Config, internal_port: u16) -> Instance {
    let told = config.servers.internal_address.as_str();
    Instance {
        app_id: config.app_id.clone(),
        namespace: config.environment.namespace.clone(),
        host: match LOOPBACK.iter().find(|(name, _)| *name == told) {
            Some((_, address)) => (*address).to_owned(),
            None => host::address(config.environment.host_ip).to_string(),
        },
        http_port: config.servers.http_port,
        internal_port,
        app_port: config.app.as_ref().map(|app| app.port),
    }
}

/// Follows from now on. The sidecar is ready once the first attempt is over: whoever saw it ready can find it.
pub(super) fn spawn(
    (process, ending): (&Process, &Ending),
    following: Option<Following>,
    listeners: &Listeners,
) {
    let Some(mut following) = following else {
        return;
    };
    if let Some(Socket::Tcp(http)) = listeners.http.first() {
        following.instance.http_port = address_of(http).port();
    }
    let (serving, closing) = (ending.serving.clone(), ending.closing.clone());
    let ready = process.readiness().latch("name-resolution");
    let names = following.names.clone();
    process.spawn("name-resolution", async move {
        let first_attempt = async {
            names.settled().await;
            ready.ready();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = following.run(serving, closing) => {}
            () = first_attempt => {}
        }
        Ok(())
    });
}
