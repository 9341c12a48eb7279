//! Every component type of upstream, so that one that is absent here gets a true answer.

use super::Block;

/// Why a known type may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It comes with this Cargo feature of the sidecar.
    Feature(&'static str),
    /// Nobody has built it yet.
    NotYet,
}

/// Types behind a feature of the sidecar.
const FEATURES: &[(&str, &str)] = &[
    ("bindings.cron", "cron"),
    ("bindings.graphql", "http-binding"),
    ("bindings.http", "http-binding"),
    ("bindings.localstorage", "local"),
    ("bindings.redis", "redis"),
    ("bindings.mysql", "mysql"),
    ("bindings.postgres", "postgresql"),
    ("bindings.postgresql", "postgresql"),
    ("bindings.kafka", "kafka"),
    ("lock.etcd", "etcd"),
    ("lock.postgres", "postgresql"),
    ("lock.postgresql", "postgresql"),
    ("lock.redis", "redis"),
    ("pubsub.redis", "redis"),
    ("state.cockroachdb", "postgresql"),
    ("state.etcd", "etcd"),
    ("state.memcached", "memcached"),
    ("state.mongodb", "mongodb"),
    ("state.mysql", "mysql"),
    ("state.postgres", "postgresql"),
    ("state.postgresql", "postgresql"),
    ("state.redis", "redis"),
    ("state.yugabyte", "postgresql"),
    ("state.yugabytedb", "postgresql"),
    ("bindings.rabbitmq", "rabbitmq"),
    ("pubsub.rabbitmq", "rabbitmq"),
    ("configuration.kubernetes", "kubernetes"),
    ("configuration.postgres", "postgresql"),
    ("configuration.postgresql", "postgresql"),
    ("configuration.redis", "redis"),
    ("pubsub.kafka", "kafka"),
    ("secretstores.hashicorp.vault", "vault"),
    ("crypto.dapr.kubernetes.secrets", "kubernetes"),
    ("secretstores.kubernetes", "kubernetes"),
    ("secretstores.local.env", "local"),
    ("secretstores.local.file", "local"),
    ("middleware.http.bearer", "oauth2"),
    ("middleware.http.oauth2", "oauth2"),
    ("middleware.http.oauth2clientcredentials", "oauth2"),
    ("middleware.http.opa", "opa"),
    ("middleware.http.ratelimit", "http-middleware"),
    ("middleware.http.routeralias", "http-middleware"),
    ("middleware.http.routerchecker", "http-middleware"),
    ("middleware.http.sentinel", "http-middleware"),
    ("middleware.http.uppercase", "http-middleware"),
    ("middleware.http.wasm", "wasm"),
];

/// What is known about a lower-case type that has no backend.
pub(super) fn find(type_name: &str) -> Option<Known> {
    if let Some((_, feature)) = FEATURES.iter().find(|(name, _)| *name == type_name) {
        return Some(Known::Feature(feature));
    }
    let (block, name) = Block::of(type_name)?;
    names(block).contains(&name).then_some(Known::NotYet)
}

/// Known types that look like `type_name`, best first.
pub(super) fn nearest(type_name: &str) -> Vec<String> {
    trilby_component_catalogue::nearest(type_name, all())
}

/// Every type of upstream's, aliases included.
pub(super) fn all() -> impl Iterator<Item = String> {
    Block::ALL.into_iter().flat_map(|block| {
        names(block)
            .iter()
            .map(move |name| format!("{}.{name}", block.prefix()))
    })
}

/// The names that upstream registers, aliases included.
#[rustfmt::skip]
fn names(block: Block) -> &'static [&'static str] {
    match block {
        Block::State => &[
            "aerospike", "alicloud.tablestore", "aws.dynamodb", "azure.blobstorage", "azure.cosmosdb",
            "azure.tablestorage", "cassandra", "cloudflare.workerskv", "cockroachdb", "coherence", "consul",
            "couchbase", "etcd", "gcp.firestore", "hashicorp.consul", "hazelcast", "in-memory", "jetstream",
            "memcached", "mongodb", "mysql", "oci.objectstorage", "oracledatabase", "postgres", "postgresql",
            "ravendb", "redis", "rethinkdb", "sqlite", "sqlite3", "sqlserver", "yugabyte", "yugabytedb",
            "zookeeper",
        ],
        Block::SecretStore => &[
            "alicloud.parameterstore", "aws.parameterstore", "aws.secretmanager", "azure.keyvault",
            "gcp.secretmanager", "hashicorp.vault", "huaweicloud.csms", "kubernetes", "local.env",
            "local.file", "tencentcloud.ssm",
        ],
        Block::PubSub => &[
            "aws.snssqs", "azure.eventhubs", "azure.servicebus", "azure.servicebus.queues",
            "azure.servicebus.topics", "gcp.pubsub", "in-memory", "jetstream", "kafka", "kubemq", "mqtt",
            "mqtt3", "pulsar", "rabbitmq", "redis", "rocketmq", "snssqs", "solace.amqp",
        ],
        Block::Binding => &[
            "alicloud.dingtalk.webhook", "alicloud.dubbo", "alicloud.oss", "alicloud.sls",
            "alicloud.tablestore", "apns", "aws.dynamodb", "aws.kinesis", "aws.s3", "aws.ses", "aws.sns",
            "aws.sqs", "azure.blobstorage", "azure.cosmosdb", "azure.cosmosdb.gremlinapi",
            "azure.eventgrid", "azure.eventhubs", "azure.openai", "azure.servicebus.queues",
            "azure.servicebusqueues", "azure.signalr", "azure.storagequeues", "cloudflare.queues",
            "commercetools", "cron", "dingtalk.webhook", "dubbo", "gcp.bucket", "gcp.pubsub", "graphql",
            "http", "huawei.obs", "influx", "kafka", "kubemq", "kubernetes", "localstorage", "mqtt",
            "mqtt3", "mysql", "postgres", "postgresql", "postmark", "rabbitmq", "redis",
            "rethinkdb.statechange", "rocketmq", "sftp", "smtp", "twilio.sendgrid", "twilio.sms", "wasm",
            "zeebe.command", "zeebe.jobworker",
        ],
        Block::Configuration => &[
            "azure.appconfig", "kubernetes", "postgres", "postgresql", "redis",
        ],
        Block::Lock => &["redis"],
        Block::Crypto => &[
            "azure.keyvault", "dapr.jwks", "dapr.kubernetes.secrets", "dapr.localstorage",
        ],
        Block::Conversation => &[
            "anthropic", "aws.bedrock", "deepseek", "echo", "googleai", "huggingface", "mistral", "ollama",
            "openai",
        ],
        Block::Middleware => &[
            "bearer", "oauth2", "oauth2clientcredentials", "opa", "ratelimit", "routeralias",
            "routerchecker", "sentinel", "uppercase", "wasm",
        ],
        Block::Workflow => &["dapr"],
    }
}
