//! Believes a caller whose service account token Kubernetes vouches for, as far as the pod goes
//! that the token is bound to.
//!
//! Pods and Configurations are read from the API server for each request, not kept: a request is
//! rare (two or three reads for a pod twice a day), a copy of every pod is not small, and a pod that
//! was created this very second is found.

use std::{convert::Infallible, future::Future, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    core::v1::{Container, ContainerStatus, Pod},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde::Serialize;
use serde_json::Value;
use trilby_bootstrap::Latch;
use trilby_crds::Configuration;
use trilby_identity::{SpiffeId, TrustDomain};
use trilby_proto::sentry::v1::SignCertificateRequest;

use super::{Denied, Verdict, check_request, trust_domain};

/// How long the API server may take for one answer.
const API_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is looked at whether tokens can be reviewed; how soon again when they cannot.
const PROBE: Duration = Duration::from_secs(30);
const PROBE_AGAIN: Duration = Duration::from_secs(2);

/// The audience of tokens projected long ago.
const LEGACY_AUDIENCE: &str = "dapr.io/sentry";

/// Control plane services that exist, as `dapr.io/control-plane` names them.
pub(super) const SERVICES: [&str; 5] = ["operator", "placement", "injector", "sentry", "scheduler"];

const CONTROL_PLANE: &str = "dapr.io/control-plane";
const APP_ID: &str = "dapr.io/app-id";
const CONFIG: &str = "dapr.io/config";

/// See the module.
pub(crate) struct KubernetesValidator {
    client: Client,
    audiences: Vec<String>,
    control_plane: (TrustDomain, String),
}

/// Whose token it is.
#[derive(Debug, PartialEq, Eq)]
struct Account<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl KubernetesValidator {
    /// A validator for the sentry with this identity.
    pub(crate) fn new(client: Client, sentry: &SpiffeId, trust_domain: TrustDomain) -> Self {
        Self {
            client,
            audiences: vec![LEGACY_AUDIENCE.to_owned(), sentry.to_string()],
            control_plane: (trust_domain, sentry.namespace().to_owned()),
        }
    }

    pub(crate) async fn validate(
        &self,
        request: &SignCertificateRequest,
    ) -> Result<Verdict, Denied> {
        check_request(request)?;
        let user = self.review(&request.token).await?;
        let account = account(&user)?;
        let pod_name = pod_name(&request.token)?;
        let pod = self.pod(account.namespace, &pod_name).await?;
        if account.namespace != request.namespace {
            let text = format!(
                "namespace mismatch; received namespace: {}",
                request.namespace
            );
            return Err(Denied::Pod(text));
        }
        let spec = pod.spec.as_ref();
        if spec.and_then(|spec| spec.service_account_name.as_deref()) != Some(account.name) {
            return Err(Denied::Pod("pod service account mismatch".to_owned()));
        }
        let expected = expected_id(&pod, &self.control_plane.1)?;
        if expected != request.id {
            let received = &request.id;
            let text = format!("app-id mismatch. expected: {expected}, received: {received}");
            return Err(Denied::Pod(text));
        }
        Ok(Verdict {
            trust_domain: self.trust_domain(&pod).await?,
            images: images(&pod),
            pod: pod.metadata.uid,
        })
    }

    /// Finds out, for ever, whether tokens can be reviewed, and tells `latch`.
    ///
    /// # Cancel safety
    /// May be dropped at any await.
    pub(crate) async fn keep(&self, latch: Latch) -> Infallible {
        loop {
            let pause = match self.ask("probe").await {
                Ok(_refused) => {
                    latch.ready();
                    PROBE
                }
                Err(denied) => {
                    latch.unready(denied.to_string());
                    PROBE_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// What the API server makes of a token.
    async fn ask(&self, token: &str) -> Result<TokenReviewStatus, Denied> {
        let failed = |cause: &str| Denied::Token(format!("token review failed: {cause}"));
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(self.audiences.clone()),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let parameters = PostParams::default();
        let review = answer(api.create(&parameters, &review))
            .await
            .map_err(|error| failed(&error.cause()))?;
        review.status.ok_or_else(|| failed("no status"))
    }

    /// Asks whether the token is genuine and meant for us; returns the user name.
    async fn review(&self, token: &str) -> Result<String, Denied> {
        let status = self.ask(token).await?;
        if let Some(error) = status.error.filter(|error| !error.is_empty()) {
            return Err(Denied::Token(format!("invalid token: {error}")));
        }
        let audiences = status.audiences.unwrap_or_default();
        if status.authenticated != Some(true) || !is_meant_for(&self.audiences, &audiences, token)?
        {
            return Err(Denied::Token("authentication failed".to_owned()));
        }
        Ok(status
            .user
            .and_then(|user| user.username)
            .unwrap_or_default())
    }

    async fn pod(&self, namespace: &str, name: &str) -> Result<Pod, Denied> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = match answer(api.get(name)).await {
            Err(error) if error.is_not_found() => {
                let listed = self.listed_pod(namespace, name).await;
                listed.ok_or(error)
            }
            found => found,
        };
        found.map_err(|error| Denied::Api {
            text: "failed to get pod of identity",
            cause: error.cause(),
        })
    }

    /// The pod as the list of all has it. Stand-ins for an API server, such as that of upstream's tests, serve pods by
    /// no other way; from a real one both answers are equally fresh, and a pod that is gone is in neither.
    async fn listed_pod(&self, namespace: &str, name: &str) -> Option<Pod> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let fields = format!("metadata.namespace={namespace},metadata.name={name}");
        let listed = answer(api.list(&ListParams::default().fields(&fields))).await;
        let is_it = |pod: &Pod| {
            let metadata = &pod.metadata;
            metadata.namespace.as_deref() == Some(namespace)
                && metadata.name.as_deref() == Some(name)
        };
        listed.ok()?.items.into_iter().find(is_it)
    }

    async fn trust_domain(&self, pod: &Pod) -> Result<TrustDomain, Denied> {
        if annotation(pod, CONTROL_PLANE).is_some() {
            return Ok(self.control_plane.0.clone());
        }
        let Some(name) = annotation(pod, CONFIG) else {
            return Ok(TrustDomain::public());
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Configuration> = Api::namespaced(self.client.clone(), namespace);
        let configuration = answer(api.get(name)).await.map_err(|error| Denied::Api {
            text: "failed to get configuration",
            cause: error.cause(),
        })?;
        let access_control = configuration.spec.access_control;
        let domain = access_control.and_then(|access_control| access_control.trust_domain);
        trust_domain(domain.as_deref().unwrap_or_default())
    }
}

/// An API server that refused or did not answer.
#[derive(Debug)]
enum ApiError {
    Kube(kube::Error),
    Timeout,
}

impl ApiError {
    fn is_not_found(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 404)
    }

    fn cause(&self) -> String {
        match self {
            Self::Kube(kube::Error::Api(status)) => status.message.clone(),
            Self::Kube(error) => error.to_string(),
            Self::Timeout => format!("no answer within {}s", API_TIMEOUT.as_secs()),
        }
    }
}

async fn answer<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    tokio::time::timeout(API_TIMEOUT, call)
        .await
        .map_err(|_| ApiError::Timeout)?
        .map_err(ApiError::Kube)
}

/// `system:serviceaccount:<namespace>:<name>`
fn account(user: &str) -> Result<Account<'_>, Denied> {
    let parts: Vec<_> = user.split(':').collect();
    match parts.as_slice() {
        ["system", _, namespace, name] => Ok(Account { namespace, name }),
        _ => Err(Denied::Token(
            "provided token is not a properly structured service account token".to_owned(),
        )),
    }
}

/// The claims of a token that has been reviewed, so that they may be believed.
fn claims(token: &str) -> Result<Value, Denied> {
    let failed = |cause: &str| Denied::Token(format!("failed to parse Kubernetes token: {cause}"));
    let token = token.trim();
    let claims = if token.starts_with('{') {
        token.as_bytes().to_vec()
    } else {
        let parts: Vec<_> = token.split('.').collect();
        let [_, claims, _] = parts.as_slice() else {
            return Err(failed("expected three parts"));
        };
        BASE64_URL_SAFE_NO_PAD
            .decode(claims)
            .map_err(|error| failed(&error.to_string()))?
    };
    serde_json::from_slice(&claims).map_err(|error| failed(&error.to_string()))
}

/// Whether a genuine token is meant for one of `ours`. An API server that does not know audiences tells none, and vouches
/// for any token: then the token's own count. Kubernetes binds none to a pod without naming whom it is for.
fn is_meant_for(ours: &[String], told: &[String], token: &str) -> Result<bool, Denied> {
    if !told.is_empty() {
        return Ok(told.iter().any(|audience| ours.contains(audience)));
    }
    let is_ours = |audience: &Value| ours.iter().any(|ours| audience == ours);
    Ok(match &claims(token)?["aud"] {
        Value::Null => true,
        Value::Array(audiences) => audiences.iter().any(is_ours),
        audience => is_ours(audience),
    })
}

/// The pod that a token is bound to.
fn pod_name(token: &str) -> Result<String, Denied> {
    match claims(token)?["kubernetes.io"]["pod"]["name"].as_str() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Denied::Token(
            "kubernetes.io/pod/name claim is missing from Kubernetes token".to_owned(),
        )),
    }
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    let annotations = pod.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

