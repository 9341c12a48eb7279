//! Where the database is and how to log in, shared by every block that PostgreSQL serves.

mod parameters;
mod string;
mod tls;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::warn;
use trilby_components::metadata::{
    MetadataError, Schema,
    value::{Seconds, Sensitive},
};
use trilby_components::registry::InitError;

use parameters::Parameters;

/// The least number of connections that a pool may have by default; more processors give more. Upstream's driver's.
const LEAST_CONNECTIONS: usize = 4;
/// How long an idle connection is kept by default. Upstream's driver's.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueryExecMode {
    /// Each is prepared once a connection.
    #[default]
    CacheStatement,
    /// As `exec`.
    CacheDescribe,
    /// As `exec`.
    DescribeExec,
    /// Nothing is left on the connection between two requests, as poolers such as PgBouncer need it.
    Exec,
    /// As `exec`: values never become part of a statement's text.
    SimpleProtocol,
}

/// Connection metadata of every PostgreSQL component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    /// `host=… user=… password=… port=… database=…`, or a URL `postgres://user:password@host:port/database?…`. The other
    /// properties add to it and override it; without them, it is required.
    connection_string: Option<Sensitive>,
    /// The host, or several separated by commas, or the directory of a Unix socket.
    host: Option<String>,
    /// The IP address to connect to, while certificates are still checked against `host`.
    hostaddr: Option<String>,
    /// The port. Default: 5432.
    port: Option<String>,
    /// The name of the database. Default: that of the user.
    database: Option<String>,
    /// The user.
    user: Option<String>,
    /// The password.
    password: Option<Sensitive>,
    /// A file with the certificates of the authorities (PEM) that the server's is checked against.
    ssl_root_cert: Option<String>,
    /// How long an idle connection is kept; it is closed with the first request after that.
    #[schemars(extend("default" = "30m"))]
    connection_max_idle_time: Option<Seconds>,
    /// How many connections there are at most; 1 and less for the default, which is 4, or the number of processors if
    /// that is more.
    max_conns: Option<i32>,
    /// How statements are sent: `cache_statement` prepares each once a connection; all others leave nothing on the
    /// connection, as poolers such as PgBouncer need it.
    #[schemars(extend("default" = "cache_statement"))]
    query_exec_mode: Option<QueryExecMode>,
    /// Whether to log in with a Microsoft Entra ID token.
    #[serde(default, rename = "useAzureAD")]
    #[schemars(extend("effect" = "refused"))]
    use_azure_ad: bool,
    /// Whether to log in with an AWS IAM token.
    #[serde(default, rename = "useAWSIAM")]
    #[schemars(extend("effect" = "refused"))]
    use_aws_iam: bool,
    /// The AWS region; counts with `useAWSIAM` only.
    #[schemars(extend("effect" = "none"))]
    aws_region: Option<String>,
    /// An AWS access key; counts with `useAWSIAM` only.
    #[schemars(extend("effect" = "none"))]
    aws_access_key: Option<String>,
    /// Its secret; counts with `useAWSIAM` only.
    #[schemars(extend("effect" = "none"))]
    aws_secret_key: Option<Sensitive>,
}

impl Schema for Properties {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("url", "connectionString")];
}

/// A database, and how to talk to it.
pub(crate) struct Target {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: MakeRustlsConnect,
    /// `host:port`, for messages.
    pub(crate) address: String,
    /// How many connections there are at most.
    pub(crate) connections: usize,
    /// How long an idle connection is kept.
    pub(crate) idle: Duration,
    /// How long any connection is kept; `None` for as long as it works.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) mode: QueryExecMode,
    /// Whether the user says himself how long the server may work on a statement.
    pub(crate) has_statement_timeout: bool,
}

impl Target {
    /// Reads the properties, and the files that they name.
    ///
    /// # Errors
    /// What is wrong with them, or not there yet.
    pub(crate) fn new(properties: &Properties) -> Result<Self, InitError> {
        properties.refuse_what_is_not_there_yet()?;
        properties.warn_of_what_has_no_effect();
        let parameters = properties.parameters()?;
        let most = properties
            .max_conns
            .and_then(|most| usize::try_from(most).ok());
        let most = most.filter(|most| *most > 1);
        let Seconds(idle) = properties
            .connection_max_idle_time
            .unwrap_or(Seconds(Duration::ZERO));
        let idle = Some(idle).filter(|idle| !idle.is_zero());
        Ok(Self {
            config: parameters.config()?,
            tls: MakeRustlsConnect::new(parameters.tls()?.config()?),
            address: parameters.address(),
            connections: most.or(parameters.pool_size()?).unwrap_or_else(connections),
            idle: idle.or(parameters.idle()?).unwrap_or(IDLE),
            lifetime: parameters.lifetime()?,
            mode: match properties.query_exec_mode {
                Some(mode) => mode,
                None => parameters.mode()?,
            },
            has_statement_timeout: parameters.has("statement_timeout"),
        })
    }
}

fn connections() -> usize {
    let processors = std::thread::available_parallelism();
    processors.map_or(LEAST_CONNECTIONS, |count| {
        count.get().max(LEAST_CONNECTIONS)
    })
}

impl Properties {
    fn refuse_what_is_not_there_yet(&self) -> Result<(), InitError> {
        let missing = [
            ("Microsoft Entra ID (useAzureAD)", self.use_azure_ad),
            ("AWS IAM (useAWSIAM)", self.use_aws_iam),
        ];
        match missing.into_iter().find(|(_, asked)| *asked) {
            Some((what, _)) => Err(InitError::Invalid(format!(
                "PostgreSQL: logging in by {what}: not there yet in this sidecar"
            ))),
            None => Ok(()),
        }
    }

    fn warn_of_what_has_no_effect(&self) {
        let given = [
            ("awsRegion", self.aws_region.is_some()),
            ("awsAccessKey", self.aws_access_key.is_some()),
            ("awsSecretKey", self.aws_secret_key.is_some()),
        ];
        let properties: Vec<&str> = given
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name))
            .collect();
        if !properties.is_empty() {
            warn!(?properties, "without useAWSIAM, keys of AWS have no effect");
        }
    }

    /// The connection string, with what the other properties say instead.
    fn parameters(&self) -> Result<Parameters, MetadataError> {
        let text = self
            .connection_string
            .as_ref()
            .map_or("", Sensitive::expose);
        let mut given = string::parse(text)
            .map_err(|reason| MetadataError::invalid("connectionString", reason))?;
        // Two names for one thing, in the string as well.
        if let Some(database) = given.remove("database") {
            given.insert("dbname".to_owned(), database);
        }
        let others = [
            ("host", self.host.as_deref()),
            ("hostaddr", self.hostaddr.as_deref()),
            ("port", self.port.as_deref()),
            ("dbname", self.database.as_deref()),
            ("user", self.user.as_deref()),
            ("password", self.password.as_ref().map(Sensitive::expose)),
            ("sslrootcert", self.ssl_root_cert.as_deref()),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                given.insert(name.to_owned(), value.to_owned());
            }
        }
        match given.is_empty() {
            true => Err(MetadataError::Missing("connectionString".to_owned())),
            false => Ok(Parameters::new(given)),
        }
    }
}

#[cfg(test)]
mod tests;
