//! One instance of a guest: its memory, and what it handles at the moment.

use std::sync::Arc;

use bytes::Bytes;
use trilby_components::middleware::{Body, collect};
use wasmi::{
    AsContextMut, Error, Extern, Func, Instance, Memory, ResumableCall, Store, StoreLimits,
    StoreLimitsBuilder, Val,
};

use crate::abi::{self, BodyWanted};
use crate::exchange::{BUFFER_RESPONSE, Exchange, MOST_BODY};
use crate::module::{Compiled, HANDLE_REQUEST, HANDLE_RESPONSE, MEMORY};
use crate::system::System;

/// The largest memory of an instance, in bytes. Guests of Go take some 10 MiB.
const MOST_MEMORY: usize = 64 << 20;
/// Elements of an instance's tables: functions that are called by reference.
const MOST_ELEMENTS: usize = 100_000;
/// One step of work, in units of about one instruction each: a few milliseconds, after which other tasks run.
const STEP: u64 = 1_000_000;
/// As many steps as one call may take: about a second. A guest that needs more is wrong.
const MOST_STEPS: u32 = 200;

/// What host functions work on.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) exchange: Exchange,
    /// Those that the guest enabled, for this exchange or for all.
    pub(crate) features: u32,
    pub(crate) system: System,
    limits: StoreLimits,
}

/// An instance.
#[derive(Debug)]
pub(crate) struct Guest {
    store: Store<State>,
    memory: Memory,
    handle_request: Func,
    handle_response: Func,
    /// The features that it enabled when it was made.
    features: u32,
}

/// What a guest wants done with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It answered itself.
    Answered,
    /// The next handler is to answer; the guest gets this back with the response.
    Next(u32),
}

impl Guest {
    /// Makes an instance, and lets it prepare itself.
    pub(crate) async fn new(compiled: &Arc<Compiled>) -> Result<Self, String> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(MOST_MEMORY)
            .table_elements(MOST_ELEMENTS)
            .build();
        let state = State {
            compiled: Arc::clone(compiled),
            exchange: Exchange::default(),
            features: 0,
            system: System::new(compiled.told.strict),
            limits,
        };
        let mut store = Store::new(&compiled.engine, state);
        store.limiter(|state| &mut state.limits);
        let failed = |error: Error| format!("error instantiating guest: {}", reason(&error));
        store.set_fuel(STEP).map_err(failed)?;
        let instance = compiled
            .linker
            .instantiate_and_start(&mut store, &compiled.module);
        let instance = instance.map_err(failed)?;
        let function = |store: &Store<State>, name: &str| {
            let found = instance.get_func(store, name);
            found.ok_or_else(|| format!("guest doesn't export func[{name}]"))
        };
        let memory = instance
            .get_export(&store, MEMORY)
            .and_then(Extern::into_memory);
        let mut guest = Self {
            memory: memory.ok_or("guest doesn't export memory[memory]")?,
            handle_request: function(&store, HANDLE_REQUEST)?,
            handle_response: function(&store, HANDLE_RESPONSE)?,
            features: 0,
            store,
        };
        guest.prepare(instance).await.map_err(failed)?;
        guest.features = guest.store.data().features;
        Ok(guest)
    }

    /// Runs what its language runs first: it may end with success.
    async fn prepare(&mut self, instance: Instance) -> Result<(), Error> {
        for name in ["_initialize", "_start"] {
            let Some(function) = instance.get_func(&self.store, name) else {
                continue;
            };
            match self.run(function, (&[], &mut []), &mut None).await {
                Err(error) if error.i32_exit_status() == Some(0) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// What it sees and changes.
    pub(crate) fn exchange(&mut self) -> &mut Exchange {
        &mut self.store.data_mut().exchange
    }

    /// Whether the response has to be there in whole before it is handled.
    pub(crate) fn buffers_response(&self) -> bool {
        self.store.data().features & BUFFER_RESPONSE != 0
    }

    /// Handles a request. The body is taken if the guest reads it.
    ///
    /// # Errors
    /// Why the guest failed; it is of no use any more.
    pub(crate) async fn handle_request(
        &mut self,
        body: &mut Option<Body>,
    ) -> Result<Decision, String> {
        let mut results = [Val::I64(0)];
        let run = self.run(self.handle_request, (&[], &mut results), body);
        run.await.map_err(|error| reason(&error))?;
        let answer = match results {
            [Val::I64(answer)] => answer.cast_unsigned(),
            _ => 0,
        };
        // The lower half says whether there is a next handler, the upper is the guest's own.
        let (own, next) = ((answer >> 32) as u32, answer as u32);
        Ok(match next {
            0 => Decision::Answered,
            _ => Decision::Next(own),
        })
    }

    /// Handles a response.
    ///
    /// # Errors
    /// Why the guest failed; it is of no use any more.
    pub(crate) async fn handle_response(&mut self, own: u32) -> Result<(), String> {
        let no_error = Val::I32(0);
        let inputs = [Val::I32(own.cast_signed()), no_error];
        let mut no_body = None;
        let run = self.run(self.handle_response, (&inputs, &mut []), &mut no_body);
        run.await.map_err(|error| reason(&error))
    }

    /// Makes it ready for the next request, and gives what it wrote to its output.
    pub(crate) fn reset(&mut self) -> (Vec<u8>, Vec<u8>) {
        let features = self.features;
        let state = self.store.data_mut();
        state.exchange = Exchange::default();
        state.features = features;
        let system = &mut state.system;
        (
            std::mem::take(&mut system.stdout),
            std::mem::take(&mut system.stderr),
        )
    }

    /// Calls a function, step by step.
    async fn run(
        &mut self,
        function: Func,
        (inputs, results): (&[Val], &mut [Val]),
        body: &mut Option<Body>,
    ) -> Result<(), Error> {
        self.store.set_fuel(STEP)?;
        let mut call = function.call_resumable(&mut self.store, inputs, results)?;
        let mut steps = 0;
        loop {
            call = match call {
                ResumableCall::Finished => return Ok(()),
                ResumableCall::OutOfFuel(paused) => {
                    steps += 1;
                    if steps >= MOST_STEPS {
                        return Err(Error::new("the guest ran too long"));
                    }
                    tokio::task::yield_now().await;
                    self.store.set_fuel(STEP.max(paused.required_fuel()))?;
                    paused.resume(self.store.as_context_mut(), results)?
                }
                ResumableCall::HostTrap(paused) => {
                    let Some(wanted) = paused.host_error().downcast_ref::<BodyWanted>().copied()
                    else {
                        return Err(paused.into_host_error());
                    };
                    self.exchange().body.original = Some(arrived(body.take()).await?);
                    let (memory, state) = self.memory.data_and_store_mut(&mut self.store);
                    let read = abi::read_request(memory, state, wanted)?;
                    paused.resume(self.store.as_context_mut(), &[Val::I64(read)], results)?
                }
            };
        }
    }
}

async fn arrived(body: Option<Body>) -> Result<Bytes, Error> {
    let Some(body) = body else {
        return Ok(Bytes::new());
    };
    let content = collect(body, MOST_BODY).await;
    content.map_err(|error| Error::new(format!("error reading body: {error}")))
}

fn reason(error: &Error) -> String {
    match error.i32_exit_status() {
        Some(status) => format!("the guest ended itself with status {status}"),
        None => error.to_string(),
    }
}
