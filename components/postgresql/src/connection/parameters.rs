//! What the parameters of a connection string mean.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs,
};
use tracing::warn;
use trilby_components::metadata::MetadataError;
use trilby_go_syntax::parse_duration;

use super::QueryExecMode;
use super::tls::{Mode, Tls};

/// PostgreSQL's own port.
const PORT: u16 = 5432;
/// How long any connection is kept by default. Upstream's driver's.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Parameters with a meaning of their own here. Every other one is a setting of the session, and the server's to judge.
const READ: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "pool_max_conns",
    "pool_max_conn_idle_time",
    "pool_max_conn_lifetime",
    "default_query_exec_mode",
];
/// Those that are not there yet: to go on without them would be another connection than the one asked for.
const REFUSED: &[&str] = &[
    "passfile",
    "service",
    "servicefile",
    "sslpassword",
    "sslcrl",
    "sslcrldir",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "krbspn",
    "krbsrvname",
    "require_auth",
    "requirepeer",
];
/// Those that tune what there is not.
const WITHOUT_EFFECT: &[&str] = &[
    "client_encoding",
    "description_cache_capacity",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pool_health_check_period",
    "pool_max_conn_lifetime_jitter",
    "pool_min_conns",
    "pool_min_idle_conns",
    "sslcompression",
    "sslsni",
    "statement_cache_capacity",
    "tcp_user_timeout",
];

