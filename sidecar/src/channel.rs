//! The way to the application behind this sidecar.
//!
//! [`AppChannel`] carries invocations over whatever protocol the application speaks. It owns the limit on
//! concurrent calls and adds the application's token; it neither retries nor judges who may call.

mod body;
mod connector;
mod grpc;
mod http;
mod measure;
mod outside;
mod slots;
mod uri;

use std::time::Duration;

use ::http::{HeaderValue, Method, Uri};
use hyper_util::client::legacy::Error as ClientError;
use tokio::sync::watch;
use tonic::Code;
use trilby_grpc::client::InvalidTarget;
use trilby_sidecar_args::AppProtocol;

use crate::blocks::invoke::{Answer, Call, CallError};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;

pub use connector::Connector;
pub use grpc::GrpcChannel;
pub use http::{HttpChannel, answer_of};
pub use outside::{
    ClientTls, InvalidTls, OutsideCall, OutsideClient, Proxies, ProxyVariables, SystemTrust, Trust,
};
pub(crate) use uri::{escape_path, escape_query};

/// How to reach the application.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// Where it listens.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it speaks.
    pub protocol: AppProtocol,
    /// Concurrent calls; `None` for no limit.
    pub max_concurrency: Option<usize>,
    /// The largest message of a gRPC application, in bytes.
    pub max_message: usize,
    /// The largest head of an answer, in bytes.
    pub max_head: usize,
    /// The token shown to the application.
    pub token: Option<HeaderValue>,
    /// Counters.
    pub metrics: Metrics,
}

/// The application's protocol, with a live client for it.
#[derive(Debug, Clone)]
pub enum AppChannel {
    /// HTTP/1.1, HTTPS or HTTP/2 without TLS.
    Http(Box<HttpChannel>),
    /// gRPC, with or without TLS.
    Grpc(GrpcChannel),
}

/// How an application's health is known: `true` while calls may go to it.
pub type Health = watch::Receiver<bool>;

/// How long one attempt to connect to the application may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

impl AppChannel {
    /// A channel that connects when first used.
    ///
    /// # Errors
    /// The application's host cannot stand in an address.
    pub fn new(
        config: &ChannelConfig,
        health: Health,
        pipeline: Pipeline,
    ) -> Result<Self, InvalidTarget> {
        Ok(match config.protocol {
            AppProtocol::Http | AppProtocol::Https | AppProtocol::H2c => {
                Self::Http(Box::new(HttpChannel::new(config, health, pipeline)))
            }
            AppProtocol::Grpc | AppProtocol::Grpcs => Self::Grpc(GrpcChannel::new(config, health)?),
        })
    }

    /// Calls the application.
    ///
    /// # Errors
    /// It is unhealthy, unreachable, or broke off.
    pub async fn invoke(&self, call: Call) -> Result<Answer, CallError> {
        match self {
            Self::Http(channel) => channel.invoke(call).await,
            Self::Grpc(channel) => channel.invoke(call).await,
        }
    }

    /// The gRPC side, for what only gRPC applications can do.
    pub fn grpc(&self) -> Option<&GrpcChannel> {
        match self {
            Self::Http(_) => None,
            Self::Grpc(channel) => Some(channel),
        }
    }

    /// The HTTP side, for what only HTTP applications can do.
    pub fn http(&self) -> Option<&HttpChannel> {
        match self {
            Self::Http(channel) => Some(channel),
            Self::Grpc(_) => None,
        }
    }
}

/// Refuses calls while the application is known to be unhealthy.
fn require_healthy(health: &Health) -> Result<(), CallError> {
    if *health.borrow() {
        return Ok(());
    }
    Err(CallError::status(
        Code::Internal,
        "app is not in a healthy state",
    ))
}

/// A call that got no answer, in the words of Go's client, with the innermost reason.
fn unreachable(method: &Method, uri: &Uri, error: &ClientError) -> CallError {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    let verb = method.as_str();
    let verb = format!("{}{}", &verb[..1], verb[1..].to_lowercase());
    CallError::unknown(format!("{verb} \"{uri}\": {reason}"))
}
