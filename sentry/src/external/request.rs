//! The object in the API that asks for a certificate: made, found, read, deleted. Both kinds have the same shape.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams, Preconditions},
};
use rcgen::PublicKeyData as _;
use serde::Deserialize;
use serde_json::{Value, json};
use trilby_identity::SpiffeId;

use super::pending_key::Key;
use crate::{csr, source::SourceError};

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// What a request asked for besides the certificate, as a hash: the objects cannot be changed once they are made.
const ASKED: &str = "dapr.io/asked";

/// What the kinds of requests differ in.
pub(super) struct Request {
    pub(super) api: Api<DynamicObject>,
    pub(super) resource: ApiResource,
    /// The object's name; with its namespace, if it has one, for messages.
    pub(super) object: String,
    pub(super) shown: String,
    /// All of `spec` but the request itself.
    pub(super) spec: Value,
    pub(super) annotations: BTreeMap<String, String>,
    /// What an answer means.
    pub(super) verdict: fn(&Status) -> Verdict,
    /// Who serves the API, for whoever has it not.
    pub(super) served_by: &'static str,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet; who has to do what.
    Waiting(String),
    /// What was said against it.
    Refused(String),
    /// Certificates, PEM; the root if the signer told it, else empty.
    Issued { chain: Vec<u8>, root: Vec<u8> },
}

/// A request that is there.
pub(super) struct Found {
    pub(super) verdict: Verdict,
    pub(super) created: SystemTime,
    pub(super) being_deleted: bool,
    uid: Option<String>,
    asked: Option<String>,
    request: String,
}

/// What others wrote about a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    conditions: Vec<Condition>,
    certificate: String,
    ca: String,
}

/// One statement of theirs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    r#type: String,
    status: String,
    pub(super) reason: String,
    message: String,
}

// === impl Request ===

impl Request {
    /// The object, if it is there.
    pub(super) async fn find(&self) -> Result<Option<Found>, SourceError> {
        match answer(self.api.get(&self.object)).await {
            Ok(object) => self.read(&object).map(Some),
            Err(ApiError::Kube(kube::Error::Api(status))) if is_absence(&status) => Ok(None),
            Err(error) => Err(self.failed("cannot read", &error)),
        }
    }

    /// Asks. That somebody else was faster is no failure: what they made is looked at like any other.
    pub(super) async fn create(&self, sentry: &SpiffeId, key: &Key) -> Result<(), SourceError> {
        let mut spec = self.spec.clone();
        spec["request"] = json!(BASE64_STANDARD.encode(key.request(sentry)?));
        let mut object = DynamicObject::new(&self.object, &self.resource);
        object.data = json!({"spec": spec});
        let mut annotations = self.annotations.clone();
        annotations.insert(ASKED.to_owned(), self.asked());
        object.metadata.annotations = Some(annotations);
        object.metadata.labels = Some([("app".to_owned(), "dapr-sentry".to_owned())].into());
        let parameters = PostParams::default();
        match answer(self.api.create(&parameters, &object)).await {
            Ok(_) => {
                tracing::info!(request = %self, "a certificate for the issuer is asked for");
                Ok(())
            }
            Err(ApiError::Kube(kube::Error::Api(status))) if status.code == 409 => Ok(()),
            Err(error) => Err(self.failed("cannot make", &error)),
        }
    }

    /// Deletes exactly what was found.
    pub(super) async fn delete(&self, found: &Found) -> Result<(), SourceError> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: found.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match answer(self.api.delete(&self.object, &parameters)).await {
            Ok(_) => Ok(()),
            // Somebody else did, and may have made another.
            Err(ApiError::Kube(kube::Error::Api(status))) if [404, 409].contains(&status.code) => {
                Ok(())
            }
            Err(error) => Err(self.failed("cannot delete", &error)),
        }
    }

    fn read(&self, object: &DynamicObject) -> Result<Found, SourceError> {
        let status = object.data.get("status").cloned().unwrap_or_default();
        let status = Option::<Status>::deserialize(status).map_err(|error| {
            SourceError::External(format!("{self} has an unreadable status: {error}"))
        })?;
        let metadata = &object.metadata;
        let created = metadata.creation_timestamp.as_ref();
        let annotations = metadata.annotations.as_ref();
        Ok(Found {
            verdict: (self.verdict)(&status.unwrap_or_default()),
            created: created.map_or_else(SystemTime::now, |time| time.0.into()),
            being_deleted: metadata.deletion_timestamp.is_some(),
            uid: metadata.uid.clone(),
            asked: annotations.and_then(|annotations| annotations.get(ASKED).cloned()),
            request: object.data["spec"]["request"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// What is asked for besides the certificate.
    fn asked(&self) -> String {
        let asked = json!([self.spec, self.annotations]).to_string();
        let hash = digest::digest(&digest::SHA256, asked.as_bytes());
        hash.as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn failed(&self, what: &str, error: &ApiError) -> SourceError {
        let served_by = self.served_by;
        SourceError::External(match error {
            ApiError::Kube(kube::Error::Api(status)) if status.code == 404 => {
                format!("{what} {self}: the API server does not serve that kind; {served_by} does")
            }
            ApiError::Kube(kube::Error::Api(status)) => {
                format!("{what} {self}: {}", status.message)
            }
            ApiError::Kube(error) => format!("{what} {self}: {error}"),
            ApiError::Timeout => format!(
                "{what} {self}: the API server did not answer within {}s",
                API_TIMEOUT.as_secs()
            ),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resource.kind, self.shown)
    }
}

// === impl Found ===

impl Found {
    /// Whether this is what `request` would ask for with `key`.
    pub(super) fn asks_for(&self, key: &Key, request: &Request) -> bool {
        let asked = BASE64_STANDARD.decode(&self.request).ok();
        let asked = asked.and_then(|pem| csr::public_key(&pem).ok());
        let is_its = asked.is_some_and(|asked| asked.der_bytes() == key.pair.der_bytes());
        is_its && self.asked.as_deref() == Some(&request.asked())
    }
}

// === impl Status ===

impl Status {
    /// A condition that holds.
    pub(super) fn holds(&self, name: &str) -> Option<&Condition> {
        self.with(name, "True")
    }

    /// A condition with this status.
    pub(super) fn with(&self, name: &str, status: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.r#type == name && condition.status == status)
    }

    /// The answer, if there is one.
    pub(super) fn issued(&self) -> Option<Verdict> {
        // Not base64 is not PEM either, which the checks of the answer say.
        let decode = |text: &str| BASE64_STANDARD.decode(text).unwrap_or_default();
        (!self.certificate.is_empty()).then(|| Verdict::Issued {
            chain: decode(&self.certificate),
            root: decode(&self.ca),
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason, message, ..
        } = self;
        match (reason.is_empty(), message.is_empty()) {
            (false, false) => write!(f, "{reason}: {message}"),
            (false, true) => f.write_str(reason),
            (true, false) => f.write_str(message),
            (true, true) => f.write_str("no reason was given"),
        }
    }
}

/// An API server that refused or did not answer.
pub(super) enum ApiError {
    Kube(kube::Error),
    Timeout,
}

/// An answer of the API server's, in time.
pub(super) async fn answer<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    tokio::time::timeout(API_TIMEOUT, call)
        .await
        .map_err(|_| ApiError::Timeout)?
        .map_err(ApiError::Kube)
}

/// Whether an object is not there, rather than all of its kind.
fn is_absence(status: &kube::core::Status) -> bool {
    let named = status
        .details
        .as_ref()
        .is_some_and(|details| !details.name.is_empty());
    status.code == 404 && named
}
