//! Bindings: the block, and the task that reads those that bring events.
//!
//! They are read while the application is ready and healthy, each in a task of its own below this one. When the process is
//! told to end they stop for good, before the servers do: what is being handled is waited for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trilby_grpc::Backoff;
use trilby_resources::BindingComponent;
use trilby_telemetry::Tracing;

use super::{Ending, Wiring};
use crate::blocks::bindings::{Action, Bindings, Delivery, Discovery, Readings};
use crate::channel::AppChannel;

/// The longest pause between two attempts to begin.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The block.
pub(super) fn block(wiring: &Wiring<'_>) -> Bindings {
    Bindings::new(wiring.resources.clone(), wiring.resiliency.clone())
        .measured(wiring.metrics.bindings())
}

/// Reads input bindings while `consuming` says so, if there is an application.
pub(super) fn read(
    wiring: &Wiring<'_>,
    bindings: Bindings,
    (ending, consuming): (&Ending, watch::Receiver<bool>),
) {
    let (Some(app), Some(config)) = (&wiring.app, &wiring.config.app) else {
        return;
    };
    let reader = Reader {
        app: app.clone(),
        limit: config.binding_options_timeout,
        bindings,
        tracing: wiring.tracing.clone(),
        max_body: wiring.config.servers.max_body,
    };
    let changes = wiring.resources.changes();
    let (ended, in_use) = (wiring.process.shutdown(), Arc::clone(&ending.in_use));
    wiring.process.spawn("input-bindings", async move {
        let task = Task {
            reader,
            readings: Readings::default(),
            running: JoinSet::new(),
            stops: HashMap::new(),
        };
        let result = task.run((changes, consuming), ended).await;
        drop(in_use);
        result
    });
}

/// What every reading needs.
#[derive(Clone)]
struct Reader {
    app: AppChannel,
    limit: Duration,
    bindings: Bindings,
    tracing: Tracing,
    max_body: usize,
}

struct Task {
    reader: Reader,
    readings: Readings<BindingComponent>,
    /// Each gives its binding's name when it ends.
    running: JoinSet<String>,
    stops: HashMap<String, CancellationToken>,
}

impl Task {
    async fn run(
        mut self,
        (mut changes, mut consuming): (watch::Receiver<u64>, watch::Receiver<bool>),
        ended: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut discovery = None;
        while !ended.is_cancelled() {
            let consumes = *consuming.borrow_and_update();
            changes.borrow_and_update();
            if !consumes {
                discovery = None;
            }
            self.follow(consumes, &mut discovery);
            tokio::select! {
                // At the end the others are gone as well.
                biased;
                () = ended.cancelled() => {}
                changed = changes.changed() => changed.context("components are no longer followed")?,
                changed = consuming.changed() => {
                    changed.context("the application is no longer followed")?;
                }
                Some(finished) = self.running.join_next() => self.finished(finished)?,
            }
        }
        self.follow(false, &mut None);
        while let Some(finished) = self.running.join_next().await {
            self.finished(finished)?;
        }
        Ok(())
    }

    /// Begins and stops what is to begin and to stop.
    fn follow(&mut self, consumes: bool, discovery: &mut Option<Arc<Discovery>>) {
        let wanted: BTreeMap<_, _> = match consumes {
            true => {
                let inputs = self.reader.bindings.inputs().into_iter();
                inputs.map(|input| (input.name.clone(), input)).collect()
            }
            false => BTreeMap::new(),
        };
        for action in self.readings.step(&wanted) {
            match action {
                Action::Stop(name) => {
                    if let Some(stop) = self.stops.remove(&name) {
                        stop.cancel();
                    }
                }
                Action::Start(name, component) => {
                    let (app, limit) = (&self.reader.app, self.reader.limit);
                    let discovery = discovery
                        .get_or_insert_with(|| Arc::new(Discovery::new(app.clone(), limit)));
                    let stop = CancellationToken::new();
                    let reading =
                        (self.reader.clone()).read(component, Arc::clone(discovery), stop.clone());
                    self.stops.insert(name.clone(), stop);
                    self.running.spawn(async {
                        reading.await;
                        name
                    });
                }
            }
        }
    }

    fn finished(&mut self, finished: Result<String, tokio::task::JoinError>) -> anyhow::Result<()> {
        let name = finished.context("a reading of an input binding")?;
        self.stops.remove(&name);
        self.readings.ended(&name);
        Ok(())
    }
}

impl Reader {
    /// Reads one binding until it is stopped, if the application wants its events.
    async fn read(
        self,
        component: Arc<BindingComponent>,
        discovery: Arc<Discovery>,
        stop: CancellationToken,
    ) {
        let name = component.name.as_str();
        let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
        let mut told = false;
        let reading = loop {
            let beginning = self.begin(&component, &discovery, &stop);
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                begun = beginning => begun,
            };
            match begun {
                Ok(Some(reading)) => break reading,
                Ok(None) => return info!("app has not subscribed to binding {name}."),
                Err(error) if !told => {
                    warn!(error, binding = name, "an input binding is not read yet")
                }
                Err(_) => {}
            }
            told = true;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.pause()) => {}
            }
        };
        info!("reading from input binding {name}");
        match reading.await {
            Ok(()) => info!("no longer reading from input binding {name}"),
            Err(error) => error!(%error, binding = name, "an input binding is no longer read"),
        }
    }

    async fn begin(
        &self,
        component: &BindingComponent,
        discovery: &Discovery,
        stop: &CancellationToken,
    ) -> Result<Option<trilby_components::binding::Reading>, String> {
        let Some(input) = component.input() else {
            return Ok(None);
        };
        if !discovery.wants(component).await? {
            return Ok(None);
        }
        let delivery = Delivery {
            name: component.name.clone(),
            route: component.route().to_owned(),
            app: self.app.clone(),
            bindings: self.bindings.clone(),
            tracing: self.tracing.clone(),
            max_body: self.max_body,
        };
        let reading = input.read(Arc::new(delivery), stop.clone()).await;
        reading
            .map(Some)
            .map_err(|error| format!("error reading from input binding: {error}"))
    }
}
