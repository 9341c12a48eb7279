//! Whether the application wants the events of a binding.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tonic::{Code, Status};
use trilby_proto::common::v1::http_extension::Verb;
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_resources::BindingComponent;

use crate::blocks::invoke::Call;
use crate::blocks::invoke::headers::Origin;
use crate::channel::{AppChannel, GrpcChannel, HttpChannel};
use crate::payload::Payload;

/// What metrics call the question.
const LIST_INPUT_BINDINGS: &str = "/dapr.proto.runtime.v1.AppCallback/ListInputBindings";

/// What one application says while it stays healthy.
#[derive(Debug)]
pub struct Discovery {
    app: AppChannel,
    limit: Duration,
    /// An application that speaks gRPC names all at once.
    listed: OnceCell<Vec<String>>,
}

impl Discovery {
    /// Asks `app`, and waits for an answer no longer than `limit`.
    pub fn new(app: AppChannel, limit: Duration) -> Self {
        Self {
            app,
            limit,
            listed: OnceCell::new(),
        }
    }

    /// Whether the application wants the events of this component: it is not asked if the component says so itself.
    ///
    /// # Errors
    /// The application did not answer; it may do later.
    pub async fn wants(&self, component: &BindingComponent) -> Result<bool, String> {
        if component.is_input_by_name() {
            return Ok(true);
        }
        let asked = async {
            match &self.app {
                AppChannel::Http(app) => options(app, component.route()).await,
                AppChannel::Grpc(app) => {
                    let listed = self.listed.get_or_try_init(|| list(app)).await?;
                    Ok(listed.contains(&component.name))
                }
            }
        };
        let answer = timeout(self.limit, asked).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.limit)))
    }
}

async fn options(app: &HttpChannel, route: &str) -> Result<bool, String> {
    let call = Call {
        method: route.trim_start_matches('/').to_owned(),
        verb: Verb::Options,
        query: String::new(),
        content_type: "application/json".to_owned(),
        type_url: String::new(),
        headers: HeaderMap::new(),
        origin: Origin::Http,
        body: Payload::empty(),
    };
    let answer = app.invoke(call).await.map_err(|error| {
        format!("could not invoke OPTIONS method on input binding subscription endpoint {route:?}: {error}")
    })?;
    Ok(accepts(answer.outcome.http()))
}

/// An application that has the path but does not answer the question wants events, too.
fn accepts(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::METHOD_NOT_ALLOWED
}

async fn list(app: &GrpcChannel) -> Result<Vec<String>, String> {
    let question = (HeaderMap::new(), ());
    let listed = app.call_back(LIST_INPUT_BINDINGS, question, async |channel, request| {
        AppCallbackClient::new(channel)
            .list_input_bindings(request)
            .await
    });
    match listed.await {
        Ok(listed) => Ok(listed.bindings),
        Err(status) if may_pass(&status) => Err(status.to_string()),
        // As upstream's: an application that cannot say wants none.
        Err(_) => Ok(Vec::new()),
    }
}

/// Whether another attempt may have an answer.
fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
    )
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::accepts;

    #[test]
    fn success_and_a_path_without_the_method_are_a_yes() {
        for (status, wanted) in [
            (200, true),
            (204, true),
            (405, true),
            (404, false),
            (500, false),
            (302, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(accepts(status), wanted, "{status}");
        }
    }
}
