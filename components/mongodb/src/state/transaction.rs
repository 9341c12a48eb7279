//! Several keys, together or not at all.

use std::time::Duration;

use mongodb::ClientSession;
use mongodb::bson::Bson;
use mongodb::options::{ReadConcern, WriteConcern};
use rand::Rng as _;
use tokio::time::{Instant, sleep};
use trilby_components::state::{Guard, LastWrite, Operation, StateError, last_writes};

use super::MongoState;
use crate::failure::Failure;
use crate::write;

/// What becomes of a key.
type Step<'a> = LastWrite<'a, Guard<'a>>;

/// How long one that met another waits at most before it begins anew; the first time it is a tenth of that.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl MongoState {
    /// All of `operations`, or none.
    pub(super) async fn carry_out_together(
        &self,
        operations: &[Operation],
    ) -> Result<(), StateError> {
        if operations.is_empty() {
            return Ok(());
        }
        let steps = last_writes(operations, |operation| Ok(Guard::of(operation)))?;
        let values = steps.iter().map(|step| match step.operation {
            Operation::Upsert(set) => write::of_transaction(set).map(Some),
            Operation::Delete(_) => Ok(None),
        });
        let values: Vec<Option<Bson>> = values.collect::<Result<_, _>>()?;
        self.within(self.try_until_done(&steps, &values)).await
    }

    /// Anew where it met another, as long as another attempt may well end within the limit.
    async fn try_until_done(
        &self,
        steps: &[Step<'_>],
        values: &[Option<Bson>],
    ) -> Result<(), Failure> {
        let latest = Instant::now() + self.limit.mul_f64(0.8);
        let mut pause = LONGEST_PAUSE / 10;
        loop {
            let failure = match self.attempt(steps, values).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            // Another one that creates the same document shows as that.
            if !failure.is_conflict() && !failure.is_duplicate() {
                return Err(failure);
            }
            if Instant::now() > latest {
                return Err(lost(failure, steps));
            }
            let part = rand::rng().random_range(0.5..=1.0);
            sleep(pause.mul_f64(part)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, steps: &[Step<'_>], values: &[Option<Bson>]) -> Result<(), Failure> {
        let mut session = self.client.start_session().await?;
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::majority())
            .await?;
        let mut session = Some(session);
        for (step, value) in steps.iter().zip(values) {
            if let Err(failure) = self.carry_out(step, value.clone(), &mut session).await {
                abort(session).await;
                return Err(failure);
            }
        }
        let mut session = session.expect("nobody takes it");
        // The driver itself tries once more where nobody knows whether it was done.
        session.commit_transaction().await.map_err(Failure::from)
    }
}

/// One that is not told ends by itself, after a minute; what it would have written is gone either way.
async fn abort(session: Option<ClientSession>) {
    if let Some(mut session) = session
        && let Err(error) = session.abort_transaction().await
    {
        tracing::debug!(%error, "a transaction could not be given up");
    }
}

/// What it means that others kept coming first: a writer with a guard has to know.
fn lost(failure: Failure, steps: &[Step<'_>]) -> Failure {
    match steps.iter().find(|step| step.guard != Guard::None) {
        Some(step) => {
            let key = step.operation.key();
            let reason = failure.into_state();
            StateError::EtagMismatch(format!("key {key}: others kept coming first: {reason}"))
                .into()
        }
        None => failure,
    }
}
