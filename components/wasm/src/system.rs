//! WASI preview 1, as much of it as guests' languages need: clocks, random numbers, output to the log. There are no
//! files, arguments or variables; a function that is not here answers that the system does not have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::SmallRng;
use rand::{RngCore as _, SeedableRng as _};
use tokio::time::Instant;
use wasmi::errors::LinkerError;
use wasmi::{Caller, Error, ExternType, Linker, Module, Val, ValType};

use crate::guest::State;
use crate::memory::{parts, slice, slice_mut};

const MODULE: &str = "wasi_snapshot_preview1";
/// As much output of one request as is kept for the log, in bytes.
const MOST_OUTPUT: usize = 16 << 10;
/// What a clock in the sandbox moves on by each time it is read.
const TICK: Duration = Duration::from_millis(1);
/// The seed of the sandbox's random numbers.
const SEED: u64 = 42;

const SUCCESS: i32 = 0;
/// No such open file.
const EBADF: i32 = 8;
/// Not a value that can be.
const EINVAL: i32 = 28;
/// No such function.
const ENOSYS: i32 = 52;

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

type Guest<'a> = Caller<'a, State>;

/// What a guest sees of the system.
#[derive(Debug)]
pub(crate) struct System {
    clock: Clock,
    /// The sandbox's; true ones come from the thread's generator.
    random: SmallRng,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

#[derive(Debug)]
enum Clock {
    True {
        start: Instant,
    },
    /// Moves on by being read.
    Sandbox {
        start: Duration,
        reads: u32,
    },
}

impl System {
    pub(crate) fn new(strict: bool) -> Self {
        let clock = if strict {
            // As upstream's: true to the second when it starts.
            let start = Duration::from_secs(since_epoch().as_secs());
            Clock::Sandbox { start, reads: 0 }
        } else {
            Clock::True {
                start: Instant::now(),
            }
        };
        Self {
            clock,
            random: SmallRng::seed_from_u64(SEED),
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }

    fn now(&mut self, id: u32) -> Option<Duration> {
        match (&mut self.clock, id) {
            (Clock::True { .. }, CLOCK_REALTIME) => Some(since_epoch()),
            (Clock::True { start }, CLOCK_MONOTONIC) => Some(start.elapsed()),
            (Clock::Sandbox { start, reads }, CLOCK_REALTIME | CLOCK_MONOTONIC) => {
                *reads = reads.wrapping_add(1);
                let start = if id == CLOCK_REALTIME {
                    *start
                } else {
                    Duration::ZERO
                };
                Some(start + TICK * *reads)
            }
            _ => None,
        }
    }

    fn fill(&mut self, bytes: &mut [u8], strict: bool) {
        if strict {
            self.random.fill_bytes(bytes);
        } else {
            rand::rng().fill_bytes(bytes);
        }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Gives guests the functions of this module.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<(), LinkerError> {
    linker
        .func_wrap(MODULE, "args_sizes_get", sizes)?
        .func_wrap(MODULE, "args_get", |_: Guest<'_>, _: u32, _: u32| SUCCESS)?
        .func_wrap(MODULE, "environ_sizes_get", sizes)?
        .func_wrap(MODULE, "environ_get", |_: Guest<'_>, _: u32, _: u32| {
            SUCCESS
        })?
        .func_wrap(MODULE, "clock_res_get", clock_res_get)?
        .func_wrap(MODULE, "clock_time_get", clock_time_get)?
        .func_wrap(MODULE, "random_get", random_get)?
        .func_wrap(MODULE, "fd_write", fd_write)?
        .func_wrap(MODULE, "fd_fdstat_get", fd_fdstat_get)?
        .func_wrap(MODULE, "fd_close", |_: Guest<'_>, _: u32| SUCCESS)?
        .func_wrap(MODULE, "fd_prestat_get", |_: Guest<'_>, _: u32, _: u32| {
            EBADF
        })?
        .func_wrap(MODULE, "sched_yield", |_: Guest<'_>| SUCCESS)?
        .func_wrap(
            MODULE,
            "proc_exit",
            |_: Guest<'_>, code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) },
        )?;
    Ok(())
}

/// Gives a guest, for what else it imports of WASI, functions that answer that they are not there.
pub(crate) fn link_absent(linker: &mut Linker<State>, module: &Module) -> Result<(), LinkerError> {
    for import in module.imports().filter(|import| import.module() == MODULE) {
        let ExternType::Func(function) = import.ty() else {
            continue;
        };
        let answers = function.results() == [ValType::I32];
        let absent = linker.func_new(
            MODULE,
            import.name(),
            function.clone(),
            move |_, _, results| match (answers, results) {
                (true, [result]) => {
                    *result = Val::I32(ENOSYS);
                    Ok(())
                }
                _ => Err(Error::new("a function of the system that is not there")),
            },
        );
        match absent {
            Ok(_) | Err(LinkerError::DuplicateDefinition { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// None, of no size.
fn sizes(mut guest: Guest<'_>, count: u32, size: u32) -> Result<i32, Error> {
    let (memory, _) = parts(&mut guest)?;
    slice_mut(memory, count, 4)?.fill(0);
    slice_mut(memory, size, 4)?.fill(0);
    Ok(SUCCESS)
}

fn clock_res_get(mut guest: Guest<'_>, id: u32, place: u32) -> Result<i32, Error> {
    let (memory, state) = parts(&mut guest)?;
    if id > CLOCK_MONOTONIC {
        return Ok(EINVAL);
    }
    let resolution: u64 = match state.system.clock {
        Clock::True { .. } => 1,
        Clock::Sandbox { .. } => 1_000_000,
    };
    slice_mut(memory, place, 8)?.copy_from_slice(&resolution.to_le_bytes());
    Ok(SUCCESS)
}

fn clock_time_get(mut guest: Guest<'_>, id: u32, _: i64, place: u32) -> Result<i32, Error> {
    let (memory, state) = parts(&mut guest)?;
    let Some(now) = state.system.now(id) else {
        return Ok(EINVAL);
    };
    let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    slice_mut(memory, place, 8)?.copy_from_slice(&nanoseconds.to_le_bytes());
    Ok(SUCCESS)
}

fn random_get(mut guest: Guest<'_>, start: u32, length: u32) -> Result<i32, Error> {
    let (memory, state) = parts(&mut guest)?;
    let strict = state.compiled.told.strict;
    state.system.fill(slice_mut(memory, start, length)?, strict);
    Ok(SUCCESS)
}

fn fd_write(
    mut guest: Guest<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    written: u32,
) -> Result<i32, Error> {
    let (memory, state) = parts(&mut guest)?;
    let output = match fd {
        STDOUT => &mut state.system.stdout,
        STDERR => &mut state.system.stderr,
        _ => return Ok(EBADF),
    };
    let mut total: u32 = 0;
    let table = slice(memory, vectors, count.saturating_mul(8))?;
    for vector in table.chunks_exact(8) {
        let number = |at: usize| {
            let bytes = vector[at..at + 4].try_into();
            u32::from_le_bytes(bytes.expect("four bytes were taken"))
        };
        let bytes = slice(memory, number(0), number(4))?;
        let room = MOST_OUTPUT.saturating_sub(output.len());
        output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        total = total.saturating_add(number(4));
    }
    slice_mut(memory, written, 4)?.copy_from_slice(&total.to_le_bytes());
    Ok(SUCCESS)
}

/// The standard streams are devices of characters, with all rights.
fn fd_fdstat_get(mut guest: Guest<'_>, fd: u32, place: u32) -> Result<i32, Error> {
    let (memory, _) = parts(&mut guest)?;
    if !matches!(fd, STDIN | STDOUT | STDERR) {
        return Ok(EBADF);
    }
    let status = slice_mut(memory, place, 24)?;
    status.fill(0);
    status[0] = 2;
    status[8..16].fill(0xff);
    Ok(SUCCESS)
}
