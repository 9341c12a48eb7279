//! `bindings.postgresql`: statements of callers, and what comes of them.
//!
//! Better than upstream's: no caller closes the component for the others, a transaction that somebody leaves open never
//! swallows what others do, and log-ins by cloud providers are refused by name instead of left out.

mod argument;
mod value;

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::Row;
use trilby_components::binding::{BindingError, Invocation, OutputBinding, Reply, Timing};
use trilby_components::metadata::{Metadata, MetadataError, Schema, value::Seconds};
use trilby_components::registry::InitError;
use trilby_components_sql::request::{Answer, Done, MOST_BYTES, Request, refusal};

use crate::connection::{Properties, Target};
use crate::failure::{Failure, Kind};
use crate::pool::Pool;
use crate::state::{LEAST_TIMEOUT, TIMEOUT};
use argument::Argument;
use value::Json;

/// Metadata of the binding beyond its connection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Limit of one request, at least a second.
    #[schemars(extend("default" = "20s"))]
    timeout: Option<Seconds>,
}

impl Schema for Settings {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("timeoutInSeconds", "timeout")];
}

impl Settings {
    fn timeout(&self) -> Result<Duration, MetadataError> {
        let Seconds(limit) = self.timeout.unwrap_or(Seconds(TIMEOUT));
        match limit >= LEAST_TIMEOUT {
            true => Ok(limit),
            false => Err(MetadataError::invalid("timeout", "it must be at least 1s")),
        }
    }
}

/// Statements for a PostgreSQL database.
pub struct PostgresBinding {
    pool: Pool,
}

impl PostgresBinding {
    /// Connects to a database.
    ///
    /// # Errors
    /// [`InitError::Unavailable`] when the database is away or refuses, else what is wrong with the metadata.
    pub async fn connect(metadata: &Metadata) -> Result<Self, InitError> {
        let (properties, rest) = metadata.split::<Properties>()?;
        let settings: Settings = rest.decode()?;
        let pool = Pool::new(Target::new(&properties)?, settings.timeout()?);
        let binding = Self { pool };
        let there = binding.pool.once(async {
            let loan = binding.pool.lend().await?;
            let answered = loan.tell("SELECT 1").await;
            loan.settle(answered)
        });
        there.await.map_err(|failure| {
            let (address, reason) = (binding.pool.address(), failure.reason());
            InitError::Unavailable(format!("PostgreSQL at {address}: {reason}"))
        })?;
        Ok(binding)
    }

    async fn carry_out(&self, request: &Request) -> Result<Done, Failure> {
        let loan = self.pool.lend().await?;
        let arguments: Vec<_> = request.params.iter().map(Argument).collect();
        let done = match request.answer {
            // As upstream has it, these may be several statements.
            Answer::Count if arguments.is_empty() => {
                loan.tell(&request.sql).await.map(Done::Counted)
            }
            Answer::Count => loan
                .ask(&request.sql, &arguments, |_| Ok(()))
                .await
                .map(Done::Counted),
            Answer::Rows => {
                let mut rows = Rows::default();
                let asked = loan.ask(&request.sql, &arguments, |row| rows.add(row));
                asked.await.map(|_| Done::Found(rows.end()))
            }
        };
        match request.lingers() {
            // Dropped, it is closed.
            true => done,
            false => loan.settle(done),
        }
    }
}

#[async_trait]
impl OutputBinding for PostgresBinding {
    fn operations(&self) -> Vec<String> {
        Request::operations()
    }

    async fn invoke(&self, invocation: Invocation) -> Result<Reply, BindingError> {
        let timing = Timing::begin();
        let request = Request::of(&invocation)?;
        // Once: nobody knows what a statement does, so nothing is tried again.
        let done = self.pool.once(self.carry_out(&request)).await;
        let done = done.map_err(|failure| refusal(failure.into_state()))?;
        Ok(request.reply(&invocation, timing, done))
    }

    async fn close(&self) {
        self.pool.close();
    }
}

/// Rows as a JSON array of arrays.
#[derive(Default)]
struct Rows {
    json: String,
    bytes: usize,
}

impl Rows {
    fn add(&mut self, row: &Row) -> Result<(), Failure> {
        self.bytes += row.raw_size_bytes();
        if self.bytes > MOST_BYTES {
            let reason = format!("the rows are larger than {MOST_BYTES} bytes");
            return Err(Failure::server(Kind::Refused, reason));
        }
        self.json.push(if self.json.is_empty() { '[' } else { ',' });
        for (at, column) in row.columns().iter().enumerate() {
            let value: Option<Json> = row.try_get(at).map_err(|error| {
                let (name, cause) = (
                    column.name(),
                    trilby_components::causes::with_causes(&error),
                );
                Failure::server(Kind::Refused, format!("column {name:?}: {cause}"))
            })?;
            self.json.push(if at == 0 { '[' } else { ',' });
            self.json
                .push_str(value.as_ref().map_or("null", |Json(text)| text));
        }
        self.json.push_str(if row.is_empty() { "[]" } else { "]" });
        Ok(())
    }

    fn end(mut self) -> String {
        match self.json.is_empty() {
            true => "[]".to_owned(),
            false => {
                self.json.push(']');
                self.json
            }
        }
    }
}

impl crate::pool::Loan {
    /// Carries out statements without parameters, one after the other. Gives how many rows the last one changed.
    async fn tell(&self, statements: &str) -> Result<u64, Failure> {
        use tokio_postgres::SimpleQueryMessage::CommandComplete;
        let mut told = pin!(self.connection().simple_query_raw(statements).await?);
        let mut changed = 0;
        while let Some(message) = told.try_next().await? {
            if let CommandComplete(rows) = message {
                changed = rows;
            }
        }
        Ok(changed)
    }

    /// Carries out one statement, and hands over its rows as they come. Gives how many it changed or found. Nothing of
    /// it stays with the connection.
    async fn ask(
        &self,
        statement: &str,
        arguments: &[Argument<'_>],
        mut each: impl FnMut(&Row) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let connection = self.connection();
        let rows = match arguments.iter().any(Argument::needs_its_type) {
            true => {
                let prepared = connection.prepare(statement).await?;
                connection.query_raw(&prepared, arguments).await?
            }
            false => {
                let typed = arguments.iter().map(|argument| (argument, argument::ANY));
                connection.query_typed_raw(statement, typed).await?
            }
        };
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            each(&row)?;
        }
        Ok(rows.rows_affected().unwrap_or_default())
    }
}
