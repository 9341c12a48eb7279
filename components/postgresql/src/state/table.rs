//! The table of values, and what is done with it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use trilby_components::state::{
    Item, KeyPage, MAX_ANSWER, Match, QueryPage, QueryRequest, SetRequest, StateError, Ttl,
};
use trilby_components_sql::Page;

use super::layout::{Layout, Statements, Stored};
use super::plan::{Action, Guard, Step};
use super::query::Select;
use crate::failure::Failure;
use crate::notes::Notes;
use crate::pool::{Loan, Parameter};

/// How long the server may clean.
const CLEANING: Duration = Duration::from_secs(10 * 60);

/// One table, and where what is known of it is noted down.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) layout: Layout,
    pub(super) name: String,
    pub(super) notes: Notes,
    /// Under which key the number of migrations stands.
    pub(super) migrations: String,
    /// Under which key the time of the last cleaning stands.
    last_cleanup: String,
    statements: Statements,
}

impl Table {
    /// The table of v1, in one of its two layouts.
    pub(super) fn documents(layout: Layout, name: String, notes: Notes) -> Self {
        Self {
            layout,
            statements: layout.statements(&name),
            name,
            notes,
            migrations: "migrations".to_owned(),
            last_cleanup: "last-cleanup".to_owned(),
        }
    }

    /// The table of v2 with this prefix.
    pub(super) fn bytes(prefix: &str, notes: Notes) -> Self {
        let name = format!("{prefix}state");
        Self {
            layout: Layout::Bytes,
            statements: Layout::Bytes.statements(&name),
            name,
            notes,
            migrations: format!("migrations-state-v2-{prefix}"),
            last_cleanup: format!("last-cleanup-state-v2-{prefix}"),
        }
    }

    /// The values of these keys; an inner error for one that is not as a sidecar writes it.
    pub(super) async fn find(
        &self,
        loan: &Loan,
        keys: &[&str],
    ) -> Result<HashMap<String, Result<Item, StateError>>, Failure> {
        let parameters = [(&keys as _, Type::TEXT_ARRAY)];
        let rows = loan.rows(&self.statements.find, &parameters).await?;
        rows.iter().map(|row| self.item(row)).collect()
    }

    fn item(&self, row: &Row) -> Result<(String, Result<Item, StateError>), Failure> {
        let key: String = row.try_get(0)?;
        let etag: Option<String> = row.try_get(3)?;
        let expires: Option<i64> = row.try_get(4)?;
        let value = self.layout.value(row)?;
        let broken = |reason| StateError::Store(format!("the value of key {key}: {reason}"));
        let item = value.map_err(broken).map(|value| Item {
            value,
            etag,
            expires_at: expires.and_then(|moment| Timestamp::from_microsecond(moment).ok()),
        });
        Ok((key, item))
    }

    /// The values that a statement over [`Statements::all`] gives.
    pub(super) async fn query(&self, loan: &Loan, select: &Select) -> Result<QueryPage, Failure> {
        let parameters = select.parameters();
        let rows = loan.some_rows(&select.statement, &parameters, MAX_ANSWER);
        let rows = rows.await?;
        let rows = rows.ok_or_else(|| QueryRequest::oversized("PostgreSQL"))?;
        let items = rows.iter().map(|row| self.item(row));
        let matches = items.map(|item| item.map(|(key, item)| Match { key, item }));
        Ok(QueryPage {
            token: select.token(rows.len()),
            matches: matches.collect::<Result<_, _>>()?,
        })
    }

    /// The rows that a query selects from.
    pub(super) fn rows(&self) -> &str {
        &self.statements.all
    }

