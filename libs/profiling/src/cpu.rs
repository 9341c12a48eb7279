//! Where processor time goes: a timer of the process's own time interrupts whichever thread runs.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::interrupt::{Slots, Unavailable};
use crate::profile::{Kind, Stacks, Unit};

/// Time between two samples: 100 a second of each busy core, as Go's.
const PERIOD: Duration = Duration::from_millis(10);
/// Time between two looks at what was sampled.
const LOOK: Duration = Duration::from_millis(200);

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CpuError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the timer is refused: {0}")]
    Timer(io::Error),
}

/// The stacks that used the processor within `duration`, with samples and nanoseconds.
///
/// # Cancel safety
/// Dropped, it stops to sample.
pub(crate) async fn profile(duration: Duration) -> Result<Stacks, CpuError> {
    let (began, at) = (Instant::now(), SystemTime::now());
    let slots = Slots::acquire()?;
    let timer = Timer::start()?;
    let until = began + duration;
    let mut samples: HashMap<Box<[usize]>, i64> = HashMap::new();
    while Instant::now() < until {
        tokio::time::sleep_until(until.min(Instant::now() + LOOK)).await;
        collect(&slots, &mut samples);
    }
    drop(timer);
    collect(&slots, &mut samples);
    if slots.lost() > 0 {
        tracing::warn!(samples = slots.lost(), "samples of a profile found no room");
    }
    Ok(stacks(samples, at, began.elapsed()))
}

fn collect(slots: &Slots, samples: &mut HashMap<Box<[usize]>, i64>) {
    slots.drain(|_, frames| match samples.get_mut(frames) {
        Some(count) => *count += 1,
        None => drop(samples.insert(frames.into(), 1)),
    });
}

fn stacks(samples: HashMap<Box<[usize]>, i64>, at: SystemTime, duration: Duration) -> Stacks {
    let period = i64::try_from(PERIOD.as_nanos()).expect("some milliseconds");
    let mut stacks = Stacks::new(
        &[
            Kind::new("samples", Unit::Count),
            Kind::new("cpu", Unit::Nanoseconds),
        ],
        at,
    );
    stacks.period = Some((Kind::new("cpu", Unit::Nanoseconds), period));
    stacks.duration = duration;
    for (frames, count) in samples {
        stacks.push(frames, &[count, count * period]);
    }
    stacks
}

/// Ticks with the processor time of the process; stops with its drop.
struct Timer;

impl Timer {
    fn start() -> Result<Self, CpuError> {
        set_timer(PERIOD).map_err(CpuError::Timer)?;
        Ok(Self)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Err(error) = set_timer(Duration::ZERO) {
            tracing::warn!(%error, "the timer of profiles cannot be stopped");
        }
    }
}

/// Zero stops it.
#[allow(unsafe_code, reason = "the timer is C's interface")]
fn set_timer(every: Duration) -> io::Result<()> {
    let every = libc::timeval {
        tv_sec: 0,
        tv_usec: every.subsec_micros().into(),
    };
    let timer = libc::itimerval {
        it_interval: every,
        it_value: every,
    };
    // SAFETY: a valid timer is passed, and the one before is not asked for.
    match unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests;
