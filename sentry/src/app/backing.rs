//! Everything that depends on the mode: where documents are kept, whom to believe, what is configured.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use kube::{Client, Config as KubeConfig, config::Kubeconfig};
use trilby_bootstrap::Latch;
use trilby_identity::{SpiffeId, SystemClock, TrustDomain};

use crate::{
    args::{Args, Mode},
    dns_names::cluster_domain,
    external::External,
    settings::{Origin, Settings},
    source::Sources,
    store::{DiskStore, Keys, KubernetesStore, Store},
    surroundings::{KubernetesSurroundings, Surroundings},
    validator::{Builtin, InsecureValidator, JwksValidator, KubernetesValidator, Validators},
};

/// See the module.
pub(super) struct Backing {
    pub(super) store: Store,
    pub(super) surroundings: Surroundings,
    pub(super) sources: Sources,
    pub(super) validators: Validators,
    pub(super) origin: Origin,
    pub(super) settings: Settings,
    pub(super) cluster_domain: Option<String>,
}

impl Backing {
    /// Reads the Configuration; on Kubernetes waits for it, and tells `latch` why.
    pub(super) async fn new(args: &Args, sentry: &SpiffeId, latch: &Latch) -> anyhow::Result<Self> {
        match args.mode {
            Mode::Standalone => standalone(args, sentry).await,
            Mode::Kubernetes => kubernetes(args, sentry, latch).await,
        }
    }
}

async fn standalone(args: &Args, sentry: &SpiffeId) -> anyhow::Result<Backing> {
    let path = |name: &Path| args.issuer_credentials.join(name);
    let origin = Origin::File(args.config.clone());
    let settings = origin.read().await?;
    let jwks = jwks(&settings, sentry)?;
    let builtin = jwks.is_none().then(|| insecure(args, sentry));
    let ca = path(&args.issuer_ca_filename);
    let jwt = &args.jwt;
    let tokens = (path(&jwt.jwt_key_filename), path(&jwt.jwks_filename));
    let status = ca.with_file_name("rotation-status.yaml");
    Ok(Backing {
        surroundings: Surroundings::Machine { status },
        store: Store::Disk(DiskStore {
            root_key: root_key(&ca),
            ca,
            issuer: path(&args.issuer_certificate_filename),
            key: path(&args.issuer_key_filename),
            tokens: jwt.jwt_enabled.then_some(tokens),
        }),
        sources: sources(args, None)?,
        validators: Validators { builtin, jwks },
        origin,
        settings,
        cluster_domain: None,
    })
}

/// The validator that believes everybody, with a warning if that is more than this machine.
fn insecure(args: &Args, sentry: &SpiffeId) -> Builtin {
    let address = args.listen_address.trim_matches(['[', ']']);
    let ip = address.parse::<std::net::IpAddr>();
    let local = address == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
    if local {
        tracing::info!("callers are believed without a token");
    } else {
        tracing::warn!(
            address,
            control_plane_is_local = args.insecure_local_control_plane,
            "callers are believed without a token, also from other machines: whoever reaches the port can be anybody"
        );
    }
    Builtin::Insecure(if args.insecure_local_control_plane {
        InsecureValidator::reserving(sentry)
    } else {
        InsecureValidator::default()
    })
}

fn jwks(settings: &Settings, sentry: &SpiffeId) -> anyhow::Result<Option<Arc<JwksValidator>>> {
    let Some(options) = settings.jwks.clone() else {
        return Ok(None);
    };
    let validator = JwksValidator::new(options, sentry, Arc::new(SystemClock))?;
    Ok(Some(Arc::new(validator)))
}

async fn kubernetes(args: &Args, sentry: &SpiffeId, latch: &Latch) -> anyhow::Result<Backing> {
    let client = client(args.kubeconfig.as_deref()).await?;
    let namespace = sentry.namespace();
    let origin = Origin::object(&client, namespace, &args.config);
    let settings = origin.wait(latch).await?;
    let jwks = jwks(&settings, sentry)?;
    let keys = Keys {
        ca: key(&args.issuer_ca_filename)?,
        issuer: key(&args.issuer_certificate_filename)?,
        key: key(&args.issuer_key_filename)?,
        root_key: key(&root_key(&args.issuer_ca_filename))?,
        token_key: key(&args.jwt.jwt_key_filename)?,
        jwks: key(&args.jwt.jwks_filename)?,
    };
    let store = KubernetesStore::new(&client, namespace, keys);
    let trust_domain = TrustDomain::parse(sentry.trust_domain())?;
    let replica = std::env::var("HOSTNAME").unwrap_or_else(|_| "sentry".to_owned());
    let surroundings = KubernetesSurroundings::new(&client, namespace, replica);
    let sources = sources(args, Some((&client, sentry)))?;
    let validator = KubernetesValidator::new(client, sentry, trust_domain);
    Ok(Backing {
        store: Store::Kubernetes(Box::new(store)),
        surroundings: Surroundings::Cluster(Box::new(surroundings)),
        sources,
        validators: Validators {
            builtin: Some(Builtin::Kubernetes(Arc::new(validator))),
            jwks,
        },
        origin,
        settings,
        cluster_domain: cluster_domain(Path::new("/etc/resolv.conf")),
    })
}

/// Who makes authorities; somebody outside only where there is an API server to ask.
fn sources(args: &Args, cluster: Option<(&Client, &SpiffeId)>) -> anyhow::Result<Sources> {
    let own = args.authority.source()?;
    let settings = args.external.settings(args.mode, &own)?;
    let mut sources = Sources::own(own);
    if let (Some(settings), Some((client, sentry))) = (settings, cluster) {
        sources.configured = Arc::new(External::new(client, sentry, settings));
    }
    Ok(sources)
}

/// The root's key lies beside the root: `ca.key` beside `ca.crt`.
fn root_key(ca: &Path) -> PathBuf {
    let key = ca.with_extension("key");
    // A name without an extension, or with this one, must not be overwritten.
    if key == ca {
        ca.with_extension("root-key")
    } else {
        key
    }
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
