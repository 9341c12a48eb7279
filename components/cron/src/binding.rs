//! Waits, and hands events over.

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use trilby_components::{
    RequestMetadata,
    binding::{BindingError, Event, EventHandler, InputBinding, Reading},
    metadata::{Metadata, MetadataError, Schema},
    registry::InitError,
};

use crate::{
    spec::{Rhythm, Spec},
    zone::Zone,
};

/// Events that may be handled at once; a further one is left out.
const MOST_AT_ONCE: usize = 64;
/// How long the clock is not looked at: it may be set meanwhile.
const LOOK: Duration = Duration::from_secs(60);

/// Metadata of the binding.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// When there are events: five fields of cron (minute, hour, day of month, month, day of week), six with seconds first,
    /// or `@every <duration>`, `@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly`, `@yearly` (`@annually`). By the
    /// sidecar's local time, unless `CRON_TZ=<zone>` or `TZ=<zone>` and a space precede it.
    schedule: String,
}

impl Schema for Settings {}

/// What tells the time of day.
type Clock = fn() -> Timestamp;

/// The binding.
#[derive(Debug)]
pub struct CronBinding {
    rhythm: Rhythm,
    /// By whose clocks.
    zone: Zone,
    /// What events say of the zone: it is the process', whatever the schedule says.
    local: String,
    clock: Clock,
}

/// One reading.
struct Ticks {
    rhythm: Rhythm,
    zone: Zone,
    clock: Clock,
    /// When the last event was.
    last: Instant,
}

impl CronBinding {
    /// Reads its settings, and its time zone from the system's database.
    ///
    /// # Errors
    /// There is no schedule, or it is not one.
    pub async fn new(metadata: &Metadata) -> Result<Self, InitError> {
        let Settings { schedule } = metadata.decode()?;
        if schedule.is_empty() {
            return Err(MetadataError::Missing("schedule".to_owned()).into());
        }
        let invalid =
            |error| InitError::Invalid(format!("invalid schedule format '{schedule}': {error}"));
        let spec = Spec::parse(&schedule).map_err(|error| invalid(error.to_string()))?;
        let local = Zone::local().await;
        let binding = Self {
            rhythm: spec.rhythm,
            local: local.name.clone(),
            zone: match spec.zone {
                Some(name) => Zone::named(&name).await.map_err(invalid)?,
                None => local,
            },
            clock: Timestamp::now,
        };
        if let Rhythm::At(times) = binding.rhythm
            && times
                .next((binding.clock)(), &binding.zone.clocks)
                .is_none()
        {
            warn!(schedule, "no time of this schedule is within five years");
        }
        Ok(binding)
    }

    fn event(&self) -> Event {
        let now = (self.clock)().strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC");
        Event {
            metadata: RequestMetadata::from([
                ("timeZone".to_owned(), self.local.clone()),
                ("readTimeUTC".to_owned(), now.to_string()),
            ]),
            ..Event::default()
        }
    }
}

#[async_trait]
impl InputBinding for CronBinding {
    async fn read(
        &self,
        handler: Arc<dyn EventHandler>,
        stop: CancellationToken,
    ) -> Result<Reading, BindingError> {
        let mut ticks = Ticks {
            rhythm: self.rhythm,
            zone: self.zone.clone(),
            clock: self.clock,
            last: Instant::now(),
        };
        let binding = Self {
            local: self.local.clone(),
            zone: self.zone.clone(),
            ..*self
        };
        Ok(Box::pin(async move {
            let mut handled = FuturesUnordered::new();
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    Some(()) = handled.next() => {}
                    () = ticks.next() => {
                        if handled.len() < MOST_AT_ONCE {
                            handled.push(hand_over(&*handler, binding.event()));
                        } else {
                            warn!("an event is left out: {MOST_AT_ONCE} are being handled");
                        }
                    }
                }
            }
            while handled.next().await.is_some() {}
            Ok(())
        }))
    }
}

/// There is no other attempt: what the application says changes nothing, as upstream has it.
async fn hand_over(handler: &dyn EventHandler, event: Event) {
    if let Err(error) = handler.handle(event).await {
        debug!(%error, "an event was not taken");
    }
}

impl Ticks {
    /// Waits for the time of the next event.
    ///
    /// # Cancel safety
    /// No event is lost when it is dropped before it ends.
    async fn next(&mut self) {
        match self.rhythm {
            Rhythm::Every(pause) => {
                let due = self.last + pause;
                sleep_until(due).await;
                // Where events were missed, the rhythm begins anew.
                self.last = due.max(Instant::now() - pause);
            }
            Rhythm::At(times) => {
                let Some(due) = times.next((self.clock)(), &self.zone.clocks) else {
                    return pending().await;
                };
                while let Some(left) = self.until(due) {
                    sleep(left.min(LOOK)).await;
                }
            }
        }
    }

    /// The time that is left; none if it is over.
    fn until(&self, due: Timestamp) -> Option<Duration> {
        let left = due.duration_since((self.clock)());
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests;
