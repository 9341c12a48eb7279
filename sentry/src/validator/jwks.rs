//! Believes a caller whose token one of a set of keys signed, as far as the token's subject goes.

mod options;
mod source;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout},
};
use trilby_bootstrap::Latch;
use trilby_grpc::Backoff;
use trilby_identity::{Clock, SpiffeId};
use trilby_proto::sentry::v1::SignCertificateRequest;

use super::{Denied, Verdict, check_request, trust_domain};
use crate::jose::{KeySet, TokenError, key_id, verify};
pub(crate) use options::{Options, OptionsError};
use source::Source;

/// How long a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// How soon a token of an unknown key may make the keys be read again, unless a longer pause is configured: forged
/// tokens must not drive us.
const AGAIN: Duration = Duration::from_secs(30);

/// How often keys on disk are looked at.
const FILE_POLL: Duration = Duration::from_secs(5);

/// The first and the longest pause while there are no keys yet.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// See the module.
pub(crate) struct JwksValidator {
    /// Whom tokens have to be for: this sentry.
    audience: String,
    /// Who has to have issued them, where that is configured.
    issuer: Option<String>,
    source: Source,
    /// How old keys from the network may get.
    interval: Duration,
    /// How soon an unknown key may make them be fetched again.
    again: Duration,
    keys: watch::Sender<Option<Arc<KeySet>>>,
    /// When they were read last; held while they are read.
    read: Mutex<Option<Instant>>,
    clock: Arc<dyn Clock>,
}

impl JwksValidator {
    /// A validator for the sentry with this identity. Keys that stand in the options are read now, others later.
    ///
    /// # Errors
    /// Options that cannot work.
    pub(crate) fn new(
        options: Options,
        sentry: &SpiffeId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OptionsError> {
        let interval = options.interval();
        let again = options.configured_interval().unwrap_or(AGAIN);
        let issuer = options.issuer.clone();
        let (source, keys) = Source::new(options)?;
        Ok(Self {
            audience: sentry.to_string(),
            issuer,
            source,
            interval,
            again,
            keys: watch::Sender::new(keys.map(Arc::new)),
            read: Mutex::default(),
            clock,
        })
    }

    /// Keeps the keys current, for ever; `latch` tells whether there are any.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn keep(&self, latch: Latch) -> Infallible {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let read = self.refresh(Duration::ZERO).await;
            let has_keys = self.keys.borrow().is_some();
            match read {
                _ if has_keys => latch.ready(),
                Err(reason) => latch.unready(format!("no keys from {}: {reason}", self.source)),
                Ok(()) => {}
            }
            let pause = match self.source {
                _ if !has_keys => backoff.pause(),
                Source::File(_) => FILE_POLL,
                Source::Url { .. } | Source::Inline => self.interval,
            };
            tokio::time::sleep(pause).await;
        }
    }

    pub(crate) async fn validate(
        &self,
        request: &SignCertificateRequest,
    ) -> Result<Verdict, Denied> {
        if request.token.is_empty() {
            let text = "the request does not contain a token";
            return Err(Denied::Token(text.to_owned()));
        }
        let keys = self.keys_for(&request.token).await?;
        check_request(request)?;
        let trust_domain = trust_domain(&request.trust_domain)?;
        let subject =
            SpiffeId::new(&trust_domain, &request.namespace, &request.id).map_err(|error| {
                Denied::Token(format!(
                    "failed to construct SPIFFE ID for requestor: {error}"
                ))
            })?;
        self.judge(&request.token, &keys, &subject)
            .map_err(|error| Denied::Token(format!("token validation failed: {error}")))?;
        Ok(Verdict {
            trust_domain,
            images: None,
            pod: None,
        })
    }

    fn judge(&self, token: &str, keys: &KeySet, subject: &SpiffeId) -> Result<(), TokenError> {
        let claims = verify(token.trim(), keys, self.clock.now())?;
        if !claims.is_for(&self.audience) {
            return Err(TokenError::Claim("aud"));
        }
        if claims.sub.as_deref() != Some(subject.as_str()) {
            return Err(TokenError::Claim("sub"));
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(TokenError::Claim("iss"));
        }
        Ok(())
    }

    /// The keys, as soon as there are any; read again first if the token names one that is not among them.
    async fn keys_for(&self, token: &str) -> Result<Arc<KeySet>, Denied> {
        let not_ready = || Denied::Token("jwks validator not ready".to_owned());
        let mut keys = self.keys.subscribe();
        let first = timeout(PATIENCE, keys.wait_for(Option::is_some)).await;
        drop(first.map_err(|_| not_ready())?);
        let id = key_id(token.trim());
        if let Some(id) = id.filter(|id| !self.knows(id)) {
            let refreshed = timeout(PATIENCE, self.refresh_for(&id)).await;
            if refreshed.is_err() {
                tracing::debug!("keys were not read again in time");
            }
        }
        self.keys.borrow().clone().ok_or_else(not_ready)
    }

    fn knows(&self, id: &str) -> bool {
        let keys = self.keys.borrow();
        keys.as_ref().is_some_and(|keys| keys.knows(id))
    }

    async fn refresh_for(&self, id: &str) {
        // Requests that wait here find what the first of them read.
        if !self.knows(id) && self.refresh(self.again).await.is_err() {
            tracing::debug!("keys could not be read again");
        }
    }

    /// Reads the keys again, unless that was done within `pause`. What cannot be read or is no set of keys leaves the
    /// old ones in use.
    async fn refresh(&self, pause: Duration) -> Result<(), String> {
        let mut read = self.read.lock().await;
        if read.is_some_and(|at| at.elapsed() < pause) {
            return Ok(());
        }
        let keys = self.source.read().await;
        *read = Some(Instant::now());
        match keys {
            Ok(None) => Ok(()),
            Ok(Some(keys)) => {
                self.adopt(keys);
                Ok(())
            }
            Err(reason) => {
                tracing::warn!(source = %self.source, reason, "keys of token validator jwks could not be read, those in use stay");
                Err(reason)
            }
        }
    }

    fn adopt(&self, keys: KeySet) {
        let count = keys.keys().len();
        let changed = self.keys.send_if_modified(|current| {
            let differs = current.as_deref() != Some(&keys);
            if differs {
                *current = Some(Arc::new(keys));
            }
            differs
        });
        if changed {
            tracing::info!(source = %self.source, keys = count, "keys of token validator jwks in use");
        }
    }
}

#[cfg(test)]
mod tests;
