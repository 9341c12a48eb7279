//! Issuers that an authority outside signs: cert-manager, or whoever serves Kubernetes' own signing requests.
//!
//! ```text
//! pending key (Secret) ──► request (object in the API) ──► somebody approves, somebody signs ──► answer ──► checks
//! ```
//!
//! The key is made here, and kept in the Secret before anybody is asked: a replica that dies while it waits, or another
//! one, goes on with the same key and the same object. There is one object at most, of one name. A request that nobody
//! answers, or somebody refuses, is made again after a while; what was refused stays to be looked at until then.

mod answer;
mod cert_manager;
mod pending_key;
mod request;
mod signing_request;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use trilby_go_syntax::GoDuration;
use trilby_identity::{SpiffeId, pem};

use crate::{
    bundle::{Documents, parse, time_of},
    source::{AuthoritySource, KeyAlgorithm, NewAuthority, Order, SourceError},
};
use answer::{Accepted, Answer};
use pending_key::{Key, PendingKey};
use request::{Found, Request, Verdict};

/// How often a call looks at the request: found, deleted, made, found again, and one to spare.
const STEPS: usize = 5;

/// Whom to ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Whom.
    pub(crate) signer: Signer,
    /// A file with the roots that every answer has to lead to, PEM. Without it they come with the answer.
    pub(crate) roots: Option<PathBuf>,
    /// How long the issuer is to live; the signer may decide otherwise.
    pub(crate) life: Duration,
    /// What key it has.
    pub(crate) algorithm: KeyAlgorithm,
    /// How long a request waits for its answer, and a refusal for the next request.
    pub(crate) patience: Duration,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signer {
    /// An issuer of cert-manager's, by a `CertificateRequest`.
    CertManager(IssuerRef),
    /// The signer of this name, by a `CertificateSigningRequest`.
    SigningRequest(String),
}

/// An issuer of cert-manager's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerRef {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) group: String,
}

/// See the module.
pub(crate) struct External {
    name: &'static str,
    sentry: SpiffeId,
    settings: Settings,
    key: PendingKey,
    request: Request,
}

/// What a request was answered, as far as it is known.
enum Outcome {
    Accepted(Accepted),
    /// For the status: who has to do what, or who refused and why.
    Not(SourceError),
}