/// The parameters of a connection, by name.
#[derive(Clone)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn new(given: BTreeMap<String, String>) -> Self {
        Self(
            given
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of `name`, if there is one and it is one of these.
    fn one_of<T: Copy>(
        &self,
        name: &str,
        values: &[(&str, T)],
    ) -> Result<Option<T>, MetadataError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let found = values.iter().find(|(value, _)| *value == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let words: Vec<&str> = values.iter().map(|(value, _)| *value).collect();
            wrong(name, &format!("expected one of {}", words.join(", ")))
        })
    }

    fn duration(&self, name: &str) -> Result<Option<Duration>, MetadataError> {
        let parse = |text| parse_duration(text).map_err(|error| wrong(name, &error.to_string()));
        self.get(name).map(parse).transpose()
    }

    /// Parts between commas; none where there is no such parameter.
    fn parts(&self, name: &str) -> Vec<&str> {
        let text = self.get(name).unwrap_or_default();
        match text.is_empty() {
            true => Vec::new(),
            false => text.split(',').map(str::trim).collect(),
        }
    }

    /// `host:port`, for messages.
    pub(super) fn address(&self) -> String {
        let host = self
            .get("host")
            .or(self.get("hostaddr"))
            .unwrap_or("localhost");
        match self.get("port") {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// What the client is told.
    ///
    /// # Errors
    /// A value that makes no sense, or a parameter that is not there yet.
    pub(super) fn config(&self) -> Result<Config, MetadataError> {
        if let Some(name) = REFUSED.iter().find(|name| self.has(name)) {
            return Err(wrong(name, "not there yet in this sidecar"));
        }
        let idle: Vec<_> = WITHOUT_EFFECT
            .iter()
            .filter(|name| self.has(name))
            .collect();
        if !idle.is_empty() {
            warn!(parameters = ?idle, "parameters of the connection string have no effect");
        }
        let mut config = Config::new();
        self.addresses(&mut config)?;
        self.login(&mut config);
        self.session(&mut config)?;
        let mode = match self.mode_of_tls()? {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        };
        config.ssl_mode(mode);
        Ok(config)
    }

    fn addresses(&self, config: &mut Config) -> Result<(), MetadataError> {
        let (mut hosts, addresses) = (self.parts("host"), self.parts("hostaddr"));
        if hosts.is_empty() {
            // Also the name that the server's certificate has to have.
            hosts = match addresses.is_empty() {
                true => vec!["localhost"],
                false => addresses.clone(),
            };
        }
        if !addresses.is_empty() && addresses.len() != hosts.len() {
            return Err(wrong("hostaddr", "there must be one for each host"));
        }
        let ports = self.parts("port");
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(wrong("port", "there must be one, or one for each host"));
        }
        for host in hosts {
            config.host(host);
        }
        for address in addresses {
            let address: Result<IpAddr, _> = address.parse();
            config.hostaddr(address.map_err(|_| wrong("hostaddr", "it is no IP address"))?);
        }
        for port in ports {
            config.port(number(port)?);
        }
        Ok(())
    }

    fn login(&self, config: &mut Config) {
        if let Some(user) = self.get("user") {
            config.user(user);
        }
        if let Some(password) = self.get("password") {
            config.password(password);
        }
        if let Some(database) = self.get("dbname") {
            config.dbname(database);
        }
    }

    fn session(&self, config: &mut Config) -> Result<(), MetadataError> {
        if let Some(name) = self.get("application_name") {
            config.application_name(name);
        }
        if let Some(seconds) = self.get("connect_timeout") {
            let seconds: Result<u64, _> = seconds.parse();
            let seconds = seconds.map_err(|_| wrong("connect_timeout", "it is no number"))?;
            if seconds > 0 {
                config.connect_timeout(Duration::from_secs(seconds));
            }
        }
        let kinds = [
            ("any", TargetSessionAttrs::Any),
            ("read-write", TargetSessionAttrs::ReadWrite),
            ("read-only", TargetSessionAttrs::ReadOnly),
        ];
        if let Some(kind) = self.one_of("target_session_attrs", &kinds)? {
            config.target_session_attrs(kind);
        }
        let orders = [
            ("disable", LoadBalanceHosts::Disable),
            ("random", LoadBalanceHosts::Random),
        ];
        if let Some(order) = self.one_of("load_balance_hosts", &orders)? {
            config.load_balance_hosts(order);
        }
        let bindings = [
            ("disable", ChannelBinding::Disable),
            ("prefer", ChannelBinding::Prefer),
            ("require", ChannelBinding::Require),
        ];
        if let Some(binding) = self.one_of("channel_binding", &bindings)? {
            config.channel_binding(binding);
        }
        let negotiations = [
            ("postgres", SslNegotiation::Postgres),
            ("direct", SslNegotiation::Direct),
        ];
        if let Some(negotiation) = self.one_of("sslnegotiation", &negotiations)? {
            config.ssl_negotiation(negotiation);
        }
        if let Some(options) = self.options()? {
            config.options(options);
        }
        Ok(())
    }

    /// `options`, and as such every parameter that is a setting of the session.
    fn options(&self) -> Result<Option<String>, MetadataError> {
        let mut options = self.get("options").unwrap_or_default().to_owned();
        for (name, value) in &self.0 {
            if READ.contains(&name.as_str()) || WITHOUT_EFFECT.contains(&name.as_str()) {
                continue;
            }
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
            if !name.bytes().all(is_name) {
                return Err(wrong("", "a parameter has a name that no setting can have"));
            }
            let value = value.replace('\\', r"\\").replace(' ', r"\ ");
            options = format!("{options} -c {name}={value}");
        }
        let options = options.trim_start();
        Ok((!options.is_empty()).then(|| options.to_owned()))
    }

    fn mode_of_tls(&self) -> Result<Mode, MetadataError> {
        let modes = [
            ("disable", Mode::Disable),
            ("allow", Mode::Prefer),
            ("prefer", Mode::Prefer),
            ("require", Mode::Require),
            ("verify-ca", Mode::VerifyCa),
            ("verify-full", Mode::VerifyFull),
        ];
        let mode = self.one_of("sslmode", &modes)?.unwrap_or(Mode::Prefer);
        Ok(match (mode, self.get("sslrootcert")) {
            // As libpq has it: who names authorities wants them to count.
            (Mode::Require, Some(_)) => Mode::VerifyCa,
            (mode, _) => mode,
        })
    }

    /// How the server proves itself, and the client.
    ///
    /// # Errors
    /// There is no such mode.
    pub(super) fn tls(&self) -> Result<Tls, MetadataError> {
        let own = |name| self.get(name).map(str::to_owned);
        Ok(Tls {
            mode: self.mode_of_tls()?,
            authorities: own("sslrootcert").filter(|name| name != "system"),
            certificate: own("sslcert"),
            key: own("sslkey"),
        })
    }

    /// How many connections there are at most, if that is said.
    pub(super) fn pool_size(&self) -> Result<Option<usize>, MetadataError> {
        let Some(text) = self.get("pool_max_conns") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(most) if most > 0 => Ok(Some(most)),
            _ => Err(wrong("pool_max_conns", "it is no number above zero")),
        }
    }

    /// How long an idle connection is kept, if that is said.
    pub(super) fn idle(&self) -> Result<Option<Duration>, MetadataError> {
        self.duration("pool_max_conn_idle_time")
    }

    /// How long any connection is kept.
    pub(super) fn lifetime(&self) -> Result<Option<Duration>, MetadataError> {
        let lifetime = self.duration("pool_max_conn_lifetime")?.unwrap_or(LIFETIME);
        Ok(Some(lifetime).filter(|lifetime| !lifetime.is_zero()))
    }

    /// How statements are sent.
    pub(super) fn mode(&self) -> Result<QueryExecMode, MetadataError> {
        let modes = [
            ("cache_statement", QueryExecMode::CacheStatement),
            ("cache_describe", QueryExecMode::CacheDescribe),
            ("describe_exec", QueryExecMode::DescribeExec),
            ("exec", QueryExecMode::Exec),
            ("simple_protocol", QueryExecMode::SimpleProtocol),
        ];
        let mode = self.one_of("default_query_exec_mode", &modes)?;
        Ok(mode.unwrap_or_default())
    }
}

fn number(port: &str) -> Result<u16, MetadataError> {
    match port.parse() {
        _ if port.is_empty() => Ok(PORT),
        Ok(port) if port > 0 => Ok(port),
        _ => Err(wrong("port", "it is no number from 1 to 65535")),
    }
}

/// The value is not repeated: it may be a secret.
fn wrong(parameter: &str, reason: &str) -> MetadataError {
    MetadataError::invalid(
        "connectionString",
        format!("parameter {parameter}: {reason}"),
    )
}
