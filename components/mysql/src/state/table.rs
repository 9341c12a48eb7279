//! The table of values, and what is done with it.

use std::time::Duration;

use jiff::Timestamp;
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Params, Row, TxOpts, Value};
use trilby_components::state::{Item, KeyPage, SetRequest, StateError, Ttl};
use trilby_components_sql::Page;
use trilby_components_sql::bulk::Found;
use trilby_components_sql::plan::{Action, Guard, Step};
use uuid::Uuid;

use super::settings::Names;
use super::statements::Statements;
use super::value;
use crate::failure::{Failure, Kind};

/// How many rows are removed at once, so that nobody waits long for them.
const CLEANED: u64 = 1_000;

/// What a piece has beside a value, in bytes: the key, of four bytes a character, and the rest, generously.
const BESIDE_VALUE: u64 = 4 * 255 + 1_000;

/// One table of values.
#[derive(Debug)]
pub(super) struct Table {
    statements: Statements,
    /// How many bytes a value may have as it is stored.
    largest: u64,
}

impl Table {
    /// A table of a server that takes `packet` bytes in one piece.
    pub(super) fn new(names: &Names, packet: u64) -> Self {
        Self {
            statements: Statements::new(names),
            largest: packet.saturating_sub(BESIDE_VALUE),
        }
    }

    /// The values of these keys.
    pub(super) async fn find(
        &self,
        connection: &mut Conn,
        keys: &[&str],
    ) -> Result<Found, Failure> {
        let mut found = Found::new();
        let mut rest = keys;
        while !rest.is_empty() {
            let (size, statement) = self.statements.find(rest.len());
            let (here, after) = rest.split_at(size.min(rest.len()));
            let mut places: Vec<Value> = here.iter().map(|key| Value::from(*key)).collect();
            places.resize(size, Value::NULL);
            let rows: Vec<Row> = connection
                .exec(statement, Params::Positional(places))
                .await?;
            for mut row in rows {
                let place: usize = column(&mut row, 0)?;
                if let Some(key) = here.get(place) {
                    found.insert((*key).to_owned(), item(key, &mut row)?);
                }
            }
            rest = after;
        }
        Ok(found)
    }