/// Who a pod is, by its annotations.
fn expected_id(pod: &Pod, control_plane_namespace: &str) -> Result<String, Denied> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let app_id = annotation(pod, APP_ID);
    let Some(service) = annotation(pod, CONTROL_PLANE) else {
        return Ok(app_id.unwrap_or(name).to_owned());
    };
    if namespace != control_plane_namespace {
        let text = format!("control plane service in namespace '{namespace}' is not allowed");
        return Err(Denied::Pod(text));
    }
    if !SERVICES.contains(&service) {
        return Err(Denied::Pod(format!(
            "unknown control plane service '{name}'"
        )));
    }
    if app_id.is_some() {
        let text =
            format!("control plane service '{name}' cannot have annotation 'dapr.io/app-id'");
        return Err(Denied::Pod(text));
    }
    Ok(format!("dapr-{service}"))
}

/// One image of a pod, as the certificate tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    role: &'static str,
    container_name: &'a str,
    image: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'a str,
}

/// JSON about the containers that run as long as the pod; `None` without any.
fn images(pod: &Pod) -> Option<Vec<u8>> {
    let spec = pod.spec.as_ref()?;
    let status = pod.status.as_ref();
    let init = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"))
        .map(|container| {
            image(
                container,
                status.and_then(|s| s.init_container_statuses.as_deref()),
            )
        });
    let ordinary = spec.containers.iter().map(|container| {
        image(
            container,
            status.and_then(|s| s.container_statuses.as_deref()),
        )
    });
    let images: Vec<_> = init.chain(ordinary).collect();
    if images.is_empty() {
        return None;
    }
    Some(serde_json::to_vec(&images).expect("strings can be written as JSON"))
}

fn image<'a>(container: &'a Container, statuses: Option<&'a [ContainerStatus]>) -> Image<'a> {
    let status = statuses
        .unwrap_or_default()
        .iter()
        .find(|status| status.name == container.name);
    Image {
        role: if container.name == "daprd" {
            "daprd"
        } else {
            "app"
        },
        container_name: &container.name,
        image: container.image.as_deref().unwrap_or_default(),
        digest: digest(status.map_or("", |status| &status.image_id)),
    }
}

fn digest(image_id: &str) -> &str {
    match image_id.rsplit_once('@') {
        Some((_, digest)) => digest,
        None if image_id.starts_with("sha256:") => image_id,
        None => "",
    }
}

#[cfg(test)]
mod tests;
