//! From flags to a running authority.

mod backing;

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use trilby_bootstrap::{Latch, Process, net::listen_async, refuse_root, root_allowed};
use trilby_grpc::{ServeConfig, serve};
use trilby_identity::{
    ClientAuth, KeyType, LearntAnchors, Publisher, Rotation, Schedule, SpiffeId, SystemClock,
    TrustBundle, TrustDomain,
};
use trilby_proto::sentry::v1::ca_server::CaServer;

use crate::{
    api::CertificateApi,
    args::{Args, Mode},
    authority::{Authority, Leaves, OwnObserver, OwnSigner},
    dns_names::DnsNames,
    metrics::Metrics,
    oidc::{CertificateFiles, Discovery},
    rates::Rates,
    rotation::Evidence,
    settings::Follower,
    tokens::TokenSettings,
    validator::{JwksValidator, KubernetesValidator},
};
use backing::Backing;

/// The longest request, in bytes: a token and a CSR, with room to spare.
const MAX_REQUEST: usize = 256 * 1024;

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `NAMESPACE`: where sentry runs.
    pub namespace: Option<String>,
    /// `DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK`
    pub root_allowed: bool,
}

/// An authority whose sockets are open, and which has begun nothing yet.
pub struct Bound {
    listener: TcpListener,
    authority: Arc<Authority>,
    api: CertificateApi,
    followed: Followed,
    discovery: Option<BoundDiscovery>,
    issuer_latch: Latch,
    process: Process,
}

/// What is kept current beside the authority.
struct Followed {
    settings: Follower,
    jwks: Option<Arc<JwksValidator>>,
    kubernetes: Option<Arc<KubernetesValidator>>,
}

/// The discovery server, with an open socket.
struct BoundDiscovery {
    discovery: Discovery,
    listener: TcpListener,
    certificate: Option<CertificateFiles>,
}

// === impl Environment ===

impl Environment {
    /// This process's.
    #[must_use]
    pub fn read() -> Self {
        let env = |name: &str| std::env::var(name).ok();
        Self {
            namespace: env("NAMESPACE"),
            root_allowed: root_allowed(env),
        }
    }

    fn namespace(&self, mode: Mode) -> anyhow::Result<&str> {
        match (self.namespace.as_deref(), mode) {
            (Some(""), _) => anyhow::bail!("NAMESPACE is set but empty"),
            (Some(namespace), _) => Ok(namespace),
            (None, Mode::Standalone) => Ok("default"),
            (None, Mode::Kubernetes) => {
                anyhow::bail!("NAMESPACE must be set in Kubernetes mode")
            }
        }
    }
}

/// Opens the sockets and reads the Configuration. In standalone mode the certificate authority is
/// loaded too, so that a bad one ends the process at once; in Kubernetes mode it is loaded when the
/// authority runs, and tried again until it works.
///
/// # Errors
/// Settings that cannot work, and what the process cannot do without.
pub async fn build(
    args: Args,
    environment: &Environment,
    process: &Process,
) -> anyhow::Result<Bound> {
    if args.mode == Mode::Kubernetes && !environment.root_allowed {
        refuse_root(|_| None)?;
    }
    let tokens = args.jwt.settings()?;
    let issuer_latch = process.readiness().latch("issuer");
    let namespace = environment.namespace(args.mode)?;
    let trust_domain = TrustDomain::parse(&args.trust_domain).context("--trust-domain")?;
    let sentry = SpiffeId::new(&trust_domain, namespace, "dapr-sentry").context("NAMESPACE")?;
    let listener = listen_async(&args.listen_address, args.port)?;
    let backing = Backing::new(&args, &sentry, &issuer_latch).await?;
    let dns_names = DnsNames {
        namespace: namespace.to_owned(),
        cluster_domain: backing
            .cluster_domain
            .unwrap_or_else(|| trust_domain.to_string()),
    };
    let metrics = Metrics::register(process.metrics())?;
    let (validity_now, validity) = watch::channel(backing.settings.validity);
    let authority = Arc::new(Authority {
        store: backing.store,
        surroundings: backing.surroundings,
        evidence: Evidence::default(),
        leaves: Leaves::default(),
        sentry,
        trust_domain: trust_domain.clone(),
        sources: backing.sources,
        validity,
        tokens: tokens.clone(),
        clock: Arc::new(SystemClock),
        metrics: metrics.clone(),
        current: watch::Sender::new(None),
    });
    let discovery = discovery(&args, tokens.as_ref(), &authority)?;
    if args.mode == Mode::Standalone {
        authority.refresh().await?;
    }
    let followed = Followed {
        settings: Follower {
            origin: backing.origin,
            settings: backing.settings,
            trust_domain,
            validity: validity_now,
            metrics,
        },
        jwks: backing.validators.jwks.clone(),
        kubernetes: backing.validators.kubernetes(),
    };
    let rates = NonZeroU32::new(args.max_requests_per_identity).map(Rates::new);
    let api = CertificateApi::new(Arc::clone(&authority), backing.validators, dns_names, rates);
    Ok(Bound {
        listener,
        authority,
        api,
        followed,
        discovery,
        issuer_latch,
        process: process.clone(),
    })
}

