//! The metadata of `bindings.rabbitmq`, with upstream's names and defaults.

use std::time::Duration;

use lapin::{
    types::{AMQPValue, FieldTable},
    uri::AMQPScheme,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::warn;
use trilby_components::metadata::{
    Metadata, MetadataError, Schema,
    value::{Seconds, Sensitive},
};

use crate::{
    endpoint::{Certificates, Endpoint, parse},
    topology::{Queue, argue, name},
};

/// Upstream's default of `reconnectWaitInSeconds`.
const WAIT: Duration = Duration::from_secs(5);
/// What upstream's client asks for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Metadata of the queue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The broker, `amqp://user:password@host:port/vhost`, or with `amqps` over TLS.
    host: Sensitive,
    /// The queue. It is made where it is not there.
    queue_name: String,
    /// Whether the queue outlives a restart of the broker.
    #[serde(default)]
    durable: bool,
    /// Whether the queue goes with its last consumer, with all that waits in it.
    #[serde(default)]
    delete_when_unused: bool,
    /// Whether the queue is this sidecar's alone, and goes with its connection.
    #[serde(default)]
    exclusive: bool,
    /// How many messages the broker gives ahead; 0 for 256. They are handled one after the other.
    #[serde(default)]
    prefetch_count: u16,
    /// The highest priority that the queue knows, 255 at most. Default: it knows none.
    max_priority: Option<u64>,
    /// How long messages may wait in the queue that do not say so themselves. Default: for ever.
    ttl: Option<Seconds>,
    /// The pause before a lost broker is looked for. It doubles up to 30 s.
    #[schemars(extend("default" = "5s"))]
    reconnect_wait_in_seconds: Option<Seconds>,
    /// PEM of the authorities whose brokers are trusted. Default: the system's.
    ca_cert: Option<String>,
    /// PEM of the certificate to show to the broker.
    client_cert: Option<String>,
    /// PEM of its key.
    client_key: Option<Sensitive>,
    /// Whether the client's certificate says who it is. Needs `caCert`, `clientCert` and `clientKey`.
    #[serde(default)]
    external_sasl: bool,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("ttlInSeconds", "ttl"), ("saslExternal", "externalSasl")];
}

/// All that the binding is told beside the broker's address.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) queue: Queue,
    /// 0 for the default.
    pub(super) prefetch: u16,
    pub(super) wait: Duration,
}

impl Config {
    /// Reads the metadata.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(super) fn new(metadata: &Metadata) -> Result<(Self, Endpoint), MetadataError> {
        let settings: Settings = metadata.decode()?;
        let endpoint = settings.endpoint()?;
        let wait = settings.reconnect_wait_in_seconds;
        let config = Self {
            queue: settings.queue()?,
            prefetch: settings.prefetch_count,
            wait: wait.map_or(WAIT, |wait| wait.0),
        };
        Ok((config, endpoint))
    }
}

impl Settings {
    fn queue(&self) -> Result<Queue, MetadataError> {
        let mut arguments = FieldTable::default();
        if let Some(ttl) = self.ttl {
            let milliseconds = i64::try_from(ttl.0.as_millis()).unwrap_or(i64::MAX);
            let ttl = AMQPValue::LongLongInt(milliseconds);
            argue(&mut arguments, "x-message-ttl", ttl);
        }
        if let Some(most) = self.max_priority {
            let most = AMQPValue::ShortShortUInt(u8::try_from(most).unwrap_or(u8::MAX));
            argue(&mut arguments, "x-max-priority", most);
        }
        let called = name("it", self.queue_name.as_str());
        Ok(Queue {
            name: called.map_err(|reason| MetadataError::invalid("queueName", reason))?,
            durable: self.durable,
            auto_delete: self.delete_when_unused,
            exclusive: self.exclusive,
            arguments,
        })
    }

    fn endpoint(&self) -> Result<Endpoint, MetadataError> {
        let key = self.client_key.as_ref().map(Sensitive::expose);
        let certificate = self.client_cert.as_deref();
        let certificates = Certificates::new(self.ca_cert.as_deref(), certificate, key)?;
        let uri = parse("host", self.host.expose())?;
        let tls = certificates.complete() && uri.scheme == AMQPScheme::AMQPS;
        let mut endpoint = Endpoint::new(uri, certificates, HEARTBEAT)?;
        endpoint.external |= self.external_sasl && tls;
        if self.external_sasl && !tls {
            warn!("externalSasl has no effect without amqps://, caCert, clientCert and clientKey");
        }
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lapin::types::{AMQPValue, FieldTable};
    use trilby_components::metadata::{Metadata, MetadataError};

    use super::{Config, Queue};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, MetadataError> {
        let given = [("host", "amqp://h"), ("queueName", "q")];
        let given = given
            .into_iter()
            .filter(|(key, _)| !pairs.iter().any(|(other, _)| other == key));
        let metadata = Metadata::new(given.chain(pairs.iter().copied())).unwrap();
        Config::new(&metadata).map(|(config, _)| config)
    }

    #[test]
    fn defaults_are_upstreams() {
        let expected = Config {
            queue: Queue {
                name: "q".into(),
                durable: false,
                auto_delete: false,
                exclusive: false,
                arguments: FieldTable::default(),
            },
            prefetch: 0,
            wait: Duration::from_secs(5),
        };
        assert_eq!(read(&[]), Ok(expected));
    }

    #[test]
    fn the_queue_is_told_how_long_messages_wait_and_which_go_first() {
        let config = read(&[("ttlInSeconds", "2"), ("maxPriority", "999")]).unwrap();
        let arguments = config.queue.arguments;
        let found = |key: &str| arguments.inner().get(key).cloned();
        assert_eq!(found("x-message-ttl"), Some(AMQPValue::LongLongInt(2000)));
        let most = Some(AMQPValue::ShortShortUInt(255));
        assert_eq!(found("x-max-priority"), most);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (key, value) in [
            ("host", ""),
            ("queueName", ""),
            ("host", "h"),
            ("ttl", "soon"),
            ("maxPriority", "-1"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
