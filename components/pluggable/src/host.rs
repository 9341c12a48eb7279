//! Looks for components while the sidecar runs, and says which types they are.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt as _,
    stream::{FuturesUnordered, Stream, unfold},
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use trilby_components::registry::{Arrivals, Backend, Block, TypeSource};

use crate::{
    connection::{ForInstance, connect},
    discovery::{Discovery, Event, Found, Question},
    folder::list,
    reflection, secrets,
    services::{self, Services},
    state,
};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time for a process to say what it serves. Shorter than the time that a component has to start, unless it
/// says otherwise, so that its failure names the socket.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// The types of the components that are processes of their own.
pub struct Pluggable {
    folder: PathBuf,
    discovery: Mutex<Discovery>,
    /// Bumped after each event.
    changed: watch::Sender<u64>,
    arrivals: watch::Sender<Arrivals>,
}

/// The components of a folder, which need not be there yet. They are found while the future runs, which ends with
/// `cancel`.
pub fn host(
    folder: PathBuf,
    cancel: CancellationToken,
) -> (Arc<Pluggable>, impl Future<Output = ()> + Send + 'static) {
    let pluggable = Arc::new(Pluggable {
        folder,
        discovery: Mutex::default(),
        changed: watch::Sender::new(0),
        arrivals: watch::Sender::default(),
    });
    let running = Arc::clone(&pluggable).run();
    (pluggable, async move {
        cancel.run_until_cancelled(running).await;
    })
}

impl Pluggable {
    async fn run(self: Arc<Self>) {
        let mut looks = looks(self.folder.clone());
        // At most one for each socket that was ever listed under a path and still hangs, for `ASK_LIMIT`.
        let mut asked = FuturesUnordered::new();
        loop {
            let event = tokio::select! {
                Some(listed) = looks.next() => listed,
                Some(answered) = asked.next() => answered,
            };
            let questions = self.discovery.lock().step(event, Instant::now());
            asked.extend(questions.into_iter().map(answered));
            self.publish();
        }
    }

    fn publish(&self) {
        let now = self.discovery.lock().arrivals();
        self.arrivals.send_if_modified(|known| {
            let news = **known != now;
            if news {
                *known = Arc::new(now);
            }
            news
        });
        self.changed.send_modify(|count| *count += 1);
    }

    fn is_settled(&self, block: Block, name: &str) -> bool {
        let discovery = self.discovery.lock();
        !matches!(discovery.find(block, name, &self.folder), Found::Unknown)
    }
}

/// What is in the folder, again and again. A folder that hangs holds up nothing else.
fn looks(folder: PathBuf) -> Pin<Box<dyn Stream<Item = Event> + Send>> {
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looks = unfold((tick, folder), |(mut tick, folder)| async move {
        tick.tick().await;
        let looked_at = folder.clone();
        let event = match spawn_blocking(move || list(&looked_at)).await {
            Ok(Ok(listing)) => Event::Listed(listing),
            Ok(Err(error)) => Event::Unreadable(format!("{}: {error}", folder.display())),
            Err(error) => Event::Unreadable(error.to_string()),
        };
        Some((event, (tick, folder)))
    });
    Box::pin(looks)
}

async fn answered(question: Question) -> Event {
    let answer = match timeout(ASK_LIMIT, ask(&question.path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "it did not say within {ASK_LIMIT:?} what it serves"
        )),
    };
    Event::Answered(question, answer)
}

async fn ask(socket: &Path) -> Result<Services, String> {
    let connected = connect(socket, ForInstance::none()).await;
    let (transport, _) = connected.map_err(|status| status.message().to_owned())?;
    let names = reflection::services(&transport).await;
    let names = names.map_err(|status| {
        format!(
            "gRPC reflection fails: {}",
            trilby_grpc::status::describe(&status)
        )
    })?;
    let (services, others) = services::known(names.iter().map(String::as_str));
    if !others.is_empty() {
        tracing::warn!(socket = %socket.display(), services = ?others, "services of a pluggable component that are not used");
    }
    Ok(services)
}

#[async_trait]
impl TypeSource for Pluggable {
    async fn settled(&self, block: Block, name: &str) {
        if !services::blocks().any(|one| one == block) {
            return;
        }
        let mut changed = self.changed.subscribe();
        let settling = changed.wait_for(|_| self.is_settled(block, name));
        // Whoever asks then is told what is known by then.
        if timeout(2 * ASK_LIMIT, settling).await.is_err() {
            tracing::debug!(name, "nothing is known of a pluggable component yet");
        }
    }

    fn find(&self, block: Block, name: &str) -> Option<Arc<Backend>> {
        let discovery = self.discovery.lock();
        let Found::Served(socket, services) = discovery.find(block, name, &self.folder) else {
            return None;
        };
        let (socket, services) = (socket.to_owned(), services.clone());
        let backend = match block {
            Block::State => Backend::state(name.to_owned(), move |context, metadata| {
                state::create(socket.clone(), services.clone(), context, metadata)
            }),
            Block::SecretStore => {
                Backend::secret_store(name.to_owned(), move |context, metadata| {
                    secrets::create(socket.clone(), context, metadata)
                })
            }
            _ => return None,
        };
        Some(Arc::new(backend))
    }

    fn missing(&self, block: Block, name: &str) -> Option<String> {
        if !services::blocks().any(|one| one == block) {
            return None;
        }
        match self.discovery.lock().find(block, name, &self.folder) {
            Found::Missing(reason) => Some(reason),
            Found::Served(..) => None,
            Found::Unknown => Some(format!(
                "pluggable components in {} have not answered yet",
                self.folder.display()
            )),
        }
    }

    fn arrivals(&self) -> watch::Receiver<Arrivals> {
        self.arrivals.subscribe()
    }
}
