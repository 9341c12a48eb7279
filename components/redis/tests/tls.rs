//! Redis over TLS, on a real server: as a state store, and as a broker, which makes connections of its own.

use std::process::Command;

use trilby_components::{
    conformance::pubsub::{Seen, Subscribed},
    metadata::Metadata,
    pubsub::{Message, PubSub as _},
    registry::ComponentContext,
    state::{GetRequest, StateStore as _},
};
use trilby_components_redis::{RedisPubSub, RedisState};
use trilby_testkit::{
    ca::{Authority, Credential},
    eventually::eventually,
    ports::Port,
    process::{Log, Process},
    programs,
    state_dir::StateDir,
};

/// A Redis that speaks TLS only, and asks for a certificate of its own authority.
struct TlsRedis {
    port: Port,
    _process: Process,
    _dir: StateDir,
}

impl TlsRedis {
    fn start(authority: &Authority) -> Self {
        let (port, dir) = (Port::free(), StateDir::create("redis-tls"));
        let server = authority.server(&["127.0.0.1"]);
        let files = [
            ("--tls-cert-file", server.certificate),
            ("--tls-key-file", server.key),
            ("--tls-ca-cert-file", authority.certificate()),
        ];
        let program = programs::system("redis-server").expect("redis-server is installed");
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", "0", "--save", ""]);
        command.args(["--tls-port", &port.number().to_string()]);
        for (flag, pem) in files {
            let path = dir.join(flag.trim_start_matches('-'));
            std::fs::write(&path, pem).expect("the directory is writable");
            command.arg(flag).arg(path);
        }
        let log = Log::at(dir.join("log"));
        Self {
            port,
            _process: Process::spawn("redis-tls", command, log).expect("it starts"),
            _dir: dir,
        }
    }

    fn metadata(&self, more: &[(&str, &str)]) -> Metadata {
        let host = self.port.address().to_string();
        let mut pairs = vec![("redisHost", host.as_str()), ("enableTLS", "true")];
        pairs.extend_from_slice(more);
        Metadata::new(pairs).expect("no name is given twice")
    }

    async fn connect(&self, more: &[(&str, &str)]) -> Result<RedisState, String> {
        RedisState::connect(&self.metadata(more))
            .await
            .map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn the_servers_certificate_is_checked_and_ours_is_shown() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.install_default().expect("nobody else does");
    let authority = Authority::new("redis");
    let redis = TlsRedis::start(&authority);
    let Credential { certificate, key } = authority.client("app", None);
    let trusting = [("insecureSkipTLSVerify", "true")];
    let shown = [
        ("insecureSkipTLSVerify", "true"),
        ("clientCert", certificate.as_str()),
        ("clientKey", key.as_str()),
    ];
    let store = eventually("it serves", async || redis.connect(&shown).await).await;
    let read = store.get(GetRequest::new("key")).await;
    assert_eq!(read, Ok(None));
    exchange_a_message(&redis.metadata(&shown)).await;
    let unchecked = redis.connect(&shown[1..]).await.err();
    let unchecked = unchecked.expect("the authority is nobody's");
    assert!(unchecked.contains("certificate"), "{unchecked}");
    assert!(
        redis.connect(&trusting).await.is_err(),
        "the server asks for a certificate"
    );
}

async fn exchange_a_message(metadata: &Metadata) {
    let context = ComponentContext {
        app_id: "app".to_owned(),
        ..ComponentContext::default()
    };
    let broker = RedisPubSub::connect(&context, metadata).await;
    let broker = broker.expect("the state store connected as well");
    let subscribed = Subscribed::to(&broker, "t", Seen::default()).await;
    let message = Message {
        topic: "t".to_owned(),
        data: "x".into(),
        ..Message::default()
    };
    let published = broker.publish(message).await;
    published.expect("it serves");
    subscribed.seen.until("it", |texts| texts == ["x"]).await;
    subscribed.end().await;
}