    /// Carries out all steps, or none.
    pub(super) async fn carry_out(&self, loan: &Loan, steps: &[Step<'_>]) -> Result<(), Failure> {
        let bound: Result<Vec<_>, _> = steps.iter().map(|step| self.bind(step)).collect();
        match &bound?[..] {
            [] => Ok(()),
            [step] => step.carry_out(loan).await,
            steps => transaction(loan, steps).await,
        }
    }

    fn bind<'a>(&'a self, step: &'a Step<'a>) -> Result<Bound<'a>, StateError> {
        let (put, remove) = match step.guard {
            Guard::None => (&self.statements.put, &self.statements.remove),
            // Nothing is removed on the condition that it is not there: a plan has none such.
            Guard::Absent => (&self.statements.create, &self.statements.remove),
            Guard::Etag(_) => (&self.statements.replace, &self.statements.remove_version),
        };
        let etag = match step.guard {
            Guard::Etag(etag) => Some(self.layout.etag(etag)?),
            Guard::None | Guard::Absent => None,
        };
        let (statement, value) = match step.action {
            Action::Put(set) => (put, Some(NewValue::new(self.layout, set))),
            Action::Remove(_) => (remove, None),
        };
        Ok(Bound {
            step,
            statement,
            value,
            value_type: self.layout.value_type(),
            etag,
        })
    }

    /// The keys of a page.
    pub(super) async fn keys(&self, loan: &Loan, page: &Page) -> Result<KeyPage, Failure> {
        let (after, most) = (page.after.unwrap_or(i64::MIN), page.rows());
        let parameters = [
            (&page.pattern as _, Type::TEXT),
            (&after as _, Type::INT8),
            (&most as _, Type::INT8),
        ];
        let rows = loan.rows(&self.statements.keys, &parameters).await?;
        let rows = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let rows: Result<Vec<_>, tokio_postgres::Error> = rows.collect();
        Ok(page.of(rows?))
    }

    /// Removes what has expired, unless a sidecar did so within `interval`, and says how many values that were.
    pub(super) async fn clean(&self, loan: &Loan, interval: Duration) -> Result<u64, Failure> {
        if !self
            .notes
            .is_due(loan, &self.last_cleanup, interval)
            .await?
        {
            return Ok(0);
        }
        let longer = format!(
            "BEGIN; SET LOCAL statement_timeout = {}",
            CLEANING.as_millis()
        );
        loan.batch(&longer).await?;
        let removed = loan.change(&self.statements.clean, &[]).await?;
        loan.batch("COMMIT").await?;
        Ok(removed)
    }
}

/// All of the steps, sent together; the server refuses what comes after one that failed.
async fn transaction(loan: &Loan, steps: &[Bound<'_>]) -> Result<(), Failure> {
    for step in steps {
        loan.prepare(step.statement, &step.types()).await?;
    }
    let applying = join_all(steps.iter().map(|step| step.carry_out(loan)));
    let (begun, applied) = join(loan.batch("BEGIN"), applying).await;
    let done = begun.and_then(|()| applied.into_iter().collect());
    match done {
        Ok(()) => loan.batch("COMMIT").await,
        Err(failure) => Err(loan.roll_back(failure).await),
    }
}

/// A value on its way into the table.
struct NewValue<'a> {
    stored: Stored<'a>,
    /// In seconds.
    life: Option<i64>,
}

impl<'a> NewValue<'a> {
    fn new(layout: Layout, set: &'a SetRequest) -> Self {
        let life = match set.ttl {
            Some(Ttl::After(life)) => Some(i64::try_from(life.as_secs()).unwrap_or(i64::MAX)),
            Some(Ttl::Never) | None => None,
        };
        Self {
            stored: layout.stored(&set.value),
            life,
        }
    }
}

/// A step with its statement and the values of it.
struct Bound<'a> {
    step: &'a Step<'a>,
    statement: &'a str,
    value: Option<NewValue<'a>>,
    value_type: Type,
    etag: Option<String>,
}

impl Bound<'_> {
    async fn carry_out(&self, loan: &Loan) -> Result<(), Failure> {
        let key = self.step.key();
        let mut parameters: Vec<Parameter<'_>> = vec![(&key, Type::TEXT)];
        if let Some(value) = &self.value {
            let type_ = self.value_type.clone();
            match &value.stored {
                Stored::Bytes(bytes) => {
                    parameters.push((bytes, type_));
                    parameters.push((&value.life, Type::INT8));
                }
                Stored::Document(text, is_binary) => {
                    parameters.push((text, type_));
                    parameters.push((&value.life, Type::INT8));
                    parameters.push((is_binary, Type::BOOL));
                }
            }
        }
        if let Some(etag) = &self.etag {
            parameters.push((etag, Type::TEXT));
        }
        let changed = loan.change(self.statement, &parameters).await?;
        self.judge(changed)
    }

    /// The types of the values, in their order.
    fn types(&self) -> Vec<Type> {
        let mut types = vec![Type::TEXT];
        if let Some(value) = &self.value {
            types.extend([self.value_type.clone(), Type::INT8]);
            if let Stored::Document(..) = value.stored {
                types.push(Type::BOOL);
            }
        }
        types.extend(self.etag.iter().map(|_| Type::TEXT));
        types
    }

    fn judge(&self, changed: u64) -> Result<(), Failure> {
        let reason = match self.step.guard {
            Guard::Etag(_) if changed == 0 => "it was written since, or is not there",
            Guard::Absent if changed == 0 => "it exists and no etag was passed",
            Guard::None | Guard::Absent | Guard::Etag(_) => return Ok(()),
        };
        let key = self.step.key();
        Err(StateError::EtagMismatch(format!("key {key}: {reason}")).into())
    }
}
