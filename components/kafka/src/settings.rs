//! The metadata of `pubsub.kafka` and `bindings.kafka`, with upstream's names and defaults.

pub(crate) mod security;

use std::time::Duration;

use krafka::Compression;
use krafka::auth::AuthConfig;
use krafka::consumer::PartitionAssignmentStrategy;
use krafka::producer::Acks;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::value::{Milliseconds, Seconds, Sensitive};
use trilby_components::metadata::{MetadataError, Schema};
use trilby_components::registry::ComponentContext;

use crate::message::Headers;
use crate::retry::Retry;

/// Upstream's limits of the network.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Metadata of all that Kafka serves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Where the brokers are: `host:port`, several separated by commas.
    brokers: String,
    /// How brokers know us: `none`, `password`, `mtls`, `certificate` (TLS without a certificate of ours). `oidc`,
    /// `oidc_private_key_jwt` and `awsiam` are refused.
    auth_type: Option<String>,
    /// Deprecated: instead of `authType`, true for `password` if there is a `saslPassword`, else `mtls`; false for `none`.
    auth_required: Option<String>,
    /// User name of `password`.
    sasl_username: Option<String>,
    /// Password of `password`.
    sasl_password: Option<Sensitive>,
    /// `SHA-256` or `SHA-512` (SCRAM); PLAIN otherwise.
    sasl_mechanism: Option<String>,
    /// Certificates of authorities, PEM. Without it, those of the system.
    ca_cert: Option<String>,
    /// Our certificate for `mtls`, PEM.
    client_cert: Option<String>,
    /// Its key, PEM.
    client_key: Option<Sensitive>,
    /// Does not verify who the brokers are.
    #[serde(default)]
    skip_verify: bool,
    /// No TLS. Without TLS as well: `authType` `none`.
    #[serde(default)]
    disable_tls: bool,
    /// The group that subscriptions join.
    consumer_group: Option<String>,
    /// The group where `consumerGroup` does not say. Default: the application's ID.
    #[serde(rename = "consumerID")]
    consumer_id: Option<String>,
    /// Who we say we are.
    #[serde(rename = "clientID", default = "client_id")]
    client_id: String,
    /// Where a group begins in a partition that it has never read: `newest` or `oldest`.
    #[schemars(extend("default" = "newest"))]
    initial_offset: Option<String>,
    /// The largest message that is published, in bytes.
    #[serde(default = "max_message_bytes")]
    max_message_bytes: usize,
    /// Whether a message that is not taken is tried again as `backOff*` say. Without it, or once they give up, it holds up
    /// its partition all the same and is tried again, 1 s to 60 s apart. Default: true for pub/sub, false for the binding.
    consume_retry_enabled: Option<bool>,
    /// How long until a lost connection of a subscription is tried again, at first; it grows to 10 s.
    #[schemars(extend("default" = "100ms"))]
    consume_retry_interval: Option<Milliseconds>,
    /// `constant` or `exponential`.
    #[schemars(extend("default" = "constant"))]
    pub(crate) back_off_policy: Option<String>,
    /// Pause of the constant policy.
    #[schemars(extend("default" = "5s"))]
    pub(crate) back_off_duration: Option<Seconds>,
    /// First pause of the exponential policy.
    #[schemars(extend("default" = "500ms"))]
    pub(crate) back_off_initial_interval: Option<Seconds>,
    /// By how much its pauses are spread, 0 to 1.
    #[schemars(extend("default" = "0.5"))]
    pub(crate) back_off_randomization_factor: Option<f64>,
    /// How much longer each is than the one before.
    #[schemars(extend("default" = "1.5"))]
    pub(crate) back_off_multiplier: Option<f64>,
    /// Its longest pause.
    #[schemars(extend("default" = "60s"))]
    pub(crate) back_off_max_interval: Option<Seconds>,
    /// After how long it gives up; 0 for never.
    #[schemars(extend("default" = "15m"))]
    pub(crate) back_off_max_elapsed_time: Option<Seconds>,
    /// After how many retries either policy gives up; -1 for never.
    #[schemars(extend("default" = "-1"))]
    pub(crate) back_off_max_retries: Option<i64>,
    /// How often members of a group say that they are there.
    #[schemars(extend("default" = "3s"))]
    heartbeat_interval: Option<Seconds>,
    /// After how long without that a member counts as gone.
    #[schemars(extend("default" = "10s"))]
    session_timeout: Option<Seconds>,
    /// Version of the protocol; it is negotiated with the brokers, which have to be 3.9 or later.
    #[schemars(extend("default" = "2.0.0", "effect" = "none"))]
    version: Option<String>,
    /// Records that may wait in one partition before it is paused.
    #[serde(default = "channel_buffer_size")]
    channel_buffer_size: usize,
    /// Bytes that a broker waits for before it answers, for half a second at most.
    #[serde(default = "consumer_fetch_min")]
    consumer_fetch_min: i32,
    /// Bytes that are fetched of a partition at once.
    #[serde(default = "consumer_fetch_default")]
    consumer_fetch_default: i32,
    /// How old what is known about topics may be.
    #[schemars(extend("default" = "8m"))]
    client_connection_topic_metadata_refresh_interval: Option<Seconds>,
    /// TCP keep-alive of connections; 0 for none.
    #[schemars(extend("default" = "0s"))]
    client_connection_keep_alive_interval: Option<Seconds>,
    /// Limit of a connection's beginning.
    #[schemars(extend("default" = "30s"))]
    dial_timeout: Option<Seconds>,
    /// Limit of one request.
    #[schemars(extend("default" = "30s"))]
    read_timeout: Option<Seconds>,
    /// Limit of a write; it is part of `readTimeout`.
    #[schemars(extend("default" = "30s", "effect" = "none"))]
    write_timeout: Option<Seconds>,
    /// How long a publication waits to know its topic; 0 for as long as `readTimeout`.
    #[schemars(extend("default" = "0s"))]
    metadata_timeout: Option<Seconds>,
    /// Who has to have a message before it counts as published: `all` replicas in sync, the leader only (`local`), or
    /// `none`.
    #[schemars(extend("default" = "all"))]
    producer_required_acks: Option<String>,
    /// Retries of a publication; they are limited by time instead, `readTimeout`.
    #[schemars(extend("default" = "5", "effect" = "none"))]
    producer_retry_max: Option<u32>,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    #[schemars(extend("default" = "none"))]
    compression: Option<String>,
    /// Who gets which partitions: `range`, `roundrobin`, or `sticky`, which lets go only of partitions that move. A group
    /// with sidecars of upstream needs `range` or `roundrobin`: theirs is another `sticky`.
    #[schemars(extend("default" = "range"))]
    consumer_group_rebalance_strategy: Option<String>,
    /// Whether values of headers arrive escaped as in a query string.
    #[serde(default)]
    escape_headers: bool,
    /// A regular expression of names that are neither sent nor received as headers.
    exclude_header_meta_regex: Option<String>,
    /// Where Avro's schemas are, which are not there yet; a message that asks for one is refused.
    #[serde(rename = "schemaRegistryURL")]
    #[schemars(extend("effect" = "none"))]
    schema_registry_url: Option<String>,
}

