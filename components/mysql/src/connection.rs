//! Where the server is and how to log in, shared by every block that MySQL serves.

mod dsn;
mod parameters;
mod tls;

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, PoolConstraints, PoolOpts, SslOpts};
use schemars::JsonSchema;
use serde::Deserialize;
use trilby_components::metadata::{MetadataError, Schema, value::Sensitive};

use dsn::{Address, Dsn};
use parameters::Parameters;

/// How many connections there are at most. Upstream has no bound; servers have one, 151 by default.
pub(crate) const CONNECTIONS: usize = 16;
/// How long an idle connection is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(30 * 60);
/// How many statements a connection keeps prepared: more than there are.
const STATEMENTS: usize = 24;
/// How often a connection shows that it lives; Go's default, which upstream's driver has.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Connection metadata of every MySQL component.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Properties {
    /// How to connect, in the form of Go's driver: `user:password@tcp(host:3306)/?parameter=value`, without a database,
    /// or `user:password@unix(/path/of/socket)/`. The password stands as it is, whatever characters it has. Parameters
    /// with a meaning: `allowCleartextPasswords`, `allowNativePasswords` (`true` only), `allowOldPasswords`, `compress`,
    /// `maxAllowedPacket`, `timeout` (how long a connection may take to come about), and `tls`: `false`, `preferred`,
    /// `skip-verify`, `true` (authorities of the system) or `custom` (those of `pemPath`). Others of the driver have no
    /// effect; what the driver does not know is a variable of the session, and set.
    connection_string: Sensitive,
    /// A file with the certificates of the authorities (PEM) that the server's is checked against; counts with
    /// `tls=custom` only.
    pem_path: Option<String>,
}

impl Schema for Properties {}

impl Properties {
    pub(crate) fn new(connection_string: Sensitive, pem_path: Option<String>) -> Self {
        Self {
            connection_string,
            pem_path,
        }
    }

    fn dsn(&self) -> Result<Dsn, MetadataError> {
        Dsn::parse(self.connection_string.expose()).map_err(|reason| wrong(&reason))
    }
}

fn wrong(reason: &str) -> MetadataError {
    MetadataError::invalid("connectionString", reason)
}

/// A server, and how to talk to it.
pub(crate) struct Target {
    options: OptsBuilder,
    tls: Option<SslOpts>,
    /// Whether a server without TLS is good enough.
    plain_will_do: bool,
    /// `host:port`, for messages.
    pub(crate) address: String,
    /// How long a connection may take to come about, if that is limited for itself.
    pub(crate) dial: Option<Duration>,
}

impl Target {
    /// Reads the properties, and the files that they name. A request is given `limit`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(properties: &Properties, limit: Duration) -> Result<Self, MetadataError> {
        let dsn = properties.dsn()?;
        if dsn.database.is_some() {
            return Err(wrong("it names a database: that is what schemaName is for"));
        }
        Self::over(
            &dsn,
            properties,
            |parameters| parameters.session(limit),
            pool(),
        )
    }

    /// As [`Target::new`], for what callers write: the session is as the server has it, and in the database that the
    /// string names, if it does.
    ///
    /// # Errors
    /// What is wrong with the properties.
    pub(crate) fn of_callers(
        properties: &Properties,
        limit: Duration,
        pool: PoolOpts,
    ) -> Result<(Self, Option<String>), MetadataError> {
        let dsn = properties.dsn()?;
        let session = |parameters: &Parameters<'_>| parameters.session_of_callers(limit);
        let target = Self::over(&dsn, properties, session, pool)?;
        Ok((target, dsn.database))
    }

    fn over(
        dsn: &Dsn,
        properties: &Properties,
        session: impl FnOnce(&Parameters<'_>) -> Result<String, MetadataError>,
        pool: PoolOpts,
    ) -> Result<Self, MetadataError> {
        let parameters = Parameters::new(&dsn.parameters)?;
        let mode = parameters.tls_mode()?;
        let options = OptsBuilder::default()
            // What it would do otherwise is to leave the address that was given for the server's own socket.
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEP_ALIVE))
            .stmt_cache_size(STATEMENTS)
            .user(dsn.user.clone())
            .pass(dsn.password.clone())
            .init(vec![session(&parameters)?])
            .pool_opts(pool);
        let options = match &dsn.address {
            Address::Tcp { host, port } => options.ip_or_hostname(host).tcp_port(*port),
            Address::Unix(path) => options.socket(Some(path)),
        };
        Ok(Self {
            options: parameters.apply(options)?,
            tls: tls::options(mode, properties.pem_path.as_deref())?,
            plain_will_do: mode == tls::Mode::Preferred,
            address: dsn.address.to_string(),
            dial: parameters.dial()?,
        })
    }

    /// What the driver is told, for connections to `database`, or to none.
    pub(crate) fn options(&self, database: Option<&str>) -> Opts {
        let options = self.options.clone().db_name(database);
        options.ssl_opts(self.tls.clone()).into()
    }

    /// Goes on without TLS, if that was allowed and is not done yet.
    pub(crate) fn give_up_tls(&mut self) -> bool {
        self.plain_will_do && self.tls.take().is_some()
    }
}

fn pool() -> PoolOpts {
    let constraints = PoolConstraints::new(0, CONNECTIONS);
    PoolOpts::default()
        .with_constraints(constraints.expect("none is less than some"))
        .with_inactive_connection_ttl(IDLE)
        // Nothing is left on a connection; forgetting what it has prepared would cost a request more.
        .with_reset_connection(false)
}

#[cfg(test)]
mod tests;
