//! The agent's HTTP API, as much of it as is needed.

mod connection;

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use trilby_components::registry::InitError;
use trilby_https::{Client, Limits};

use crate::query::Questions;
use crate::registration::Registration;

pub(crate) use connection::{Connection, Told};

/// For answers that are given at once.
const LIMITS: Limits = Limits {
    time: Duration::from_secs(5),
    size: MOST_ANSWER,
};
/// The largest answer, in bytes: some ten thousand instances.
const MOST_ANSWER: usize = 16 << 20;
/// How much later than promised an answer to a waiting question may come, beside the sixteenth that Consul adds.
const LATE: Duration = Duration::from_secs(10);
/// As much of a refusal as is told, in bytes.
const MOST_REASON: usize = 300;
const TOKEN_HEADER: &str = "x-consul-token";
const INDEX_HEADER: &str = "x-consul-index";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The agent is away.
    #[error("{0}")]
    Away(#[from] trilby_https::Error),
    /// The agent answered with an error.
    #[error("the agent answers {status}: {reason}")]
    Refused { status: StatusCode, reason: String },
    /// The token's file is away.
    #[error("the token's file {file}: {reason}")]
    Token { file: String, reason: String },
}

/// An agent.
#[derive(Debug)]
pub(crate) struct Agent {
    client: Client,
    connection: Connection,
    /// The client's token as it was read last.
    token: Mutex<Option<HeaderValue>>,
}

/// What is known of a service.
pub(crate) struct Health {
    pub(crate) body: Bytes,
    /// The state it is of.
    pub(crate) index: u64,
}

impl From<Error> for InitError {
    /// A request that the agent does not understand stays one; everything else may pass.
    fn from(error: Error) -> Self {
        match &error {
            Error::Refused { status, .. } if *status == StatusCode::BAD_REQUEST => {
                Self::Invalid(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl Agent {
    /// Reads the files of `connection`; nothing is sent.
    ///
    /// # Errors
    /// One of them cannot be read or used.
    pub(crate) async fn new(connection: Connection) -> Result<Self, InitError> {
        let client = connection.client().await.map_err(InitError::Invalid)?;
        let token = Mutex::new(connection.token().await?);
        Ok(Self {
            client,
            connection,
            token,
        })
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> &str {
        &self.connection.base
    }

    /// Registers a service, in the place of one of its id.
    pub(crate) async fn register(&self, registration: &Registration) -> Result<(), Error> {
        let body = Bytes::from(registration.service.to_string());
        let path = "/v1/agent/service/register?replace-existing-checks=true";
        let request = self.request(Method::PUT, path, body);
        self.send(request, LIMITS).await.map(drop)
    }

    /// Ends a registration.
    pub(crate) async fn deregister(&self, registration: &Registration) -> Result<(), Error> {
        let id = utf8_percent_encode(&registration.id, NON_ALPHANUMERIC);
        let path = format!("/v1/agent/service/deregister/{id}");
        let request = self.request(Method::PUT, &path, Bytes::new());
        self.send(request, LIMITS).await.map(drop)
    }

    /// Whether the agent knows a registration.
    pub(crate) async fn knows(&self, registration: &Registration) -> Result<bool, Error> {
        let id = utf8_percent_encode(&registration.id, NON_ALPHANUMERIC);
        let path = format!("/v1/agent/service/{id}");
        let request = self.request(Method::GET, &path, Bytes::new());
        match self.send(request, LIMITS).await {
            Ok(_) => Ok(true),
            Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The healthy instances of a service as they are now.
    pub(crate) async fn health(
        &self,
        service: &str,
        questions: &Questions,
    ) -> Result<Health, Error> {
        let mut request = self.question(service, &questions.direct, questions);
        if let Some(value) = &questions.cache_control {
            request.headers_mut().insert(CACHE_CONTROL, value.clone());
        }
        self.send(request, LIMITS).await.map(Health::new)
    }

    /// The healthy instances of a service once they may be others than those of `index`, or after a while.
    pub(crate) async fn health_after(
        &self,
        service: &str,
        (questions, index): (&Questions, u64),
    ) -> Result<Health, Error> {
        let request = self.question(service, &questions.after(index), questions);
        let limits = Limits {
            time: questions.wait + questions.wait / 16 + LATE,
            size: MOST_ANSWER,
        };
        self.send(request, limits).await.map(Health::new)
    }

    fn question(&self, service: &str, parameters: &str, questions: &Questions) -> Request<Bytes> {
        let service = utf8_percent_encode(service, NON_ALPHANUMERIC);
        let path = format!("/v1/health/service/{service}?{parameters}");
        let mut request = self.request(Method::GET, &path, Bytes::new());
        if let Some(token) = &questions.token {
            request.headers_mut().insert(TOKEN_HEADER, token.clone());
        }
        request
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let uri = format!("{}{path}", self.connection.base).parse();
        *request.uri_mut() = uri.expect("the base was parsed, the rest is encoded");
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = &self.connection.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        if let Some(token) = &*self.token.lock() {
            headers.insert(TOKEN_HEADER, token.clone());
        }
        request
    }

    /// Sends a request, once more if its token was replaced in its file meanwhile.
    async fn send(
        &self,
        mut request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, Error> {
        let answer = self.client.send(request.clone(), limits).await?;
        let shown = request.headers().get(TOKEN_HEADER);
        let own = shown == self.token.lock().as_ref();
        if answer.status() != StatusCode::FORBIDDEN || !own || !self.read_token_again().await? {
            return accepted(answer);
        }
        if let Some(token) = &*self.token.lock() {
            request.headers_mut().insert(TOKEN_HEADER, token.clone());
        }
        accepted(self.client.send(request, limits).await?)
    }

    /// Whether the token's file holds another one than before.
    async fn read_token_again(&self) -> Result<bool, Error> {
        let token = self.connection.token().await?;
        let mut current = self.token.lock();
        let changed = *current != token;
        *current = token;
        Ok(changed)
    }
}

impl Health {
    fn new(response: Response<Bytes>) -> Self {
        let index = response.headers().get(INDEX_HEADER);
        let index = index.and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            index: index.unwrap_or_default(),
            body: response.into_body(),
        }
    }
}

fn accepted(response: Response<Bytes>) -> Result<Response<Bytes>, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = response.body();
    let reason = String::from_utf8_lossy(&body[..body.len().min(MOST_REASON)]);
    let reason = reason.trim().to_owned();
    Err(Error::Refused { status, reason })
}
