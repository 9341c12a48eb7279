//! Applications that speak gRPC.

use http::HeaderMap;
use http::HeaderValue;
use prost_types::Any;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use trilby_grpc::client::InvalidTarget;
use trilby_grpc::{Channel, ChannelConfig, Target};
use trilby_proto::common::v1::{HttpExtension, InvokeRequest, InvokeResponse};
use trilby_proto::runtime::v1::app_callback_client::AppCallbackClient;
use trilby_proto::runtime::v1::app_callback_health_check_client::AppCallbackHealthCheckClient;
use trilby_sidecar_args::AppProtocol;

use super::connector::trusting_anyone;
use super::slots::Slots;
use super::{CONNECT_LIMIT, Health, require_healthy};
use crate::blocks::invoke::headers::{API_TOKEN, Origin, to_metadata};
use crate::blocks::invoke::{Answer, Call, CallError, Outcome};
use crate::error::status_details;
use crate::metrics::{Completed, GrpcClientMetrics, Sizes};
use crate::payload::Payload;
use crate::tracing_context;

/// What metrics call an invocation.
const ON_INVOKE: &str = "/dapr.proto.runtime.v1.AppCallback/OnInvoke";

/// A client of the application.
#[derive(Debug, Clone)]
pub struct GrpcChannel {
    channel: Channel,
    token: Option<HeaderValue>,
    max_message: usize,
    slots: Slots,
    health: Health,
    metrics: GrpcClientMetrics,
}

impl GrpcChannel {
    pub(super) fn new(
        config: &super::ChannelConfig,
        health: Health,
    ) -> Result<Self, InvalidTarget> {
        let tls = (config.protocol == AppProtocol::Grpcs).then(trusting_anyone);
        let target = Target {
            host: config.host.clone(),
            port: config.port,
        };
        let limits = ChannelConfig {
            connect_timeout: CONNECT_LIMIT,
            ..ChannelConfig::default()
        };
        Ok(Self {
            channel: trilby_grpc::channel(target, tls, limits)?,
            token: config.token.clone(),
            max_message: config.max_message,
            slots: Slots::new(config.max_concurrency),
            health,
            metrics: config.metrics.grpc_client(),
        })
    }

    /// The connection itself, for calls that are passed on as they are.
    pub fn raw(&self) -> Channel {
        self.channel.clone()
    }

    /// The token that the application expects.
    pub fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// Calls the application's `OnInvoke`.
    ///
    /// # Errors
    /// The application is unhealthy, or the body is too large or broke off. A failure of the application
    /// is an answer.
    pub async fn invoke(&self, call: Call) -> Result<Answer, CallError> {
        require_healthy(&self.health)?;
        let _place = self.slots.take().await;
        let headers = tracing_context::for_grpc(call.headers, call.origin);
        let value = call.body.collect(self.max_message).await;
        let value = value.map_err(|error| CallError::unknown(error.to_string()))?;
        let mut request = Request::new(InvokeRequest {
            method: call.method,
            data: Some(Any {
                type_url: call.type_url,
                value: value.into(),
            }),
            content_type: call.content_type,
            http_extension: Some(HttpExtension {
                verb: call.verb as i32,
                querystring: call.query,
            }),
        });
        *request.metadata_mut() = self.metadata(headers, call.origin);
        let answered = self
            .measured(ON_INVOKE, request, async |request| {
                self.callback().on_invoke(request).await
            })
            .await;
        Ok(match answered {
            Ok(response) => answer(response),
            Err(status) => failure(&status),
        })
    }

    /// Calls one of the application's other callbacks; `call` makes the call, with the client of whatever service it is.
    /// `method` is what metrics call it.
    ///
    /// # Errors
    /// The application is unhealthy or unreachable, or says so.
    pub async fn call_back<Q: prost::Message, A: prost::Message>(
        &self,
        method: &'static str,
        (headers, question): (HeaderMap, Q),
        call: impl AsyncFnOnce(Channel, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        require_healthy(&self.health)
            .map_err(|_| Status::internal("app is not in a healthy state"))?;
        let _place = self.slots.take().await;
        let headers = tracing_context::for_grpc(headers, Origin::Http);
        let mut request = Request::new(question);
        *request.metadata_mut() = self.metadata(headers, Origin::Grpc);
        let answered = self.measured(method, request, async |request| {
            call(self.channel.clone(), request).await
        });
        answered.await.map(Response::into_inner)
    }

    /// The largest message, in bytes.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    async fn measured<Q: prost::Message, A: prost::Message>(
        &self,
        method: &'static str,
        request: Request<Q>,
        call: impl AsyncFnOnce(Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<Response<A>, Status> {
        let (start, sent) = (Instant::now(), request.get_ref().encoded_len());
        let answered = call(request).await;
        let received = answered
            .as_ref()
            .map_or(0, |response| response.get_ref().encoded_len());
        let completed = Completed {
            method,
            status: answered
                .as_ref()
                .map_or_else(Status::code, |_| tonic::Code::Ok),
            sizes: Some(Sizes {
                request: sent as u64,
                response: received as u64,
            }),
        };
        self.metrics.called(&completed, start);
        answered
    }

    /// Asks whether the application is healthy; its token is not shown.
    ///
    /// # Errors
    /// Whatever the application or the way to it says.
    pub async fn probe(&self) -> Result<(), Status> {
        let mut client = AppCallbackHealthCheckClient::new(self.channel.clone());
        let start = Instant::now();
        let answered = client.health_check(()).await.map(|_| ());
        let status = answered
            .as_ref()
            .map_or_else(Status::code, |()| tonic::Code::Ok);
        self.metrics.probed(status, start);
        answered
    }

    fn callback(&self) -> AppCallbackClient<Channel> {
        AppCallbackClient::new(self.channel.clone())
            .max_decoding_message_size(self.max_message)
            .max_encoding_message_size(self.max_message)
    }

    fn metadata(&self, headers: HeaderMap, origin: Origin) -> MetadataMap {
        let mut headers = to_metadata(headers, origin);
        if let Some(token) = &self.token {
            headers.insert(API_TOKEN, token.clone());
        }
        MetadataMap::from_headers(headers)
    }
}

fn answer(response: Response<InvokeResponse>) -> Answer {
    let (metadata, message, _) = response.into_parts();
    let data = message.data.unwrap_or_default();
    Answer {
        outcome: Outcome::Grpc {
            code: tonic::Code::Ok,
            message: String::new(),
            details: Vec::new(),
        },
        headers: metadata.into_headers(),
        trailers: HeaderMap::new(),
        origin: Origin::Grpc,
        content_type: message.content_type,
        type_url: data.type_url,
        body: Payload::Bytes(data.value.into()),
    }
}

fn failure(status: &Status) -> Answer {
    Answer {
        outcome: Outcome::Grpc {
            code: status.code(),
            message: status.message().to_owned(),
            details: status_details(status),
        },
        headers: HeaderMap::new(),
        trailers: status.metadata().clone().into_headers(),
        origin: Origin::Grpc,
        content_type: String::new(),
        type_url: String::new(),
        body: Payload::empty(),
    }
}
