//! The metadata of `pubsub.rabbitmq`, with upstream's names and defaults.

use std::time::Duration;

use lapin::{
    ExchangeKind,
    uri::{AMQPScheme, AMQPUri},
};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::{
    metadata::{
        Metadata, MetadataError, Schema,
        value::{Seconds, Sensitive},
    },
    registry::ComponentContext,
};

use crate::{
    endpoint::{Certificates, Endpoint, parse},
    intake::{Concurrency, Refused, Settling},
    publisher::Word,
};

/// Upstream's default of `reconnectWaitSeconds`.
const WAIT: Duration = Duration::from_secs(3);
/// Upstream's default of `heartBeat`.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a topic's exchange does with a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Every queue gets it.
    #[default]
    Fanout,
    /// Queues bound to a pattern that its routing key matches.
    Topic,
    /// Queues bound to its routing key.
    Direct,
    /// Queues bound to its headers.
    Headers,
}

/// How many messages of a subscription are handled at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// As many as the broker gives ahead.
    #[default]
    Parallel,
    /// One, in order.
    Single,
}

/// How the broker is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// Over plain TCP.
    Amqp,
    /// Over TLS.
    Amqps,
}

/// Metadata of the broker.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The broker, `amqp://user:password@host:port/vhost`, or with `amqps` over TLS. Without it, `hostname` names it.
    connection_string: Option<Sensitive>,
    /// `amqp`, or `amqps` for TLS. Beside `connectionString`, the same as there.
    #[schemars(extend("default" = "amqp"))]
    protocol: Option<Protocol>,
    /// The broker's host, or `host:port`.
    #[serde(default = "localhost")]
    hostname: String,
    /// The user, beside `hostname`. Default: `guest`.
    username: Option<String>,
    /// The user's password. Default: `guest` without `username`, else none.
    password: Option<Sensitive>,
    /// What queues begin with that subscriptions name no other for. Default: the application's ID.
    #[serde(rename = "consumerID")]
    consumer_id: Option<String>,
    /// Whether exchanges and queues outlive a restart of the broker.
    #[serde(default = "yes")]
    durable: bool,
    /// Whether a queue goes with its last consumer, with all that waits in it, and an exchange with its last queue.
    #[serde(default = "yes")]
    deleted_when_unused: bool,
    /// Whether messages are acknowledged before they are handled: what the application does not take then is lost.
    #[serde(default)]
    auto_ack: bool,
    /// 2 keeps messages on disk, where the queue is durable; 0 and 1 do not.
    #[serde(default)]
    delivery_mode: u8,
    /// Whether a message that was not taken goes back to its queue; `false` has the broker put it where dead letters go,
    /// by `enableDeadLetter` or a policy of the broker, and drop it where there is no such place. Default: `true`, and
    /// `false` with `enableDeadLetter`.
    requeue_in_failure: Option<bool>,
    /// How many messages of a subscription the broker gives ahead, and are handled at once; 0 for 256.
    #[serde(default)]
    prefetch_count: u8,
    /// The pause before a lost broker is looked for. It doubles up to 30 s.
    #[schemars(extend("default" = "3s"))]
    reconnect_wait_seconds: Option<Seconds>,
    /// `parallel`, or `single` to handle one message of a subscription at a time, in order.
    #[serde(default)]
    #[schemars(extend("default" = "parallel"))]
    concurrency_mode: Mode,
    /// What exchanges do: `fanout`, `topic`, `direct` or `headers`.
    #[serde(default)]
    #[schemars(extend("default" = "fanout"))]
    exchange_kind: Kind,
    /// Whether publishing waits for the broker to say that it has the message. Without it, what is under way is lost
    /// with a broker that fails.
    #[serde(default)]
    publisher_confirm: bool,
    /// Whether what is not taken goes to the queue `dlq-` + its queue.
    #[serde(default)]
    enable_dead_letter: bool,
    /// The most messages of a queue; 0 for any number.
    #[serde(default)]
    max_len: i64,
    /// The most bytes of a queue; 0 for any number.
    #[serde(default)]
    max_len_bytes: i64,
    /// How long messages may wait that say nothing themselves. Default: for ever.
    ttl_in_seconds: Option<Seconds>,
    /// What the broker calls the connection.
    client_name: Option<String>,
    /// How often broker and sidecar tell each other that they are there; two that are missing end the connection.
    #[schemars(extend("default" = "10s"))]
    heart_beat: Option<Seconds>,
    /// Whether the client's certificate says who it is. Needs `caCert`, `clientCert` and `clientKey`.
    #[serde(default)]
    sasl_external: bool,
    /// PEM of the authorities whose brokers are trusted. Default: the system's.
    ca_cert: Option<String>,
    /// PEM of the certificate to show to the broker.
    client_cert: Option<String>,
    /// PEM of its key.
    client_key: Option<Sensitive>,
    /// Whether subscribers get properties and headers of messages as metadata, each with `metadata.` before its name.
    #[serde(default)]
    publish_message_properties_to_metadata: bool,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("host", "connectionString"),
        ("ttl", "ttlInSeconds"),
        ("concurrency", "concurrencyMode"),
    ];
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn yes() -> bool {
    true
}