impl Schema for Settings {}

fn client_id() -> String {
    "sarama".to_owned()
}

fn max_message_bytes() -> usize {
    1024 * 1024
}

fn channel_buffer_size() -> usize {
    256
}

fn consumer_fetch_min() -> i32 {
    1
}

fn consumer_fetch_default() -> i32 {
    1024 * 1024
}

/// All that a connection is told. It has no `Debug`: it knows passwords.
pub(crate) struct Config {
    pub(crate) brokers: String,
    pub(crate) client_id: String,
    pub(crate) security: Option<AuthConfig>,
    pub(crate) connect_timeout: Duration,
    /// Limit of one request, and of a publication with its retries.
    pub(crate) request_timeout: Duration,
    /// How old what is known about topics may be.
    pub(crate) refresh: Duration,
    pub(crate) keep_alive: Option<Duration>,
    /// How long a publication waits to know its topic.
    pub(crate) metadata_timeout: Duration,
    pub(crate) acks: Acks,
    pub(crate) compression: Compression,
    /// In bytes.
    pub(crate) largest: usize,
    pub(crate) group: Group,
    pub(crate) headers: Headers,
}

/// What a member of a group is told.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: String,
    /// Whether a group begins with what is there already.
    pub(crate) from_oldest: bool,
    pub(crate) heartbeat: Duration,
    pub(crate) session: Duration,
    pub(crate) strategy: PartitionAssignmentStrategy,
    /// In bytes.
    pub(crate) fetch_min: i32,
    /// In bytes.
    pub(crate) fetch_max: i32,
    /// Records that may wait in one partition.
    pub(crate) most_waiting: usize,
    /// Until a lost connection is tried again, at first.
    pub(crate) reconnect: Duration,
    pub(crate) retry: Retry,
}

