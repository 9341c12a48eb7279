//! `state.redis` over TLS, on a real server.

use std::process::Command;

use trilby_components::{
    metadata::Metadata,
    state::{GetRequest, StateStore as _},
};
use trilby_components_redis::RedisState;
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

    async fn connect(&self, more: &[(&str, &str)]) -> Result<RedisState, String> {
        let host = self.port.address().to_string();
        let mut pairs = vec![("redisHost", host.as_str()), ("enableTLS", "true")];
        pairs.extend_from_slice(more);
        let metadata = Metadata::new(pairs).map_err(|error| error.to_string())?;
        RedisState::connect(&metadata)
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
    let unchecked = redis.connect(&shown[1..]).await.err();
    let unchecked = unchecked.expect("the authority is nobody's");
    assert!(unchecked.contains("certificate"), "{unchecked}");
    assert!(
        redis.connect(&trusting).await.is_err(),
        "the server asks for a certificate"
    );
}
