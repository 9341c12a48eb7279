//! From flags to an exit code.

use std::{fmt, future::Future, io, process::ExitCode, time::Duration};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

use crate::{
    admin::{Admin, Health},
    args::{HealthArgs, LogArgs, MetricsArgs},
    descriptors,
    log::{self, LogHandle},
    memory, net,
    process::Process,
    version::{PRODUCT, VERSION},
};

/// What the process around a service is like.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// What the service is called in its log: `operator`.
    pub name: &'static str,
    /// The Dapr app id that every log line carries; `None` for the control plane.
    pub app_id: Option<String>,
    /// The flags in force, logged once at start. Must hold no secret.
    pub settings: String,
    /// Level, format and file of the log.
    pub log: LogArgs,
    /// The health server; `None`: there is none.
    pub health: Option<HealthArgs>,
    /// The metrics server; `None`: there is none.
    pub metrics: Option<MetricsArgs>,
    /// How long tasks may take to end after a signal.
    pub drain: Duration,
    /// Threads that run the service's tasks.
    pub workers: usize,
    /// How the log line begins that tells why the service failed.
    pub failure: String,
}

impl ServiceConfig {
    /// A service without health and metrics servers, with two workers and a drain of 5 s (upstream's).
    #[must_use]
    pub fn new(name: &'static str, settings: &impl fmt::Debug) -> Self {
        Self {
            name,
            app_id: None,
            settings: format!("{settings:?}"),
            log: LogArgs::default(),
            health: None,
            metrics: None,
            drain: Duration::from_secs(5),
            workers: 2,
            failure: format!("Fatal error running {name}"),
        }
    }
}

/// Runs a service until a signal or the end of one of its tasks, and returns the process's exit code: 0 after a
/// clean stop, 1 otherwise.
///
/// `build` opens the service's sockets and spawns its tasks; it may wait for others as long as it likes, since a
/// signal interrupts it. A second signal ends the process at once.
pub fn run<F, Fut>(config: ServiceConfig, build: F) -> ExitCode
where
    F: FnOnce(Process) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let name = config.name;
    let failure = config.failure.clone();
    let log = match log::init(&config.log, config.app_id.as_deref()) {
        Ok(log) => log,
        Err(error) => return die_without_log(name, &error),
    };
    let outcome = runtime(config.workers)
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let outcome = runtime.block_on(serve(config, log, build));
            // Tasks that outlived the drain are not worth waiting for.
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => {
            info!(service = name, "stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(service = name, "{failure}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn die_without_log(name: &str, error: &dyn fmt::Display) -> ExitCode {
    use io::Write;
    // Where standard error is closed as well, the exit code is all that is left to say.
    drop(writeln!(io::stderr(), "{name}: {error}"));
    ExitCode::FAILURE
}

fn runtime(workers: usize) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        // File reads and name look-ups only; each thread costs an allocator arena.
        .max_blocking_threads(8)
        .enable_all()
        .build()
}

async fn serve<F, Fut>(config: ServiceConfig, log: LogHandle, build: F) -> anyhow::Result<()>
where
    F: FnOnce(Process) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    info!(
        service = config.name,
        product = PRODUCT,
        version = VERSION,
        settings = config.settings,
        "starting"
    );
    descriptors::raise_limit();
    let process = Process::new(Some(log.clone()));
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let started = process.readiness().latch("startup");
    let shutdown = process.shutdown();
    log::follow_signal(log.clone(), shutdown.clone()).context("cannot listen for signals")?;
    start_admin(&config, &process, log)?;
    let ready = process.readiness().clone();
    tokio::spawn(memory::release_after_start(ready, shutdown.clone()));
    tokio::select! {
        built = build(process.clone()) => {
            built?;
            started.ready();
            tokio::select! {
                () = shutdown.cancelled() => {}
                name = signals.next() => info!(signal = name, "stopping"),
            }
        }
        () = shutdown.cancelled() => {}
        name = signals.next() => info!(signal = name, "stopping before the start was complete"),
    }
    started.unready("shutting down");
    tokio::select! {
        stopped = process.stop(config.drain) => Ok(stopped?),
        name = signals.next() => anyhow::bail!("second signal ({name}): not waiting any longer"),
    }
}

fn start_admin(config: &ServiceConfig, process: &Process, log: LogHandle) -> anyhow::Result<()> {
    let mut admin = Admin::default();
    if let Some(args) = &config.health {
        let listener = net::listen(&args.healthz_listen_address, args.healthz_port)
            .context("health server")?;
        let health = Health {
            readiness: process.readiness().clone(),
            routes: process.routes().clone(),
            log: Some(log),
        };
        admin.health(listener, health)?;
    }
    if let Some(args) = config.metrics.as_ref().filter(|args| args.enable_metrics) {
        let listener = net::listen(&args.metrics_listen_address, args.metrics_port)
            .context("metrics server")?;
        process.metrics().register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        admin.metrics(listener, process.all_metrics().clone())?;
    }
    admin.start().context("cannot start the admin thread")
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The name of the next signal. Cancel safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
