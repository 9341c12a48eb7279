//! One connection, in the hands of one request.

use std::pin::pin;

use deadpool_postgres::Object;
use futures_util::TryStreamExt as _;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::failure::{Failure, Kind};

/// A value of a statement, and the type that the statement expects.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection that goes back with [`Loan::settle`]; dropped before that, it is closed.
pub(crate) struct Loan {
    /// `None` only while the loan ends.
    connection: Option<Object>,
    prepares: bool,
}

impl Loan {
    pub(super) fn new(connection: Object, prepares: bool) -> Self {
        Self {
            connection: Some(connection),
            prepares,
        }
    }

    pub(crate) fn connection(&self) -> &Object {
        self.connection
            .as_ref()
            .expect("it is there until the loan ends")
    }

    /// The rows that a statement gives.
    pub(crate) async fn rows(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let connection = self.connection();
        if !self.prepares {
            return Ok(connection.query_typed(statement, parameters).await?);
        }
        let prepared = connection
            .prepare_typed_cached(statement, &types(parameters))
            .await?;
        Ok(connection.query(&prepared, &values(parameters)).await?)
    }

    /// The rows of a statement that is used once, so that nothing of it stays with the connection; `None` when they
    /// have more than `most` bytes.
    pub(crate) async fn some_rows(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
        most: usize,
    ) -> Result<Option<Vec<Row>>, Failure> {
        let bound = parameters.iter().cloned();
        let stream = self.connection().query_typed_raw(statement, bound).await?;
        let mut stream = pin!(stream);
        let (mut rows, mut bytes) = (Vec::new(), 0_usize);
        while let Some(row) = stream.try_next().await? {
            bytes += row.raw_size_bytes();
            if bytes > most {
                return Ok(None);
            }
            rows.push(row);
        }
        Ok(Some(rows))
    }

    /// The first row that a statement gives.
    pub(crate) async fn row(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Failure> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }

    /// How many rows a statement changes.
    pub(crate) async fn change(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, Failure> {
        let connection = self.connection();
        if !self.prepares {
            return Ok(connection.execute_typed(statement, parameters).await?);
        }
        let prepared = connection
            .prepare_typed_cached(statement, &types(parameters))
            .await?;
        Ok(connection.execute(&prepared, &values(parameters)).await?)
    }

    /// Sees to it that [`Loan::change`] sends this statement at once, with what is sent before and after it.
    pub(crate) async fn prepare(&self, statement: &str, types: &[Type]) -> Result<(), Failure> {
        if self.prepares {
            self.connection()
                .prepare_typed_cached(statement, types)
                .await?;
        }
        Ok(())
    }

    /// Carries out statements without parameters, one after the other.
    pub(crate) async fn batch(&self, statements: &str) -> Result<(), Failure> {
        Ok(self.connection().batch_execute(statements).await?)
    }

    /// Takes back what a transaction did: the connection is as before then.
    ///
    /// # Errors
    /// It could not, which spoils the connection; otherwise, the reason for it.
    pub(crate) async fn roll_back(&self, reason: Failure) -> Failure {
        match self.batch("ROLLBACK").await {
            Ok(()) => reason,
            Err(failure) => Failure::server(Kind::Lost, failure.reason()),
        }
    }

    /// Gives the connection back.
    pub(crate) fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// Gives the connection back, unless the outcome says that it is of no more use.
    pub(crate) fn settle<T>(self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match &outcome {
            Err(failure) if failure.spoils_connection() => drop(self),
            Ok(_) | Err(_) => self.give_back(),
        }
        outcome
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

fn types(parameters: &[Parameter<'_>]) -> Vec<Type> {
    parameters.iter().map(|(_, type_)| type_.clone()).collect()
}

fn values<'a>(parameters: &[Parameter<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}