/// All that the component is told beside the broker's address.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) consumer: String,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) auto_ack: bool,
    pub(super) delivery_mode: u8,
    pub(super) refused: Refused,
    /// 0 for the default.
    pub(super) prefetch: u16,
    pub(super) wait: Duration,
    pub(super) concurrency: Concurrency,
    pub(super) exchange_kind: ExchangeKind,
    pub(super) word: Word,
    pub(super) dead_letters: bool,
    /// Above 0.
    pub(super) most_messages: Option<i64>,
    /// Above 0.
    pub(super) most_bytes: Option<i64>,
    pub(super) time_to_live: Option<Duration>,
    pub(super) tells_properties: bool,
}

impl Config {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(super) fn new(
        context: &ComponentContext,
        metadata: &Metadata,
    ) -> Result<(Self, Endpoint), MetadataError> {
        let settings: Settings = metadata.decode()?;
        settings.check()?;
        let endpoint = settings.endpoint()?;
        let consumer = context.consumer(settings.consumer_id.as_deref());
        Ok((Self::of(&settings, consumer), endpoint))
    }

    fn of(settings: &Settings, consumer: String) -> Self {
        let requeue = settings.requeue_in_failure;
        Self {
            consumer,
            durable: settings.durable,
            auto_delete: settings.deleted_when_unused,
            auto_ack: settings.auto_ack,
            delivery_mode: settings.delivery_mode,
            refused: match requeue.unwrap_or(!settings.enable_dead_letter) {
                true => Refused::Requeued,
                false => Refused::Rejected,
            },
            prefetch: settings.prefetch_count.into(),
            wait: settings.reconnect_wait_seconds.map_or(WAIT, |wait| wait.0),
            concurrency: match settings.concurrency_mode {
                Mode::Parallel => Concurrency::Parallel,
                Mode::Single => Concurrency::Single,
            },
            exchange_kind: match settings.exchange_kind {
                Kind::Fanout => ExchangeKind::Fanout,
                Kind::Topic => ExchangeKind::Topic,
                Kind::Direct => ExchangeKind::Direct,
                Kind::Headers => ExchangeKind::Headers,
            },
            word: match settings.publisher_confirm {
                true => Word::Confirmed,
                false => Word::None,
            },
            dead_letters: settings.enable_dead_letter,
            most_messages: Some(settings.max_len).filter(|most| *most > 0),
            most_bytes: Some(settings.max_len_bytes).filter(|most| *most > 0),
            time_to_live: settings.ttl_in_seconds.map(|ttl| ttl.0),
            tells_properties: settings.publish_message_properties_to_metadata,
        }
    }

    /// How messages of a subscription are settled.
    pub(super) fn settling(&self) -> Settling {
        match self.auto_ack {
            true => Settling::Before,
            false => Settling::after_handling(self.refused),
        }
    }
}

impl Settings {
    fn check(&self) -> Result<(), MetadataError> {
        if self.delivery_mode > 2 {
            return Err(MetadataError::invalid("deliveryMode", "not 0, 1 or 2"));
        }
        Ok(())
    }

    fn endpoint(&self) -> Result<Endpoint, MetadataError> {
        let key = self.client_key.as_ref().map(Sensitive::expose);
        let certificate = self.client_cert.as_deref();
        let certificates = Certificates::new(self.ca_cert.as_deref(), certificate, key)?;
        if self.sasl_external && !certificates.complete() {
            let reason = "it needs caCert, clientCert and clientKey";
            return Err(MetadataError::invalid("saslExternal", reason));
        }
        let heartbeat = self.heart_beat.map_or(HEARTBEAT, |every| every.0);
        let uri = self.uri()?;
        let external = self.sasl_external && uri.scheme == AMQPScheme::AMQPS;
        let mut endpoint = Endpoint::new(uri, certificates, heartbeat)?;
        endpoint.name.clone_from(&self.client_name);
        endpoint.external |= external;
        Ok(endpoint)
    }

    fn uri(&self) -> Result<AMQPUri, MetadataError> {
        let protocol = self.protocol.map(|protocol| match protocol {
            Protocol::Amqp => AMQPScheme::AMQP,
            Protocol::Amqps => AMQPScheme::AMQPS,
        });
        let Some(text) = &self.connection_string else {
            return self.by_host(&protocol.unwrap_or_default());
        };
        let uri = parse("connectionString", text.expose())?;
        match protocol {
            Some(protocol) if protocol != uri.scheme => {
                let reason = format!("connectionString says {}", uri.scheme);
                Err(MetadataError::invalid("protocol", reason))
            }
            _ => Ok(uri),
        }
    }

    fn by_host(&self, scheme: &AMQPScheme) -> Result<AMQPUri, MetadataError> {
        let mut uri = parse("hostname", &format!("{scheme}://{}", self.hostname))?;
        if let Some(user) = &self.username {
            let password = self.password.as_ref().map_or("", Sensitive::expose);
            uri.authority.userinfo.username.clone_from(user);
            uri.authority.userinfo.password = password.to_owned();
        }
        Ok(uri)
    }
}

#[cfg(test)]
mod tests;
