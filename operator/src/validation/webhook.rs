//! The webhook over HTTP.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use trilby_webhook::{Refusal, read};

use super::{
    Strictness,
    facts::Facts,
    lookup::Lookup,
    review::{Answer, Case, Outcome, Unreadable},
};
use crate::{cluster::Scope, metrics::Metrics};

/// Reviews that are under way at once; each holds an object, and asks the API server a few questions.
const CONCURRENT: usize = 16;

/// What reviews are answered from.
pub(crate) struct Webhook {
    pub(crate) strictness: Strictness,
    pub(crate) client: kube::Client,
    pub(crate) scope: Scope,
    pub(crate) metrics: Metrics,
}

struct Shared {
    webhook: Webhook,
    slots: Semaphore,
}

/// The webhook's only path.
pub(crate) fn routes(webhook: Webhook) -> Router {
    let slots = Semaphore::new(CONCURRENT);
    Router::new()
        .route("/validate", post(answer))
        .with_state(Arc::new(Shared { webhook, slots }))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // Never closed. Whoever waits here for too long has been given up by the API server, and admitted.
    let _slot = shared.slots.acquire().await;
    let reviewed = match read(request.into_body()).await {
        Ok(body) => shared.webhook.review(&body).await,
        Err(refusal) => Err(refusal),
    };
    match reviewed {
        Ok(answer) => Json(answer).into_response(),
        Err((status, text)) => {
            warn!(%status, text, "refused a request");
            (status, text).into_response()
        }
    }
}

impl Webhook {
    async fn review(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let case = Case::read(body).map_err(|unreadable| match unreadable {
            Unreadable::NoReview => (StatusCode::BAD_REQUEST, "the body is no AdmissionReview"),
            Unreadable::NoRequest => (StatusCode::BAD_REQUEST, "the review has no request"),
        })?;
        let facts = self.facts(&case).await;
        let (kind, namespace) = (case.kind, case.namespace.clone());
        let (answer, outcome) = case.answer(self.strictness, &facts);
        if let Some(kind) = kind {
            debug!(
                kind = kind.name(),
                namespace,
                ?outcome,
                "reviewed an object"
            );
            self.metrics.validation(kind, label(outcome));
        }
        Ok(answer)
    }

    async fn facts(&self, case: &Case) -> Facts {
        let outside = matches!(&self.scope, Scope::Namespace(own) if *own != case.namespace);
        let questions = case.questions();
        if outside || questions.is_empty() || case.namespace.is_empty() {
            return Facts::default();
        }
        Lookup::new(&self.client, &case.namespace)
            .answer(questions)
            .await
    }
}

fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Clean => "clean",
        Outcome::Warned => "warned",
        Outcome::Refused => "refused",
    }
}