impl External {
    /// An authority for the sentry with this identity, asked for in its namespace.
    pub(crate) fn new(client: &Client, sentry: &SpiffeId, settings: Settings) -> Self {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), sentry.namespace());
        let (name, request) = match &settings.signer {
            Signer::CertManager(issuer) => (
                "cert-manager",
                cert_manager::request(client, sentry, (issuer, settings.life)),
            ),
            Signer::SigningRequest(signer) => (
                "certificate-signing-request",
                signing_request::request(client, sentry, (signer, settings.life)),
            ),
        };
        Self {
            name,
            sentry: sentry.clone(),
            key: PendingKey::new(secrets, settings.algorithm),
            settings,
            request,
        }
    }

    /// Goes on with the request, and gives its answer if there is one.
    async fn obtain(
        &self,
        roots: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<(Accepted, Key), SourceError> {
        let key = self.key.current().await?;
        for _ in 0..STEPS {
            let Some(found) = self.request.find().await? else {
                self.request.create(&self.sentry, &key).await?;
                continue;
            };
            if found.being_deleted {
                let text = format!("{} is being deleted", self.request);
                return Err(SourceError::Pending(text));
            }
            if !found.asks_for(&key, &self.request) {
                tracing::info!(request = %self.request, "it asks for something else by now, deleting it");
                self.request.delete(&found).await?;
                continue;
            }
            match self.outcome(&found, &key, (roots, now)) {
                Outcome::Accepted(accepted) => return Ok((accepted, key)),
                Outcome::Not(reason) if self.is_overdue(&found, now) => {
                    tracing::warn!(request = %self.request, %reason, "asking again");
                    self.request.delete(&found).await?;
                }
                Outcome::Not(reason) => return Err(reason),
            }
        }
        let text = format!("{} was just made", self.request);
        Err(SourceError::Pending(text))
    }

    fn outcome(
        &self,
        found: &Found,
        key: &Key,
        (roots, now): (Option<&[u8]>, SystemTime),
    ) -> Outcome {
        let refused = |reason: &dyn std::fmt::Display| {
            Outcome::Not(SourceError::External(format!(
                "{} {reason}; it is made again after {}, or at once when it is deleted",
                self.request,
                GoDuration(self.settings.patience)
            )))
        };
        match &found.verdict {
            Verdict::Waiting(whom) => {
                let text = format!("{} {whom}", self.request);
                Outcome::Not(SourceError::Pending(text))
            }
            Verdict::Refused(reason) => refused(reason),
            Verdict::Issued { chain, root } => {
                let answer = Answer {
                    chain,
                    roots: roots.unwrap_or(root),
                };
                match answer.check(&key.pair, now) {
                    Ok(accepted) => Outcome::Accepted(accepted),
                    Err(error) => refused(&format!("was answered, but {error}")),
                }
            }
        }
    }

    fn is_overdue(&self, found: &Found, now: SystemTime) -> bool {
        found.created + self.settings.patience <= now
    }

    /// The roots that the file has, if one is given.
    async fn given_roots(&self) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(path) = &self.settings.roots else {
            return Ok(None);
        };
        let unreadable = |error: &dyn std::fmt::Display| {
            SourceError::External(format!("the roots in {}: {error}", path.display()))
        };
        let roots = tokio::fs::read(path)
            .await
            .map_err(|error| unreadable(&error))?;
        match pem::certificates(&roots) {
            Ok(certificates) if certificates.is_empty() => Err(unreadable(&"no certificate")),
            Ok(_) => Ok(Some(roots)),
            Err(error) => Err(unreadable(&error)),
        }
    }
}

#[async_trait]
impl AuthoritySource for External {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn make(&self, order: Order<'_>) -> Result<NewAuthority, SourceError> {
        let roots = self.given_roots().await?;
        let (accepted, key) = self.obtain(roots.as_deref(), order.now).await?;
        Ok(NewAuthority {
            anchors_pem: accepted.roots.into_bytes(),
            issuer_chain_pem: accepted.chain.into_bytes(),
            issuer_key_pem: key.pem,
            root_key_pem: None,
        })
    }

    async fn renew(
        &self,
        current: &Documents,
        end: SystemTime,
        order: Order<'_>,
    ) -> Result<NewAuthority, SourceError> {
        if let Some(reason) = self.outdated(current) {
            return Err(SourceError::External(format!(
                "the issuer cannot be renewed: {reason}"
            )));
        }
        let (accepted, key) = self.obtain(Some(&current.ca), order.now).await?;
        if chain_end(accepted.chain.as_bytes()).is_none_or(|new_end| new_end <= end) {
            let text = format!(
                "{} was answered, but that certificate ends no later than the one in use",
                self.request
            );
            return Err(SourceError::External(text));
        }
        Ok(NewAuthority {
            anchors_pem: current.ca.clone(),
            issuer_chain_pem: accepted.chain.into_bytes(),
            issuer_key_pem: key.pem,
            root_key_pem: None,
        })
    }

    /// When the given roots have none of the current ones left. A file that cannot be read is complained about when
    /// it is needed.
    fn outdated(&self, current: &Documents) -> Option<String> {
        let given = std::fs::read(self.settings.roots.as_ref()?).ok()?;
        let given = pem::certificates(&given).ok()?;
        let current = pem::certificates(&current.ca).ok()?;
        let kept = current.iter().any(|root| given.contains(root));
        (!kept && !given.is_empty()).then(|| "no root in use is among the given roots".to_owned())
    }
}

/// When the first certificate of a chain ends.
fn chain_end(chain: &[u8]) -> Option<SystemTime> {
    let chain = pem::certificates(chain).ok()?;
    let ends = chain.iter().map(|certificate| {
        let parsed = parse(certificate).ok()?;
        Some(time_of(parsed.validity().not_after))
    });
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}