/// The discovery server, if the flags ask for one.
fn discovery(
    args: &Args,
    tokens: Option<&TokenSettings>,
    authority: &Authority,
) -> anyhow::Result<Option<BoundDiscovery>> {
    let (Some(settings), Some(tokens)) = (args.oidc.settings(tokens)?, tokens) else {
        return Ok(None);
    };
    let current = authority.current.subscribe();
    let discovery = Discovery::new(&settings, tokens.algorithm, current)?;
    let oidc = &args.oidc;
    Ok(Some(BoundDiscovery {
        discovery,
        listener: listen_async(
            &oidc.oidc_server_listen_address,
            oidc.oidc_server_listen_port,
        )?,
        certificate: settings.certificate,
    }))
}

impl Bound {
    /// Where certificates are signed.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn grpc_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Begins: loads the authority, signs its own certificate, serves. Connections are refused
    /// until that certificate is there.
    pub fn start(self) {
        let Self {
            listener,
            authority,
            api,
            followed,
            discovery,
            issuer_latch,
            process,
        } = self;
        let clock = Arc::clone(&authority.clock);
        let (publisher, identity) = Publisher::new(TrustBundle::empty(), clock);
        let own_latch = process.readiness().latch("security-provider");
        let rotation = own_certificate(Arc::clone(&authority), own_latch);
        let own = publisher.clone();
        let service = CaServer::new(api).max_decoding_message_size(MAX_REQUEST);
        let routes = Routes::new(service).prepare();
        let tls = identity.server_tls(ClientAuth::None);
        let cancel = process.shutdown();
        let issuer = async move {
            authority.keep(publisher, issuer_latch).await;
        };
        let renewal = async move {
            rotation.run(own).await;
        };
        process.spawn("issuer", until(cancel.clone(), issuer));
        process.spawn("own certificate", until(cancel.clone(), renewal));
        followed.start(&process);
        if let Some(discovery) = discovery {
            discovery.start(&process);
        }
        process.spawn("grpc", async move {
            let options = (ServeConfig::new("sentry"), cancel);
            serve(listener, Some(tls), routes, options).await;
            Ok(())
        });
    }
}

impl Followed {
    fn start(self, process: &Process) {
        let cancel = process.shutdown();
        let settings = async move {
            self.settings.run().await;
        };
        process.spawn("configuration", until(cancel.clone(), settings));
        if let Some(jwks) = self.jwks {
            let latch = process.readiness().latch("sentry-jwks-validator");
            let keys = async move {
                jwks.keep(latch).await;
            };
            process.spawn("keys of tokens", until(cancel.clone(), keys));
        }
        if let Some(kubernetes) = self.kubernetes {
            let latch = process.readiness().latch("sentry-kubernetes-validator");
            let reviews = async move {
                kubernetes.keep(latch).await;
            };
            process.spawn("token reviews", until(cancel, reviews));
        }
    }
}

impl BoundDiscovery {
    fn start(self, process: &Process) {
        let latch = process.readiness().latch("oidc-server");
        let serving =
            self.discovery
                .serve(self.listener, (self.certificate, latch), process.shutdown());
        process.spawn("oidc", serving);
    }
}

/// Keeps sentry's own certificate current.
fn own_certificate(authority: Arc<Authority>, latch: Latch) -> Rotation<OwnSigner> {
    Rotation {
        observer: Arc::new(OwnObserver {
            latch,
            metrics: authority.metrics.clone(),
        }),
        signer: OwnSigner(authority),
        key_type: KeyType::Ed25519,
        // The authority publishes them, in step with the issuer.
        learnt_anchors: LearntAnchors::Ignore,
        schedule: Schedule::default(),
    }
}

/// Runs a task that never ends, until the process does.
async fn until(cancel: CancellationToken, task: impl Future<Output = ()>) -> anyhow::Result<()> {
    cancel.run_until_cancelled(task).await;
    Ok(())
}
