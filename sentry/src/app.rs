//! From flags to a running authority.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use kube::{Client, Config as KubeConfig, config::Kubeconfig};
use tokio::{net::TcpListener, sync::watch};
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
    authority::{Authority, OwnObserver, OwnSigner},
    dns_names::{DnsNames, cluster_domain},
    metrics::Metrics,
    settings::{self, Settings},
    store::{DiskStore, Keys, KubernetesStore, Store},
    validator::{KubernetesValidator, Validators},
};

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

/// An authority whose socket is open, and which has begun nothing yet.
pub struct Bound {
    listener: TcpListener,
    authority: Arc<Authority>,
    api: CertificateApi,
    issuer_latch: Latch,
    process: Process,
}

/// Everything that depends on the mode.
struct Backing {
    store: Store,
    validators: Validators,
    settings: Settings,
    cluster_domain: Option<String>,
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

/// Opens the socket and reads the Configuration. In standalone mode the certificate authority is
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
    check(&args, environment)?;
    let issuer_latch = process.readiness().latch("issuer");
    let namespace = environment.namespace(args.mode)?;
    let trust_domain = TrustDomain::parse(&args.trust_domain).context("--trust-domain")?;
    let sentry = SpiffeId::new(&trust_domain, namespace, "dapr-sentry").context("NAMESPACE")?;
    let listener = listen_async(&args.listen_address, args.port)?;
    let backing = match args.mode {
        Mode::Standalone => standalone(&args)?,
        Mode::Kubernetes => kubernetes(&args, (&sentry, &trust_domain), &issuer_latch).await?,
    };
    let dns_names = DnsNames {
        namespace: namespace.to_owned(),
        cluster_domain: backing
            .cluster_domain
            .unwrap_or_else(|| trust_domain.to_string()),
    };
    let authority = Arc::new(Authority {
        store: backing.store,
        sentry,
        trust_domain,
        validity: backing.settings.validity,
        clock: Arc::new(SystemClock),
        metrics: Metrics::register(process.metrics())?,
        current: watch::Sender::new(None),
    });
    if args.mode == Mode::Standalone {
        authority.refresh().await?;
    }
    Ok(Bound {
        listener,
        api: CertificateApi::new(Arc::clone(&authority), backing.validators, dns_names),
        authority,
        issuer_latch,
        process: process.clone(),
    })
}

/// Refuses what makes no sense, and warns about what has no effect.
fn check(args: &Args, environment: &Environment) -> anyhow::Result<()> {
    ensure!(
        !args.jwt.issuer_without_jwt(),
        "jwt-issuer cannot be set when jwt-enabled is false"
    );
    for flag in args.jwt.without_effect() {
        tracing::warn!(flag, "flag has no effect: issuing JWTs is not built yet");
    }
    match args.mode {
        Mode::Standalone => Ok(()),
        Mode::Kubernetes if environment.root_allowed => Ok(()),
        Mode::Kubernetes => Ok(refuse_root(|_| None)?),
    }
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
        process.spawn("grpc", async move {
            let options = (ServeConfig::new("sentry"), cancel);
            serve(listener, Some(tls), routes, options).await;
            Ok(())
        });
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
async fn until(
    cancel: tokio_util::sync::CancellationToken,
    task: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    cancel.run_until_cancelled(task).await;
    Ok(())
}

fn standalone(args: &Args) -> anyhow::Result<Backing> {
    let path = |name: &Path| args.issuer_credentials.join(name);
    let settings = settings::from_file(&args.config)?;
    if !settings.more_validators {
        tracing::info!(
            "callers are believed without a token: let only this machine reach the port"
        );
    }
    Ok(Backing {
        store: Store::Disk(DiskStore {
            ca: path(&args.issuer_ca_filename),
            issuer: path(&args.issuer_certificate_filename),
            key: path(&args.issuer_key_filename),
        }),
        validators: if settings.more_validators {
            Validators::None
        } else {
            Validators::Insecure
        },
        settings,
        cluster_domain: None,
    })
}

async fn kubernetes(
    args: &Args,
    (sentry, trust_domain): (&SpiffeId, &TrustDomain),
    latch: &Latch,
) -> anyhow::Result<Backing> {
    let client = client(args.kubeconfig.as_deref()).await?;
    let namespace = sentry.namespace();
    let settings = settings::from_cluster(&client, (namespace, &args.config), latch).await?;
    let keys = Keys {
        ca: key(&args.issuer_ca_filename)?,
        issuer: key(&args.issuer_certificate_filename)?,
        key: key(&args.issuer_key_filename)?,
    };
    let store = KubernetesStore::new(&client, namespace, keys);
    let validator = KubernetesValidator::new(client, sentry, trust_domain.clone());
    Ok(Backing {
        store: Store::Kubernetes(Box::new(store)),
        validators: Validators::Kubernetes(validator),
        settings,
        cluster_domain: cluster_domain(Path::new("/etc/resolv.conf")),
    })
}

/// A document's key in the Secret: the last part of its path.
fn key(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} is no file name", path.display()))?;
    Ok(name.to_owned())
}

/// The cluster this runs in, else what a kubeconfig file says.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    let config = match (kubeconfig, KubeConfig::incluster()) {
        (_, Ok(config)) => config,
        (Some(path), Err(_outside)) => {
            let file = Kubeconfig::read_from(PathBuf::from(path))
                .with_context(|| format!("--kubeconfig {}", path.display()))?;
            KubeConfig::from_custom_kubeconfig(file, &Default::default())
                .await
                .with_context(|| format!("--kubeconfig {}", path.display()))?
        }
        (None, Err(_outside)) => KubeConfig::from_kubeconfig(&Default::default())
            .await
            .context("neither in a cluster nor is there a ~/.kube/config")?,
    };
    Client::try_from(config).context("cannot make a Kubernetes client")
}
