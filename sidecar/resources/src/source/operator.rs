//! The operator as a source: lists, and streams of changes.
//!
//! A stream says nothing about what was there before it, so a kind is listed whenever its stream opens, and
//! every [`Config::reconcile_interval`] besides. A list that was under way while a change arrived leaves
//! the changed resource alone: it may have been made before the change.

mod ask;
mod configuration;
mod kind;
mod reports;
mod wire;

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt as _, Stream, StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, join_all},
    stream,
};
use tokio::{sync::watch, time::timeout};
use tonic::{Code, Response, Status, Streaming};
use trilby_grpc::Channel;
use trilby_proto::operator::v1::operator_client::OperatorClient;

use super::{Audience, Started};
use crate::{config::Config, ledger::Ledger, observer::Observer, resources::LoadError};
use wire::Wire;

/// How long an operator may take to answer the call that opens a stream before the stream is taken as open: upstream's
/// answers with its first message only.
const OPENING: Duration = Duration::from_secs(1);

type Following = BoxFuture<'static, ()>;
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The operator, as one sidecar sees it.
#[derive(Clone)]
pub(super) struct Operator {
    client: OperatorClient<Channel>,
    channel: Channel,
    namespace: String,
    reconcile_interval: Duration,
    first_load: Duration,
    /// What became of what it gave.
    ledger: Ledger,
    observer: Arc<dyn Observer>,
    /// Counts how often its stream of components was opened: then it may be another than before.
    openings: watch::Sender<u64>,
}

impl Operator {
    pub(super) fn new(
        channel: Channel,
        namespace: &str,
        config: &Config,
        audience: &Audience,
    ) -> Self {
        Self {
            client: OperatorClient::new(channel.clone()),
            channel,
            namespace: namespace.to_owned(),
            reconcile_interval: config.reconcile_interval,
            first_load: config.first_load,
            ledger: audience.ledger.clone(),
            observer: Arc::clone(&audience.observer),
            openings: watch::Sender::default(),
        }
    }

    /// Fetches the Configuration of that name, and prepares to follow everything.
    pub(super) async fn start(
        self,
        configuration: Option<&str>,
        audience: Audience,
    ) -> Result<Started, LoadError> {
        let audience = Arc::new(audience);
        let resources = kinds(&self, &audience);
        let reports = reports::follow(self.clone());
        let kinds = async { tokio::join!(resources, reports) };
        let Some(name) = configuration else {
            let (_, defaults) = watch::channel(Arc::default());
            return Ok(Started {
                configuration: defaults,
                follow: Box::pin(kinds.map(drop)),
            });
        };
        let first = configuration::first(&self, name).await?;
        let (sender, receiver) = watch::channel(first);
        let control = audience.control.clone();
        let configurations = configuration::follow(self, name.to_owned(), (sender, control));
        Ok(Started {
            configuration: receiver,
            follow: Box::pin(async {
                tokio::join!(kinds, configurations);
            }),
        })
    }
}

/// Follows every kind.
fn kinds(operator: &Operator, audience: &Arc<Audience>) -> impl Future<Output = ()> + Send + use<> {
    fn one<W: Wire>(operator: &Operator, audience: &Arc<Audience>) -> Following {
        kind::follow::<W>(operator.clone(), Arc::clone(audience)).boxed()
    }
    let all = [
        one::<wire::Components>(operator, audience),
        one::<wire::Resiliencies>(operator, audience),
        one::<wire::HttpEndpoints>(operator, audience),
        one::<wire::Subscriptions>(operator, audience),
        one::<wire::McpServers>(operator, audience),
        one::<wire::WorkflowAccessPolicies>(operator, audience),
    ];
    join_all(all).map(drop)
}

/// A stream from the call that opens it. Servers may answer that call only with their first message, so
/// opening must not wait for it; `opened` is told when the answer is there or [`OPENING`] has passed without one.
fn streaming<T: Send + 'static>(
    answer: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
    opened: impl FnOnce() + Send + 'static,
) -> Messages<T> {
    let messages = async move {
        let mut answer = pin!(answer);
        let soon = timeout(OPENING, &mut answer).await;
        if !matches!(soon, Ok(Err(_))) {
            opened();
        }
        let answer = match soon {
            Ok(answer) => answer?,
            Err(_) => answer.await?,
        };
        Ok::<_, Status>(answer.into_inner())
    };
    stream::once(messages).try_flatten().boxed()
}

/// Whether the same call can succeed when the operator is well again.
fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
    )
}

/// A status as a log line shows it.
fn in_words(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
