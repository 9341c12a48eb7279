//! Obtains an SVID from sentry and renews it for as long as the process lives.
//!
//! [`start`] checks the configuration and returns two things: the [`Identity`], still empty, and a
//! future that fills it and keeps it current. The future never gives up: sentry may be away for as
//! long as it likes, at start or later; the reason stands in the log, in the metrics and in what the
//! process' readiness says. An SVID that expired makes the process unready.
//!
//! ```no_run
//! # use trilby_sentry_client::{Config, ControlPlane, Hooks, Mode, TokenSource};
//! # async fn example(anchors: trilby_identity::Anchors, hooks: Hooks) -> Result<(), Box<dyn std::error::Error>> {
//! let control_plane = ControlPlane::new("cluster.local".parse()?, "dapr-system")?;
//! let config = Config {
//!     sentry_address: "dapr-sentry.dapr-system.svc:443".to_owned(),
//!     app_id: "dapr-operator".to_owned(),
//!     namespace: "dapr-system".to_owned(),
//!     token: TokenSource::discover(Mode::Kubernetes, |name| std::env::var(name).ok())?,
//!     control_plane,
//!     anchors,
//!     key_type: trilby_identity::KeyType::Ed25519,
//!     jwt_audiences: Vec::new(),
//! };
//! let (identity, renewal) = trilby_sentry_client::start(config, hooks)?;
//! # drop((identity, renewal)); Ok(())
//! # }
//! ```
//!
//! JWTs that sentry sends along are part of the SVID and renewed with it; the first to expire decides when.

mod config;
mod observer;
mod signer;
mod token;

use std::{future::Future, sync::Arc};

use tokio_util::sync::CancellationToken;
use trilby_identity::{
    Anchors, AnchorsFile, Identity, LearntAnchors, Publisher, Rotation, Schedule, SystemClock,
    TrustBundle,
};

pub use config::{Config, ConfigError, ControlPlane};
pub use observer::{Health, Hooks};
pub use token::{Mode, TokenError, TokenSource};

/// Prepares an identity. Nothing happens until the returned future is polled; spawn it. It ends
/// when `hooks.cancel` is cancelled, and only then.
///
/// Anchors given as text are replaced by those that come with each certificate: they were sent by
/// the sentry that the anchors in force vouch for, and so a new root reaches a process that was
/// started with the old one. A file of anchors always has the last word.
///
/// # Errors
/// When the configuration cannot work, whatever sentry says.
pub fn start(
    config: Config,
    hooks: Hooks,
) -> Result<(Identity, impl Future<Output = ()> + Send + 'static), ConfigError> {
    let Hooks {
        metrics,
        cancel,
        health,
    } = hooks;
    let observer = observer::Observer::register(&config, &metrics, health)?;
    let (bundle, file, learnt_anchors) = match &config.anchors {
        Anchors::Pem(pem) => {
            let bundle = TrustBundle::from_pem(pem.as_bytes())?;
            (bundle, None, LearntAnchors::Adopt)
        }
        Anchors::File(path) => {
            let file = AnchorsFile::new(path);
            (TrustBundle::empty(), Some(file), LearntAnchors::Ignore)
        }
    };
    let (publisher, identity) = Publisher::new(bundle, Arc::new(SystemClock));
    let rotation = Rotation {
        key_type: config.key_type,
        signer: signer::SentrySigner::new(config, &identity)?,
        observer: Arc::new(observer),
        learnt_anchors,
        schedule: Schedule::default(),
    };
    Ok((identity, keep(rotation, file, (publisher, cancel))))
}

async fn keep(
    rotation: Rotation<signer::SentrySigner>,
    file: Option<AnchorsFile>,
    (publisher, cancel): (Publisher, CancellationToken),
) {
    let anchors = async {
        match file {
            Some(file) => file.follow(publisher.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = anchors => {}
        _never = rotation.run(publisher.clone()) => {}
    }
}
