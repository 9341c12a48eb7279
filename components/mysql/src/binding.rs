//! `bindings.mysql`: statements of callers, and what comes of them.
//!
//! The session is the server's, as upstream leaves it: neither its mode nor its time zone is set. Better than upstream's:
//! no caller closes the component for the others, a transaction that somebody leaves open never swallows what others do,
//! and one request is one statement.

mod value;

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Params, PoolConstraints, PoolOpts, Row};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;
use tracing::warn;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply, Timing};
use trilby_components::metadata::{
    Metadata, MetadataError, Schema,
    value::{Seconds, Sensitive},
};
use trilby_components::registry::InitError;
use trilby_components_sql::request::{Answer, Done, MOST_BYTES, Request, refusal};

use crate::connection::{CONNECTIONS, IDLE, Properties, Target};
use crate::failure::{Failure, Kind};
use crate::pool::{Pool, first_connection, settle};

/// How long a statement may take, if `max_statement_time` of the connection string says nothing else: upstream waits for
/// ever, here even what is forgotten ends.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long the first connection may take.
const CONNECTING: Duration = Duration::from_secs(20);

/// Metadata of the binding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// How to connect, in the form of Go's driver: `user:password@tcp(host:3306)/database?parameter=value`. Parameters
    /// are those of `connectionString` of `state.mysql`; others are variables of the session, and set.
    url: Sensitive,
    /// A file with the certificates of the authorities (PEM) that the server's is checked against; counts with
    /// `tls=custom` only.
    pem_path: Option<String>,
    /// How many connections there are at most; 0 and less for the default.
    #[schemars(extend("default" = "16"))]
    max_open_conns: Option<i32>,
    /// How many idle connections are kept: all, until `connMaxIdleTime`, whatever is given here.
    #[schemars(extend("effect" = "none"))]
    max_idle_conns: Option<i32>,
    /// How long a connection is kept; 0 for as long as it works.
    conn_max_lifetime: Option<Seconds>,
    /// How long an idle connection is kept; 0 for the default.
    #[schemars(extend("default" = "30m"))]
    conn_max_idle_time: Option<Seconds>,
}

impl Schema for Settings {}

/// Statements for a MySQL server.
pub struct MysqlBinding {
    pool: Pool,
}

impl MysqlBinding {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the server is away or refuses, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let settings: Settings = metadata.decode()?;
        let pool = settings.pool();
        let properties = Properties::new(settings.url, settings.pem_path);
        let target = Target::of_callers(&properties, LONGEST, pool);
        let (mut target, database) = target.map_err(of_url)?;
        let away = |address: &str, failure: &Failure| {
            InitError::Unavailable(format!("{} (at {address})", failure.error))
        };
        let first = first_connection(&mut target, CONNECTING).await;
        let first = first.map_err(|failure| away(&target.address, &failure))?;
        if let Err(error) = first.disconnect().await {
            tracing::debug!(%error, "a connection did not end well");
        }
        let pool = Pool::new(&target, database.as_deref(), LONGEST);
        // The database is there as well.
        let lent = pool.lend().await;
        lent.map_err(|failure| away(&target.address, &failure))?;
        Ok(Self { pool })
    }

    async fn carry_out(&self, request: &Request, params: Params) -> Result<Done, Failure> {
        let mut connection = self.pool.lend().await?;
        let done = ask(&mut connection, request, params).await;
        if !request.lingers() {
            return settle(connection, done).await;
        }
        if let Err(error) = connection.disconnect().await {
            tracing::debug!(%error, "a connection did not end well");
        }
        done
    }
}

impl Settings {
    fn pool(&self) -> PoolOpts {
        if self.max_idle_conns.is_some() {
            warn!(
                "maxIdleConns has no effect: connMaxIdleTime says how long idle connections are kept"
            );
        }
        let time = |given: Option<Seconds>| {
            given
                .map(|Seconds(time)| time)
                .filter(|time| !time.is_zero())
        };
        let most = self.max_open_conns.map(usize::try_from);
        let most = match most {
            Some(Ok(most)) if most > 0 => most,
            _ => CONNECTIONS,
        };
        let constraints = PoolConstraints::new(0, most).expect("none is less than some");
        let idle_time = time(self.conn_max_idle_time).unwrap_or(IDLE);
        PoolOpts::default()
            .with_constraints(constraints)
            .with_inactive_connection_ttl(idle_time)
            .with_abs_conn_ttl(time(self.conn_max_lifetime))
            .with_reset_connection(false)
    }
}

/// What is wrong, under the name that the property has here.
fn of_url(error: MetadataError) -> MetadataError {
    match error {
        MetadataError::Invalid { key, reason } if key == "connectionString" => {
            MetadataError::invalid("url", reason)
        }
        other => other,
    }
}

async fn ask(connection: &mut Conn, request: &Request, params: Params) -> Result<Done, Failure> {
    // Always prepared: several statements in one text are none that can be.
    let mut result = connection.exec_iter(request.sql.as_str(), params).await?;
    if request.answer == Answer::Count {
        let affected = result.affected_rows();
        result.drop_result().await?;
        return Ok(Done::Counted(affected));
    }
    let mut json = String::new();
    while let Some(row) = result.next().await? {
        json.push(if json.is_empty() { '[' } else { ',' });
        json.push_str(&object(&row)?);
        if json.len() > MOST_BYTES {
            let reason = format!("the rows are larger than {MOST_BYTES} bytes");
            // What is left of them goes with the connection.
            return Err(Failure::new(Kind::Refused, &reason));
        }
    }
    result.drop_result().await?;
    Ok(Done::Found(match json.is_empty() {
        true => "null".to_owned(),
        false => json + "]",
    }))
}

/// A row by the names of its columns; what is NULL is left out.
fn object(row: &Row) -> Result<String, Failure> {
    let mut object = Map::new();
    for (at, column) in row.columns_ref().iter().enumerate() {
        let Some(value) = row.as_ref(at) else {
            continue;
        };
        if let Some(value) = value::json(value, column) {
            object.insert(column.name_str().into_owned(), value);
        }
    }
    serde_json::to_string(&object).map_err(|error| Failure::new(Kind::Refused, &error.to_string()))
}

#[async_trait]
impl OutputBinding for MysqlBinding {
    fn operations(&self) -> Vec<String> {
        Request::operations()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let timing = Timing::begin();
        let request = Request::of(&invocation)?;
        let params = value::params(&request.params)?;
        // Once: nobody knows what a statement does, so nothing is tried again.
        let done = self.pool.once(self.carry_out(&request, params)).await;
        let done = done.map_err(|failure| refusal(failure.error))?;
        Ok(request.reply(&invocation, timing, done))
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
