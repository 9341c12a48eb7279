//! What the application says it subscribes to, asked once.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tracing::{debug, error, info, warn};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::runtime::v1::ListTopicSubscriptionsResponse;
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_pubsub::subscription::{Subscription, of_grpc, of_http};
use trilby_resiliency::{Backoff, Builtin};

use super::Parts;
use super::deliver::send;
use crate::blocks::invoke::Call;
use crate::blocks::invoke::headers::{APP_ID, Origin};
use crate::channel::{AppChannel, GrpcChannel, HttpChannel};
use crate::payload::Payload;

/// Where an HTTP application is asked.
const SUBSCRIBE_PATH: &str = "dapr/subscribe";
/// What metrics call the question.
const LIST: &str = "/dapr.proto.runtime.v1.AppCallback/ListTopicSubscriptions";

/// What an application may answer.
enum Answer {
    Http(StatusCode, Bytes),
    Grpc(ListTopicSubscriptionsResponse),
}

/// The application's own subscriptions; none if it does not say, or says it wrongly.
pub(super) async fn ask(parts: &Parts) -> Vec<Subscription> {
    let Some(app) = &parts.app else {
        return Vec::new();
    };
    if !parts.asks {
        warn!(
            "Skipping programmatic subscription loading (see 'disable-init-endpoints' flag/annotation)"
        );
        return Vec::new();
    }
    let retry = Arc::clone(
        parts
            .resiliency
            .policies()
            .builtin(Builtin::InitializationRetries),
    );
    let (mut backoff, began) = (Backoff::new(&retry), Instant::now());
    loop {
        let answered = match app {
            AppChannel::Http(channel) => http(channel, parts).await,
            AppChannel::Grpc(channel) => grpc(channel).await,
        };
        let reason = match answered {
            Ok(answer) => return understood(answer),
            Err(reason) => reason,
        };
        let Some(pause) = backoff.next(began.elapsed(), rand::random()) else {
            error!("error getting topic list from app: {reason}");
            return Vec::new();
        };
        debug!("the application did not say what it subscribes to: {reason}");
        sleep(pause).await;
    }
}

fn understood(answer: Answer) -> Vec<Subscription> {
    let said = match answer {
        Answer::Http(StatusCode::OK, body) => of_http(&body),
        Answer::Http(StatusCode::NOT_FOUND, _) => {
            debug!("user app did not subscribe to any topic");
            return Vec::new();
        }
        Answer::Http(status, _) => {
            let status = status.as_u16();
            error!("app returned http status code {status} from subscription endpoint");
            return Vec::new();
        }
        Answer::Grpc(list) => Ok(of_grpc(list)),
    };
    match said {
        Ok((subscriptions, problems)) => {
            for problem in problems {
                warn!("{problem}");
            }
            tell(&subscriptions);
            subscriptions
        }
        Err(problem) => {
            error!("error getting topic list from app: {problem}");
            Vec::new()
        }
    }
}

fn tell(subscriptions: &[Subscription]) {
    let mut pubsubs: Vec<&str> = subscriptions.iter().map(|one| &*one.pubsub).collect();
    pubsubs.sort_unstable();
    pubsubs.dedup();
    for pubsub in pubsubs {
        let of_it = subscriptions.iter().filter(|one| one.pubsub == pubsub);
        let topics: Vec<&str> = of_it.map(|one| &*one.topic).collect();
        let topics = topics.join(" ");
        info!("app is subscribed to the following topics: [{topics}] through pubsub={pubsub}");
    }
}

async fn http(channel: &HttpChannel, parts: &Parts) -> Result<Answer, String> {
    let mut headers = HeaderMap::new();
    if let Ok(app_id) = parts.pubsub.app_id().parse() {
        headers.insert(APP_ID, app_id);
    }
    let call = Call {
        method: SUBSCRIBE_PATH.to_owned(),
        verb: Verb::Get,
        query: String::new(),
        content_type: "application/json".to_owned(),
        type_url: String::new(),
        headers,
        origin: Origin::Http,
        body: Payload::empty(),
    };
    let answered = send(channel, call, parts.max_body).await;
    let (status, body) = answered.map_err(|error| error.message)?;
    Ok(Answer::Http(status, body))
}

async fn grpc(channel: &GrpcChannel) -> Result<Answer, String> {
    let limit = channel.max_message();
    let question = (HeaderMap::new(), ());
    let answered = channel.call_back(LIST, question, async |connection, request| {
        AppCallbackClient::new(connection)
            .max_decoding_message_size(limit)
            .list_topic_subscriptions(request)
            .await
    });
    match answered.await {
        Ok(list) => Ok(Answer::Grpc(list)),
        Err(status) if status.code() == Code::Unimplemented => {
            info!("pubsub subscriptions: gRPC app does not implement ListTopicSubscriptions");
            Ok(Answer::Grpc(ListTopicSubscriptionsResponse::default()))
        }
        Err(status) => Err(told(&status)),
    }
}

fn told(status: &Status) -> String {
    crate::error::describe(status)
}