impl Config {
    /// Reads the settings; `retries` is what `consumeRetryEnabled` is when it is not given.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub(crate) fn new(
        settings: Settings,
        context: &ComponentContext,
        retries: bool,
    ) -> Result<Self, MetadataError> {
        settings.warn();
        let request_timeout = seconds(settings.read_timeout, TIMEOUT);
        let metadata_timeout = seconds(settings.metadata_timeout, Duration::ZERO);
        let keep_alive = seconds(
            settings.client_connection_keep_alive_interval,
            Duration::ZERO,
        );
        let refresh = Duration::from_mins(8);
        Ok(Self {
            security: security::of(&settings)?,
            // The client wants no request to end before a connection has begun.
            connect_timeout: seconds(settings.dial_timeout, TIMEOUT).min(request_timeout),
            request_timeout,
            refresh: seconds(
                settings.client_connection_topic_metadata_refresh_interval,
                refresh,
            ),
            keep_alive: (!keep_alive.is_zero()).then_some(keep_alive),
            metadata_timeout: match metadata_timeout.is_zero() {
                true => request_timeout,
                false => metadata_timeout,
            },
            acks: settings.acks()?,
            compression: settings.compression()?,
            largest: settings.max_message_bytes,
            group: settings.group(context, retries)?,
            headers: settings.headers()?,
            brokers: settings.brokers,
            client_id: settings.client_id,
        })
    }
}

fn seconds(given: Option<Seconds>, or: Duration) -> Duration {
    given.map_or(or, |given| given.0)
}

impl Settings {
    fn warn(&self) {
        let without_effect = [
            ("version", self.version.is_some()),
            ("writeTimeout", self.write_timeout.is_some()),
            ("producerRetryMax", self.producer_retry_max.is_some()),
            ("schemaRegistryURL", self.schema_registry_url.is_some()),
        ];
        for (name, _) in without_effect.iter().filter(|(_, given)| *given) {
            tracing::warn!("{name} of Kafka has no effect");
        }
    }

    fn acks(&self) -> Result<Acks, MetadataError> {
        match lower(self.producer_required_acks.as_deref()).as_str() {
            "" | "all" => Ok(Acks::All),
            "local" => Ok(Acks::Leader),
            "none" => Ok(Acks::None),
            _ => Err(MetadataError::invalid(
                "producerRequiredAcks",
                "it is none of all, local and none",
            )),
        }
    }

    fn compression(&self) -> Result<Compression, MetadataError> {
        match lower(self.compression.as_deref()).as_str() {
            "" | "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "snappy" => Ok(Compression::Snappy),
            "lz4" => Ok(Compression::Lz4),
            "zstd" => Ok(Compression::Zstd),
            _ => Err(MetadataError::invalid(
                "compression",
                "it is none of none, gzip, snappy, lz4 and zstd",
            )),
        }
    }

    fn group(&self, context: &ComponentContext, retries: bool) -> Result<Group, MetadataError> {
        let said = self.consumer_group.as_deref();
        let said = said.or(self.consumer_id.as_deref());
        let reconnect = self.consume_retry_interval;
        Ok(Group {
            id: context.consumer(said),
            from_oldest: match lower(self.initial_offset.as_deref()).as_str() {
                "" | "newest" => false,
                "oldest" => true,
                _ => {
                    return Err(MetadataError::invalid(
                        "initialOffset",
                        "it is neither newest nor oldest",
                    ));
                }
            },
            heartbeat: seconds(self.heartbeat_interval, Duration::from_secs(3)),
            session: seconds(self.session_timeout, Duration::from_secs(10)),
            strategy: self.strategy(),
            fetch_min: self.consumer_fetch_min,
            fetch_max: self.consumer_fetch_default,
            most_waiting: self.channel_buffer_size,
            reconnect: reconnect.map_or(Duration::from_millis(100), |given| given.0),
            retry: Retry::new(self, self.consume_retry_enabled.unwrap_or(retries))?,
        })
    }

    /// As upstream, what is not known is `range`.
    fn strategy(&self) -> PartitionAssignmentStrategy {
        let said = self.consumer_group_rebalance_strategy.as_deref();
        match lower(said).as_str() {
            "" | "range" => PartitionAssignmentStrategy::Range,
            "roundrobin" => PartitionAssignmentStrategy::RoundRobin,
            "sticky" => PartitionAssignmentStrategy::CooperativeSticky,
            _ => {
                tracing::warn!(
                    "consumerGroupRebalanceStrategy is none of range, roundrobin and sticky: range"
                );
                PartitionAssignmentStrategy::Range
            }
        }
    }

    fn headers(&self) -> Result<Headers, MetadataError> {
        let excluded = self.exclude_header_meta_regex.as_deref().map(Regex::new);
        Ok(Headers {
            escaped: self.escape_headers,
            excluded: excluded.transpose().map_err(|error| {
                MetadataError::invalid("excludeHeaderMetaRegex", error.to_string())
            })?,
        })
    }
}

fn lower(text: Option<&str>) -> String {
    text.unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
