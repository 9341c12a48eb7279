//! The table of locks, and the statements over it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use trilby_components::lock::{Claim, Release};

use crate::failure::{Failure, Kind};
use crate::notes::exists;
use crate::pool::Loan;

/// How often locks whose time is over are removed, by each sidecar.
const SWEEP: Duration = Duration::from_secs(60);
/// How many of them at once, at most; what is left is removed with the next lock.
const SWEPT: u64 = 1_000;
/// Somebody else makes the table at the same moment: how often that is borne.
const RACES: u32 = 5;

/// The table of locks.
pub(super) struct Table {
    name: String,
    statements: Statements,
    /// When locks whose time is over are removed next.
    sweep: Mutex<Instant>,
}

struct Statements {
    /// Gives `$1` to `$2` for `$3` seconds, if it is nobody's: one row, or none.
    take: String,
    /// Takes `$1` from `$2`: how many rows that were, and how many others have it.
    give_back: String,
    /// Removes `$1` rows at most whose time is over, past those that are in use.
    sweep: String,
}

impl Table {
    pub(super) fn new(name: &str) -> Self {
        // Not now(), which is when the statement began to wait for somebody else.
        let end = "clock_timestamp() + $3 * interval '1 second'";
        let live = "expires_at > clock_timestamp()";
        let statements = Statements {
            take: format!(
                "INSERT INTO {name} AS held (key, owner, expires_at) VALUES ($1, $2, {end})
                 ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires_at = {end}
                 WHERE NOT held.{live}"
            ),
            give_back: format!(
                "WITH gone AS (DELETE FROM {name} WHERE key = $1 AND owner = $2 AND {live} RETURNING key)
                 SELECT (SELECT count(*) FROM gone),
                        (SELECT count(*) FROM {name} WHERE key = $1 AND owner <> $2 AND {live})"
            ),
            sweep: format!(
                "DELETE FROM {name} WHERE key = ANY(ARRAY(
                     SELECT key FROM {name} WHERE NOT {live} LIMIT $1 FOR UPDATE SKIP LOCKED))"
            ),
        };
        Self {
            name: name.to_owned(),
            statements,
            sweep: Mutex::new(Instant::now()),
        }
    }

    /// Makes the table, unless it is there.
    pub(super) async fn make(&self, loan: &Loan) -> Result<(), Failure> {
        let name = &self.name;
        let make = format!(
            "CREATE TABLE {name} (
                 key text NOT NULL PRIMARY KEY,
                 owner text NOT NULL,
                 expires_at timestamp with time zone NOT NULL
             );
             CREATE INDEX ON {name} (expires_at)"
        );
        let mut races = 0;
        loop {
            if exists(loan, name).await? {
                return Ok(());
            }
            match loan.batch(&make).await {
                Err(Failure::Server {
                    kind: Kind::Taken, ..
                }) if races < RACES => races += 1,
                outcome => return outcome,
            }
        }
    }

    /// Whether the resource is the claimer's now.
    pub(super) async fn take(&self, loan: &Loan, claim: Claim<'_>) -> Result<bool, Failure> {
        let life = i64::try_from(claim.life.as_secs()).unwrap_or(i64::MAX);
        let parameters = [
            (&claim.resource as _, Type::TEXT),
            (&claim.owner as _, Type::TEXT),
            (&life as _, Type::INT8),
        ];
        let taken = loan.change(&self.statements.take, &parameters).await? > 0;
        self.sweep(loan).await;
        Ok(taken)
    }

    /// Removes locks whose time is over, if it is time for that. A failure is no reason to refuse a lock that was taken.
    async fn sweep(&self, loan: &Loan) {
        if !self.begins(Instant::now()) {
            return;
        }
        let most = i64::try_from(SWEPT).unwrap_or(i64::MAX);
        let swept = loan
            .change(&self.statements.sweep, &[(&most as _, Type::INT8)])
            .await;
        match swept {
            Ok(SWEPT..) => *self.sweep.lock() = Instant::now(),
            Ok(_) => {}
            Err(failure) => {
                let error = failure.reason();
                tracing::warn!(error, "locks whose time is over not removed");
            }
        }
    }

    fn begins(&self, now: Instant) -> bool {
        let mut next = self.sweep.lock();
        let begins = *next <= now;
        if begins {
            *next = now + SWEEP;
        }
        begins
    }

    /// Ends the lock, if it is this owner's.
    pub(super) async fn give_back(
        &self,
        loan: &Loan,
        resource: &str,
        owner: &str,
    ) -> Result<Release, Failure> {
        let parameters = [(&resource as _, Type::TEXT), (&owner as _, Type::TEXT)];
        let row = loan.row(&self.statements.give_back, &parameters).await?;
        let row = row.ok_or_else(|| {
            let reason = format!("table {}: no answer to giving back a lock", self.name);
            Failure::server(Kind::Refused, reason)
        })?;
        let (gone, foreign): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        // What somebody else gave back at this moment is neither.
        Ok(match (gone, foreign) {
            (1.., _) => Release::Done,
            (_, 1..) => Release::Foreign,
            _ => Release::Absent,
        })
    }
}