    /// Carries out all steps, or none.
    pub(super) async fn carry_out(
        &self,
        connection: &mut Conn,
        steps: &[Step<'_>],
    ) -> Result<(), Failure> {
        match steps {
            [] => Ok(()),
            [step] => self.apply(connection, step).await,
            steps => {
                let mut transaction = connection.start_transaction(TxOpts::default()).await?;
                for step in steps {
                    if let Err(failure) = self.apply(&mut transaction, step).await {
                        transaction.rollback().await?;
                        return Err(failure);
                    }
                }
                Ok(transaction.commit().await?)
            }
        }
    }

    async fn apply(&self, on: &mut impl Queryable, step: &Step<'_>) -> Result<(), Failure> {
        let (statement, parameters) = self.bind(step)?;
        let result = on.exec_iter(statement, parameters).await?;
        let changed = result.affected_rows();
        result.drop_result().await?;
        judge(step, changed)
    }

    /// The statement of a step and what it takes.
    fn bind(&self, step: &Step<'_>) -> Result<(&str, Params), StateError> {
        let all = &self.statements;
        let key = Value::from(step.key());
        let (statement, parameters) = match (step.action, step.guard) {
            (Action::Put(set), Guard::Etag(etag)) => {
                let mut parameters = self.written(set)?;
                parameters.extend([key, etag.into()]);
                (&all.replace, parameters)
            }
            (Action::Put(set), guard) => {
                let mut parameters = self.written(set)?;
                parameters.insert(0, key);
                let statement = match guard {
                    Guard::Absent => &all.create,
                    Guard::None | Guard::Etag(_) => &all.put,
                };
                (statement, parameters)
            }
            (Action::Remove(_), Guard::Etag(etag)) => (&all.remove_version, vec![key, etag.into()]),
            // Nothing is removed on the condition that it is not there: a plan has none such.
            (Action::Remove(_), Guard::None | Guard::Absent) => (&all.remove, vec![key]),
        };
        Ok((statement, Params::Positional(parameters)))
    }

    /// Value, a new etag, whether the value is Base64, and its life in seconds.
    fn written(&self, set: &SetRequest) -> Result<Vec<Value>, StateError> {
        let (value, is_binary) = value::stored(&set.value);
        if value.len() as u64 > self.largest {
            return Err(StateError::InvalidRequest(format!(
                "MySQL: the value of key {} takes {} bytes, and max_allowed_packet of the server allows {}",
                set.key,
                value.len(),
                self.largest
            )));
        }
        let life = match set.ttl {
            Some(Ttl::After(life)) => Value::from(life.as_secs()),
            Some(Ttl::Never) | None => Value::NULL,
        };
        let etag = Uuid::new_v4().to_string();
        let value = Value::from(value.into_owned());
        Ok(vec![value, etag.into(), is_binary.into(), life])
    }

    /// The keys of a page.
    pub(super) async fn keys(
        &self,
        connection: &mut Conn,
        page: &Page,
    ) -> Result<KeyPage, Failure> {
        let parameters = vec![
            Value::from(page.pattern.as_str()),
            Value::from(page.after.unwrap_or(0)),
            Value::from(page.rows().unwrap_or(i64::MAX)),
        ];
        let parameters = Params::Positional(parameters);
        let rows: Vec<Row> = connection.exec(&self.statements.keys, parameters).await?;
        let rows = rows.into_iter();
        let rows = rows.map(|mut row| Ok((column(&mut row, 0)?, column(&mut row, 1)?)));
        let rows: Result<Vec<_>, Failure> = rows.collect();
        Ok(page.of(rows?))
    }

    /// Removes what has expired, unless a sidecar did so within `interval`, and says how many values that were.
    pub(super) async fn clean(
        &self,
        connection: &mut Conn,
        interval: Duration,
    ) -> Result<u64, Failure> {
        // All sidecars tick alike: one that is a moment early may be the first.
        let least = interval
            .saturating_sub(Duration::from_millis(100))
            .as_micros();
        let least = i64::try_from(least).unwrap_or(i64::MAX);
        connection
            .exec_drop(&self.statements.is_due, (least,))
            .await?;
        if connection.affected_rows() == 0 {
            return Ok(0);
        }
        let mut removed = 0;
        loop {
            connection
                .exec_drop(&self.statements.clean, (CLEANED,))
                .await?;
            let rows = connection.affected_rows();
            removed += rows;
            if rows < CLEANED {
                return Ok(removed);
            }
        }
    }
}

fn judge(step: &Step<'_>, changed: u64) -> Result<(), Failure> {
    let reason = match step.guard {
        Guard::Etag(_) if changed == 0 => "it was written since, or is not there",
        Guard::Absent if changed == 0 => "it exists and no etag was passed",
        Guard::None | Guard::Absent | Guard::Etag(_) => return Ok(()),
    };
    let key = step.key();
    Err(StateError::EtagMismatch(format!("key {key}: {reason}")).into())
}

/// The value of a row of [`Statements::find`]; the inner error if it is not as a sidecar writes it.
fn item(key: &str, row: &mut Row) -> Result<Result<Item, StateError>, Failure> {
    let stored: Vec<u8> = column(row, 1)?;
    let etag: String = column(row, 2)?;
    let expires: Option<i64> = column(row, 4)?;
    let value = value::read(stored, column(row, 3)?);
    let broken = |reason| StateError::Store(format!("the value of key {key}: {reason}"));
    Ok(value.map_err(broken).map(|value| Item {
        value,
        etag: Some(etag),
        expires_at: expires.and_then(|second| Timestamp::from_second(second).ok()),
    }))
}

fn column<T: FromValue>(row: &mut Row, at: usize) -> Result<T, Failure> {
    match row.take_opt(at) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) | None => {
            let reason = format!("column {} of an answer is not what was asked for", at + 1);
            Err(Failure::new(Kind::Refused, &reason))
        }
    }
}
